// The list of messages, newest first, bounded in number and in bytes.

import { el, milliseconds, size, telling } from './dom.js';
import { say, sayNothing, t } from './language.js';
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
    message.figureButton = telling('button', 'figure.button', { number: message.number }, look);
    message.figureButton.onclick = () => this.#handlers.onFigure(message);
    message.meta.append(message.figureButton);
    message.meter = el('progress', { max: message.bytes, value: 0, hidden: true, 'aria-label': t('messages.handed') });
    message.item.append(message.meter);
    this.#show(message, 'sent');
  }

  addReceived(message) {
    const { answers } = message;
    this.#add(message, 'received');
    this.#show(message, 'received');
    if (!answers) {
      say(message.note, 'messages.no_echo');
    } else {
      answers.meter.hidden = true;
      for (const one of [message, answers]) {
        one.item.dataset.roundTripMs = message.roundTrip.toFixed(3);
        sayNothing(one.note, milliseconds(message.roundTrip));
        one.note.title = t('messages.round_trip');
      }
      this.#compare(message, answers);
    }
    const values = { number: message.number, kind: t(`kind.${message.kind}`), size: size(message.bytes), sent: answers?.number };
    this.#handlers.onArrival(t(answers ? 'messages.echo_arrived' : 'messages.arrived', values));
  }

  /** Large messages leave slowly: shows how much the browser has handed to the network. */
  progress(message, bytes) {
    if (!message.item || message.item.dataset.roundTripMs) return; // not listed yet, or back already
    const busy = bytes < message.bytes;
    message.meter.hidden = !busy;
    message.meter.value = bytes;
    if (busy) say(message.note, 'messages.handed_over', { part: size(bytes), all: size(message.bytes) });
    else say(message.note, 'messages.waiting');
  }

  /** The connection is over: what was not answered will not be. */
  giveUp(messages) {
    for (const message of messages) {
      message.meter.hidden = true;
      say(message.note, 'messages.not_echoed');
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
      telling('span', `messages.${direction}`, {}, { class: 'direction' }),
      telling('span', `kind.${message.kind}`),
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
        say(message.note, 'messages.unreadable');
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
    const look = { class: same ? 'same' : 'differs', title: t(same ? 'messages.same_bytes' : 'messages.other_bytes') };
    message.meta.append(telling('span', same ? 'messages.equal' : 'messages.unequal', { number: sent.number }, look));
  }

  #removeOldest() {
    const message = this.#kept.shift();
    this.#bytes -= message.bytes;
    message.removed = true;
    message.release?.();
    message.item.remove();
  }
}
