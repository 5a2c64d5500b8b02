// The live list of frames: what the filter lets through, followed or paused, with one of them selected.

import { $, el } from './dom.js';
import { onLanguage, say, sayNothing, t } from './language.js';
import { ROW_HEIGHT, rowOf } from './rows.js';
import { VirtualList } from './virtual.js';

export class FrameList {
  #store;
  #filter;
  #onSelect;
  #frame = $('frames');
  #shown = []; // entries that the filter lets through
  #rows;
  #selected = null; // an id
  #following = true;
  #pausedAt = null; // how many entries had come
  #came = 0;
  #lastTop = 0;

  /** `onSelect(entry)` when the reader chooses one. */
  constructor(store, filter, onSelect) {
    this.#store = store;
    this.#filter = filter;
    this.#onSelect = onSelect;
    this.#rows = new VirtualList(this.#frame, ROW_HEIGHT, (index) => {
      const entry = this.#shown[index];
      return rowOf(entry, index, this.#shown.length, entry.id === this.#selected);
    });
    store.watch({
      added: (entries) => this.#added(entries),
      removed: () => this.#removed(),
      cleared: () => this.refilter(),
      touched: () => this.#tell(),
    });
    this.#frame.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.#frame.onclick = ({ target }) => this.#choose(target.closest('[role="option"]')?.dataset.id);
    this.#frame.onkeydown = (event) => this.#key(event);
    onLanguage(() => {
      this.#rows.redraw();
      this.#tell();
    });
  }

  get shown() {
    return this.#shown;
  }

  set following(following) {
    this.#following = following;
    $('follow').setAttribute('aria-pressed', String(following));
    if (following) this.#rows.scrollToEnd();
  }

  get following() {
    return this.#following;
  }

  get paused() {
    return this.#pausedAt !== null;
  }

  set paused(paused) {
    this.#pausedAt = paused ? this.#came : null;
    $('pause').setAttribute('aria-pressed', String(paused));
    if (!paused) this.refilter();
    this.#tell();
  }

  /** The filter has changed, or everything is new. The selected frame stays in sight if it is still there. */
  refilter() {
    this.#shown = this.#store.entries.filter((entry) => this.#filter.matches(entry));
    this.#rows.redraw();
    this.#rows.length = this.#shown.length;
    const index = this.#indexOf(this.#selected);
    if (this.#following) this.#rows.scrollToEnd();
    else if (index >= 0) this.#rows.reveal(index);
    this.#tell();
  }

  /** Marks an entry as the selected one, and shows where it stands. */
  select(entry) {
    this.#selected = entry?.id ?? null;
    const index = this.#indexOf(this.#selected);
    if (index >= 0 && index < this.#shown.length - 1) this.following = false;
    this.#rows.redraw();
    if (index >= 0) this.#rows.reveal(index);
    if (index >= 0) this.#frame.setAttribute('aria-activedescendant', `row-${this.#selected}`);
    else this.#frame.removeAttribute('aria-activedescendant');
  }

  #added(entries) {
    this.#came += entries.length;
    if (!this.paused) {
      for (const entry of entries) if (this.#filter.matches(entry)) this.#shown.push(entry);
      this.#rows.length = this.#shown.length;
      if (this.#following) this.#rows.scrollToEnd();
    }
    this.#tell();
  }

  #removed() {
    if (this.paused) return; // the reader looks at them; they go when the pause ends
    const gone = this.#shown.findIndex(({ id }) => this.#store.find(id) !== undefined);
    const count = gone < 0 ? this.#shown.length : gone;
    this.#shown.splice(0, count);
    this.#rows.dropFirst(count, this.#shown.length);
    this.#lastTop = this.#frame.scrollTop;
    this.#tell();
  }

  #scrolled() {
    const { scrollTop } = this.#frame;
    const up = scrollTop < this.#lastTop;
    this.#lastTop = scrollTop;
    if (up && this.#following && !this.#rows.isAtEnd) this.following = false;
    else if (!up && !this.#following && this.#rows.isAtEnd) this.following = true;
  }

  #choose(id) {
    const entry = id && this.#store.find(id);
    if (entry) this.#onSelect(entry);
  }

  #key(event) {
    const at = this.#indexOf(this.#selected);
    const page = this.#rows.rowsInSight;
    const last = this.#shown.length - 1;
    const to = {
      ArrowDown: at + 1, ArrowUp: at < 0 ? last : at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: last,
    }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.#onSelect(this.#shown[Math.max(0, Math.min(to, last))]);
  }

  #indexOf(id) {
    return id === null ? -1 : this.#shown.findIndex((entry) => entry.id === id);
  }

  #tell() {
    const [shown, all] = [this.#shown.length, this.#store.entries.length].map((count) => count.toLocaleString('en'));
    $('frame-count').textContent = all === '0' ? '' : shown === all ? all : t('frames.of', { shown, all });
    const { missed, forgotten } = this.#store;
    const waiting = this.paused ? this.#came - this.#pausedAt : 0;
    if (this.paused) say($('pause-note'), 'frames.paused', { count: waiting.toLocaleString('en') });
    else if (missed.records + missed.connections > 0) say($('pause-note'), 'frames.missed', missed);
    else if (forgotten > 0) say($('pause-note'), 'frames.forgotten', { count: forgotten.toLocaleString('en') });
    else sayNothing($('pause-note'));
    $('no-frames').hidden = this.#shown.length > 0;
  }
}

/** Saves lines as a file of JSON Lines. */
export function exportLines(entries, name) {
  const blob = new Blob(entries.map(({ line }) => `${line}\n`), { type: 'application/x-ndjson' });
  const href = URL.createObjectURL(blob);
  el('a', { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000); // the download has begun by then
}
