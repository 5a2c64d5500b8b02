// The inspector: the feed, its store, and everything that shows it.

import { ConnectionList } from './connections.js';
import { drawEntry } from './detail.js';
import { $ } from './dom.js';
import { Feed, forgetToken, refusal, takeToken, watchWord } from './feed.js';
import { Filter } from './filter.js';
import { say, sayNothing } from './language.js';
import { FrameList, exportLines } from './list.js';
import { OwnFrames } from './own.js';
import { RawComposer } from './raw.js';
import { Sparklines } from './sparkline.js';
import { Store } from './store.js';

export class Inspector {
  store = new Store();
  own;
  #watch = watchWord();
  #token = takeToken();
  #filter = new Filter();
  #list;
  #composer;
  #handlers;
  #wanted = null; // the frame a link names, which has not come yet
  #selected = null;
  #isReady = false;

  /**
   * `handlers`: onReady(hello or null) when the feed has begun or will not, onSelect(entry) when the figure shows an entry,
   * onOwnFrame(key) when the feed tells of a frame of this page's own.
   */
  constructor(handlers) {
    this.#handlers = handlers;
    this.own = new OwnFrames(this.store, this.#watch, handlers.onOwnFrame);
    this.#list = new FrameList(this.store, this.#filter, (entry) => this.select(entry));
    new ConnectionList(this.store, (number) => {
      this.#filter.connection = number;
      this.#list.refilter();
    });
    new Sparklines(this.store);
    this.#filter.bind(() => this.#list.refilter());
    this.store.watch({ added: () => this.#find() });
    this.#controls();
    this.#start();
  }

  /** Shows an entry in the figure, and its name in the address. */
  select(entry, message) {
    this.#selected = entry;
    this.#wanted = null;
    history.replaceState(null, '', `#${entry.id}`);
    this.#list.select(entry);
    drawEntry($('figure'), entry, this.store, message);
    this.#handlers.onSelect(entry);
  }

  /** The figure shows something else. */
  deselect() {
    if (this.#selected === null) return;
    this.#selected = null;
    this.#list.select(null);
    if (location.hash !== '') history.replaceState(null, '', location.pathname);
  }

  get selected() {
    return this.#selected;
  }

  #start() {
    const query = this.#token ? `token=${encodeURIComponent(this.#token)}` : `watch=${this.#watch}`;
    const address = (path) => `${location.origin.replace(/^http/, 'ws')}/inspect/${path}?${query}`;
    this.#composer = new RawComposer(address('composer'), (connection) => this.#expect(connection));
    this.#follow();
    new Feed(address('feed'), this.store, {
      onHello: (hello) => {
        $('frames-section').hidden = false;
        document.documentElement.dataset.mode = hello.mode;
        $('raw-section').hidden = !hello.composer;
        say($('no-frames'), hello.mode === 'proxy' ? 'frames.none_proxy' : 'frames.none');
        this.#composer.mode = hello.mode;
        this.#ready(hello);
      },
      onOpened: (record) => this.own.opened(record),
      onState: (state, seconds) => this.#showState(state, seconds, address('feed')),
    });
  }

  /** The composer sends on a connection: its client's next frame is what the reader wants to see. */
  #expect(connection) {
    const last = this.store.entries.findLast((entry) => entry.connection === connection && entry.from === 'client' && entry.frame !== null);
    this.#wanted = `c${connection}f${(last?.frame ?? 0) + 1}`;
  }

  #ready(hello) {
    if (!this.#isReady) this.#handlers.onReady(hello);
    this.#isReady = true;
  }

  async #showState(state, seconds, url) {
    const place = $('feed-state');
    place.dataset.state = state;
    if (state === 'live') {
      sayNothing(place);
      if (this.#wanted) say(place, 'feed.not_here', { id: this.#wanted });
    } else if (state === 'none') {
      this.#refused(await refusal(url));
    } else {
      say(place, `feed.${state}`, { seconds });
    }
  }

  /** There is no feed. The place for its state is on a part of the page that is hidden then: so it is said on top. */
  #refused({ status, why }) {
    const complain = (key) => {
      say($('feed-problem'), key, { why });
      $('feed-problem').hidden = false;
    };
    if (status === 403 && this.#token) {
      // What the token would have shown is not to be had: this page's own connections may be.
      forgetToken();
      this.#token = null;
      complain('feed.wrong_token');
      this.#start();
    } else if (status === 403) {
      // Without the token there is nothing to see and nothing to talk to: behind a proxy the page has nothing of its own.
      document.documentElement.dataset.mode = 'guarded';
      complain('feed.guarded');
    } else {
      complain('feed.none');
      this.#ready(null);
    }
  }

  /** Goes where a link leads: as soon as its frame is here. */
  #follow() {
    const id = location.hash.slice(1);
    if (!/^c\d+[fo]\d+s?$/.test(id)) return;
    this.#wanted = id;
    this.#find();
  }

  #find() {
    const entry = this.#wanted && this.store.find(this.#wanted);
    if (!entry) return;
    if (!this.#list.shown.includes(entry)) this.#list.refilter();
    if ($('feed-state').dataset.says === 'feed.not_here') sayNothing($('feed-state'));
    this.select(entry);
    $('figure').scrollIntoView({ block: 'nearest' });
  }

  #controls() {
    addEventListener('hashchange', () => {
      // The token's address, given to a page that is open already, changes what stands behind # and loads nothing.
      if (location.hash.startsWith('#token=')) location.reload();
      else this.#follow();
    });
    $('pause').onclick = () => { this.#list.paused = !this.#list.paused; };
    $('follow').onclick = () => { this.#list.following = !this.#list.following; };
    $('export').onclick = () => exportLines(this.#list.shown, 'frames.jsonl');
  }
}
