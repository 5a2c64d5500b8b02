// One WebSocket connection: its states, what it sends, and which answer belongs to which message.

import { hasWords, t } from './language.js';

/** RFC 6455 section 7.4.1 and the registry it started. A page itself may send only 1000 and 3000–4999. */
export function closeCodeName(code) {
  if (hasWords(`code.${code}`)) return t(`code.${code}`);
  if (code >= 4000) return t('code.private');
  return t(code >= 3000 ? 'code.registered' : 'code.reserved');
}

/** What is wrong with a closing code and reason, as words and their values, or null. The browser would throw; a sentence helps. */
export function closeProblem(code, reason) {
  if (code !== 1000 && !(code >= 3000 && code <= 4999)) return ['close.problem_code'];
  const { length } = new TextEncoder().encode(reason);
  // A control frame carries at most 125 bytes, and the code takes two (section 5.5).
  return length > 123 ? ['close.problem_reason', { length }] : null;
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
  #url;
  #address;
  #sent = 0;

  /**
   * `url` is what the reader sees; `address` is { url, number }: what is really opened, and how the feed knows it (own.js).
   * `handlers`: onState({ state, … }), onMessage(message), onProgress(message, bytes). Throws where the address is none.
   */
  constructor(url, address, handlers) {
    this.#url = url;
    this.#address = address;
    this.#handlers = handlers;
    this.#socket = new WebSocket(address.url);
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
    this.#sent += 1;
    message.key = `${this.#address.number} ${this.#sent}`; // by which own.js finds its frame
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
    const { protocol, extensions } = this.#socket;
    this.#handlers.onState({ state, url: this.#url, protocol, extensions, ...more });
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
