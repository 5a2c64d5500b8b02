// One WebSocket connection: its states, what it sends, and which answer belongs to which message.

/** RFC 6455 section 7.4.1 and the registry it started. A page itself may send only 1000 and 3000–4999. */
const CLOSE_CODES = {
  1000: 'normal closure',
  1001: 'going away',
  1002: 'protocol error',
  1003: 'unsupported data',
  1005: 'no code was sent',
  1006: 'no Close frame came',
  1007: 'invalid payload data',
  1008: 'policy violation',
  1009: 'message too big',
  1010: 'an extension is missing',
  1011: 'internal error',
  1012: 'service restart',
  1013: 'try again later',
  1014: 'bad gateway',
  1015: 'TLS handshake failed',
};

export function closeCodeName(code) {
  if (CLOSE_CODES[code]) return CLOSE_CODES[code];
  if (code >= 4000) return 'for private use';
  return code >= 3000 ? 'registered by an application' : 'reserved';
}

/** What is wrong with a closing code and reason, or null. The browser would throw; a sentence helps more. */
export function closeProblem(code, reason) {
  if (code !== 1000 && !(code >= 3000 && code <= 4999)) return 'A page may close with 1000 or with 3000 to 4999.';
  const { length } = new TextEncoder().encode(reason);
  // A control frame carries at most 125 bytes, and the code takes two (section 5.5).
  return length > 123 ? `The reason takes ${length} bytes; a Close frame has room for 123.` : null;
}

/** A server that echoes nothing must not make the page hold all it ever sent. */
const MOST_UNANSWERED = 200;

export class Connection {
  #socket;
  #handlers;
  #unanswered = [];
  #outgoing = []; // messages the browser has not handed to the network yet, with the position where each one ends
  #queued = 0;
  #timer = null;
  #opened = false;
  #stopped = false; // by the user, before it opened

  /** `handlers`: onState({ state, … }), onMessage(message), onProgress(message, bytes). Throws where the URL is none. */
  constructor(url, handlers) {
    this.#handlers = handlers;
    this.#socket = new WebSocket(url);
    this.#socket.binaryType = 'blob'; // stays out of the page's memory until something reads it
    this.#socket.onopen = () => {
      this.#opened = true;
      this.#tell('open');
    };
    this.#socket.onmessage = ({ data }) => this.#received(data);
    this.#socket.onclose = (event) => this.#closed(event);
    this.#tell('connecting');
  }

  get isOpen() {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** `message`: { kind, bytes, payload: string | Blob, … }. Marks it with the time it was sent. */
  send(message) {
    message.sentAt = performance.now();
    this.#socket.send(message.payload);
    this.#unanswered.push(message);
    if (this.#unanswered.length > MOST_UNANSWERED) this.#unanswered.shift();
    this.#queued += message.bytes;
    this.#outgoing.push({ message, end: this.#queued });
    this.#timer ??= setInterval(() => this.#progress(), 50);
    this.#progress();
  }

  close(code, reason) {
    this.#stopped = this.#socket.readyState === WebSocket.CONNECTING;
    this.#socket.close(code, reason);
    this.#tell('closing');
  }

  #tell(state, more = {}) {
    this.state = state;
    const { url, protocol, extensions } = this.#socket;
    this.#handlers.onState({ state, url, protocol, extensions, ...more });
  }

  #received(data) {
    const kind = typeof data === 'string' ? 'text' : 'binary';
    const bytes = kind === 'text' ? new TextEncoder().encode(data).length : data.size;
    const message = { kind, bytes, payload: data, receivedAt: performance.now() };

    // An echo server answers in order. A message that answers none of those that wait comes from the server itself.
    const index = this.#unanswered.findIndex((sent) => sent.kind === kind && sent.bytes === bytes);
    if (index >= 0) {
      message.answers = this.#unanswered.splice(0, index + 1).at(-1);
      message.roundTrip = message.receivedAt - message.answers.sentAt;
    }
    this.#handlers.onMessage(message);
  }

  #progress() {
    const handedOver = this.#queued - this.#socket.bufferedAmount;
    for (const { message, end } of this.#outgoing) {
      const bytes = Math.max(0, Math.min(message.bytes, handedOver - (end - message.bytes)));
      this.#handlers.onProgress(message, bytes);
    }
    this.#outgoing = this.#outgoing.filter(({ end }) => end > handedOver);
    if (this.#outgoing.length === 0) this.#stopWatching();
  }

  #stopWatching() {
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #closed({ code, reason, wasClean }) {
    this.#stopWatching();
    const wasOpen = this.#opened;
    const state = wasOpen || this.#stopped ? 'closed' : 'refused';
    this.#tell(state, { code, reason, clean: wasClean, wasOpen, unanswered: this.#unanswered });
  }
}
