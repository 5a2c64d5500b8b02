// The list of connections; choosing one shows its frames alone.

import { $, el, size } from './dom.js';
import { onLanguage, t } from './language.js';

const MOST_SHOWN = 100;

export class ConnectionList {
  #store;
  #onChoose;
  #chosen = null;
  #asked = false;

  constructor(store, onChoose) {
    this.#store = store;
    this.#onChoose = onChoose;
    store.watch({ added: () => this.update(), touched: () => this.update(), cleared: () => this.#choose(null) });
    onLanguage(() => this.update());
  }

  /** Draws it anew, at most once for each picture that the browser shows. */
  update() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      this.#draw();
    });
  }

  #draw() {
    const all = [...this.#store.connections.values()];
    const focused = document.activeElement?.dataset?.connection;
    $('connections').replaceChildren(...all.slice(-MOST_SHOWN).reverse().map((one) => el('li', {}, this.#button(one))));
    $('connections-left').textContent = all.length > MOST_SHOWN ? t('connections.more', { count: all.length - MOST_SHOWN }) : '';
    $('connection-list').hidden = all.length < 2 && this.#chosen === null;
    if (focused) $('connections').querySelector(`[data-connection="${CSS.escape(focused)}"]`)?.focus();
  }

  #button(one) {
    const { number, target, client, frames, bytes, missed, violations, ending } = one;
    const notes = [t('connections.frames', { frames: frames.toLocaleString('en'), size: size(bytes) })];
    if (violations > 0) notes.push(t('connections.violations', { count: violations }));
    if (missed > 0) notes.push(t('connections.missed', { size: size(missed) }));
    notes.push(ending ?? t('connections.open'));
    const button = el('button', {
      type: 'button', class: 'connection quiet', 'aria-pressed': String(this.#chosen === number),
      data: { connection: number, ended: ending !== null },
    },
    el('strong', {}, `c${number}`), ' ', el('bdi', { class: 'target' }, withoutWatchWord(target ?? client ?? '')),
    el('small', { class: violations > 0 ? 'bad' : '' }, notes.join(' · ')));
    button.onclick = () => this.#choose(this.#chosen === number ? null : number);
    return button;
  }

  #choose(number) {
    this.#chosen = number;
    this.#onChoose(number);
    this.update();
  }
}

/** By what the page knows its own connections (own.js) is of no interest to the reader, and long. */
const withoutWatchWord = (target) => target.replace(/[?&](watch=[0-9a-f]{32}|page=[\w-]+)/g, '');
