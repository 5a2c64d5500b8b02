// The list of messages, newest first, bounded in number and in bytes.

import { el, milliseconds, size } from './dom.js';
import { describe, samePayload, showPayload } from './payload.js';

const MOST_MESSAGES = 200;
const MOST_BYTES = 256 * 1024 * 1024; // what 200 messages of 64 MiB would take is more than a phone has

export class MessageList {
  #list;
  #handlers;
  #kept = []; // oldest first
  #bytes = 0;
  #count = 0;

  /** `handlers`: onFigure(message) when its figure is asked for, onSent(message), onChange(count), onArrival(sentence). */
  constructor(list, handlers) {
    this.#list = list;
    this.#handlers = handlers;
  }

  addSent(message) {
    this.#add(message, 'sent');
    const look = { type: 'button', class: 'quiet figure-button', 'aria-pressed': 'false' };
    message.figureButton = el('button', look, `Fig. ${message.number}`);
    message.figureButton.onclick = () => this.#handlers.onFigure(message);
    message.meta.append(message.figureButton);
    message.meter = el('progress', { max: message.bytes, value: 0, hidden: true, 'aria-label': 'Handed to the network' });
    message.item.append(message.meter);
    this.#show(message, 'sent');
  }

  addReceived(message) {
    const { answers } = message;
    this.#add(message, 'received');
    this.#show(message, 'received');
    if (!answers) {
      message.note.textContent = 'from the server, no echo';
    } else {
      answers.meter.hidden = true;
      for (const one of [message, answers]) {
        one.item.dataset.roundTripMs = message.roundTrip.toFixed(3);
        one.note.textContent = milliseconds(message.roundTrip);
        one.note.title = 'Round trip, as this page sees it';
      }
      this.#compare(message, answers);
    }
    const what = `${message.kind}, ${size(message.bytes)}`;
    this.#handlers.onArrival(`Message ${message.number} received: ${what}${answers ? `, the echo of message ${answers.number}` : ''}.`);
  }

  /** Large messages leave slowly: shows how much the browser has handed to the network. */
  progress(message, bytes) {
    if (!message.item || message.item.dataset.roundTripMs) return; // not listed yet, or back already
    const busy = bytes < message.bytes;
    message.meter.hidden = !busy;
    message.meter.value = bytes;
    message.note.textContent = busy ? `${size(bytes)} of ${size(message.bytes)} handed over` : 'waiting for the echo';
  }

  /** The connection is over: what was not answered will not be. */
  giveUp(messages) {
    for (const message of messages) {
      message.meter.hidden = true;
      message.note.textContent = 'not echoed';
      message.item.dataset.unanswered = 'true';
    }
  }

  clear() {
    while (this.#kept.length > 0) this.#removeOldest();
    this.#handlers.onChange(0);
  }

  #add(message, direction) {
    this.#count += 1;
    message.number = this.#count;
    message.note = el('span', { class: 'note' });
    message.meta = el('p', { class: 'meta' },
      el('span', { class: 'number' }, `${message.number}`),
      el('span', { class: 'direction' }, direction === 'sent' ? '↑ sent' : '↓ received'),
      el('span', {}, message.kind),
      el('span', {}, size(message.bytes)),
      message.note);
    message.place = el('div', { class: 'payload' });
    message.item = el('li', { data: { direction, kind: message.kind, bytes: message.bytes } }, message.meta, message.place);
    this.#list.prepend(message.item);

    this.#kept.push(message);
    this.#bytes += message.bytes;
    while (this.#kept.length > MOST_MESSAGES || (this.#bytes > MOST_BYTES && this.#kept.length > 2)) this.#removeOldest();
    this.#handlers.onChange(this.#kept.length);
  }

  async #show(message, direction) {
    if (message.kind === 'binary') {
      try {
        await describe(message, `message-${message.number}`);
      } catch {
        message.note.textContent = 'this file cannot be read';
        return;
      }
    }
    if (message.removed) return;
    // A file is shown when it has come back: on its way out its name is enough.
    if (direction === 'sent' && message.kind === 'binary') message.place.append(el('p', { class: 'file' }, message.name));
    else message.release = showPayload(message.place, message);
    if (direction === 'sent') this.#handlers.onSent(message);
  }

  async #compare(message, sent) {
    const same = await samePayload(message.payload, sent.payload).catch(() => null); // a file may change on the disk
    if (same === null || message.removed) return;
    message.item.dataset.same = String(same);
    const title = same ? 'The same bytes came back' : 'Other bytes came back';
    message.meta.append(el('span', { class: same ? 'same' : 'differs', title }, `${same ? '=' : '≠'} message ${sent.number}`));
  }

  #removeOldest() {
    const message = this.#kept.shift();
    this.#bytes -= message.bytes;
    message.removed = true;
    message.release?.();
    message.item.remove();
  }
}
