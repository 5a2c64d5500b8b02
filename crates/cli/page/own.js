// Which frames of the feed carry the messages that this page has sent: by its own word and number in the URL it opened.

const MOST_KNOWN = 2000;

export class OwnFrames {
  #watch;
  #opened = 0; // connections by this page
  #connections = new Map(); // number in the feed -> number among this page's own
  #entries = new Map(); // own connection and message -> the entry its first frame is

  /** `store` tells of frames; `onFrame(key)` follows when one of a message of this page has come. */
  constructor(store, watch, onFrame) {
    this.#watch = watch;
    store.watch({
      added: (entries) => {
        for (const entry of entries) this.#take(entry, onFrame);
      },
      cleared: () => {
        this.#connections.clear();
        this.#entries.clear();
      },
    });
  }

  /** The URL to open so that the feed tells of the connection, and the number by which it is known here. */
  address(url) {
    const own = new URL(url);
    this.#opened += 1;
    const isOurs = own.host === location.host;
    if (isOurs) {
      own.searchParams.set('watch', this.#watch);
      own.searchParams.set('page', `${pageLoad}-${this.#opened}`);
    }
    return { url: own.href, number: `${pageLoad}-${this.#opened}` };
  }

  opened({ connection, target }) {
    const query = new URLSearchParams(/\?(.*)$/.exec(target ?? '')?.[1]);
    if (query.get('watch') === this.#watch && query.has('page')) this.#connections.set(connection, query.get('page'));
  }

  find(key) {
    return this.#entries.get(key);
  }

  #take(entry, onFrame) {
    if (entry.message === null || entry.from !== 'client' || entry.kind === 'continuation') return;
    const own = this.#connections.get(entry.connection);
    if (own === undefined) return;
    const key = `${own} ${entry.message}`;
    this.#entries.set(key, entry);
    if (this.#entries.size > MOST_KNOWN) this.#entries.delete(this.#entries.keys().next().value);
    onFrame(key);
  }
}

/** The watch word outlives a reload, and the numbers of connections do not: so each loading of the page has its own. */
const pageLoad = crypto.getRandomValues(new Uint32Array(1))[0].toString(16);
