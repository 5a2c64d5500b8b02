// Which entries the list shows: by connection, direction, kind, violations and text.

import { $ } from './dom.js';

const KINDS = {
  data: (kind) => kind === 'text' || kind === 'binary' || kind === 'continuation',
  control: (kind) => kind === 'close' || kind === 'ping' || kind === 'pong',
  head: (kind) => kind === 'request' || kind === 'response',
  other: (kind) => kind === 'opaque' || kind === 'gap' || kind === 'cut',
};

export class Filter {
  connection = null;
  direction = '';
  kind = '';
  onlyBad = false;
  #query = '';

  set query(text) {
    this.#query = text.toLowerCase();
  }

  matches(entry) {
    if (this.connection !== null && entry.connection !== this.connection) return false;
    if (this.direction !== '' && entry.from !== this.direction) return false;
    if (this.onlyBad && !entry.bad) return false;
    if (this.kind !== '' && !(KINDS[this.kind]?.(entry.kind) ?? entry.kind === this.kind)) return false;
    return this.#query === '' || entry.text.toLowerCase().includes(this.#query);
  }

  /** Takes what the reader sets; `onChange` follows each time. */
  bind(onChange) {
    const controls = {
      search: ({ value }) => { this.query = value; },
      'filter-direction': ({ value }) => { this.direction = value; },
      'filter-kind': ({ value }) => { this.kind = value; },
      'filter-bad': ({ checked }) => { this.onlyBad = checked; },
    };
    for (const [id, take] of Object.entries(controls)) {
      $(id).oninput = () => {
        take($(id));
        onChange();
      };
    }
  }
}
