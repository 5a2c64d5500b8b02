// The live feed: a WebSocket of records, which comes back when it is gone. Reading takes turns with drawing.

const TURN = 10; // milliseconds of reading before the page may draw
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;
const WATCH = 'sockeye-watch';
const TOKEN = 'sockeye-token';

export class Feed {
  #url;
  #handlers;
  #store;
  #waiting = []; // messages that are not read yet
  #position = 0; // of the first unread line in the first of them
  #scheduled = false;
  #pause = FIRST_PAUSE;
  #started = null;
  #everOpen = false;

  /**
   * `handlers`: onHello(hello), onOpened(record) for each connection, onState(state, seconds until the next try), where the
   * state is 'connecting', 'live', 'gone' or, if there never was a feed, 'none'.
   */
  constructor(url, store, handlers) {
    this.#url = url;
    this.#store = store;
    this.#handlers = handlers;
    this.#connect();
  }

  #connect() {
    this.#handlers.onState('connecting');
    const socket = new WebSocket(this.#url);
    socket.onopen = () => {
      this.#pause = FIRST_PAUSE;
      this.#everOpen = true;
    };
    socket.onmessage = ({ data }) => {
      this.#waiting.push(data);
      this.#schedule();
    };
    socket.onclose = () => {
      if (!this.#everOpen) return this.#handlers.onState('none');
      this.#handlers.onState('gone', this.#pause / 1000);
      setTimeout(() => this.#connect(), this.#pause);
      this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
    };
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setTimeout(() => this.#read());
  }

  #read() {
    this.#scheduled = false;
    const until = performance.now() + TURN;
    const records = [];
    while (this.#waiting.length > 0 && performance.now() < until) {
      const text = this.#waiting[0];
      const end = text.indexOf('\n', this.#position);
      const line = text.slice(this.#position, end < 0 ? undefined : end);
      this.#position = end + 1;
      if (end < 0 || end + 1 === text.length) {
        this.#waiting.shift();
        this.#position = 0;
      }
      if (line !== '') this.#take(line, records);
    }
    this.#store.add(records);
    if (this.#waiting.length > 0) this.#schedule();
  }

  #take(line, records) {
    let record;
    try {
      record = JSON.parse(line);
    } catch {
      console.error('the feed sent a line that is no JSON');
      return;
    }
    // What tells about connections stands between the records: what came before it must be there first.
    if (record.connection !== undefined && record.offset !== undefined) return void records.push({ record, line });
    this.#store.add(records.splice(0));
    const connection = () => this.#store.connection(record.connection);
    const kinds = {
      hello: () => {
        if (this.#started !== null && this.#started !== record.started) this.#store.clear(); // another program: numbers begin anew
        this.#started = record.started;
        this.#handlers.onHello(record);
      },
      live: () => this.#handlers.onState('live'),
      opened: () => {
        const { client, target, compression } = record;
        Object.assign(connection(), { client, target, compression });
        this.#handlers.onOpened(record);
      },
      closed: () => { connection().ending = record.ending; },
      missed: () => this.#missed(record),
      forgotten: () => { this.#store.forgotten += Number(record.records); },
    };
    kinds[record.record]?.(); // a newer program may say more
    this.#store.touch();
  }

  /** Bytes of a connection, whole connections, or records: whatever the feed had no room for is counted. */
  #missed({ connection, bytes = 0, connections = 0, records = 0 }) {
    if (connection !== undefined) this.#store.connection(connection).missed += Number(bytes);
    this.#store.missed.connections += Number(connections);
    this.#store.missed.records += Number(records);
  }
}

/** 32 hex digits at random: who knows them sees this page's connections. They outlive a reload, and so do links. */
export function watchWord() {
  const kept = sessionStorage.getItem(WATCH);
  if (kept) return kept;
  const word = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  sessionStorage.setItem(WATCH, word);
  return word;
}

/** The token that the program printed in the page's address. It leaves the address bar, so that nobody copies it by chance. */
export function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token) {
    sessionStorage.setItem(TOKEN, token);
    history.replaceState(null, '', location.pathname);
  }
  return sessionStorage.getItem(TOKEN);
}

/** A token that the program does not know is of no further use. */
export const forgetToken = () => sessionStorage.removeItem(TOKEN);

/** How the program answers where it gives no WebSocket: a browser does not tell a page, but the same question by HTTP does. */
export async function refusal(url) {
  try {
    const response = await fetch(url.replace(/^ws/, 'http'));
    const { status } = response;
    const isText = response.headers.get('content-type')?.startsWith('text/plain');
    return { status, why: isText && status !== 426 ? (await response.text()).trim().slice(0, 500) : '' };
  } catch {
    return { status: null, why: '' }; // nothing listens
  }
}
