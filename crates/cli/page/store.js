// What the feed has told, oldest first and bounded: summaries to list and to search, and each record's line to show it whole.

const MOST_ENTRIES = 200_000;
const MOST_CHARACTERS = 256 * 1024 * 1024; // of lines; a character of ASCII takes a byte
const PREVIEW = 120;
const MOST_CONNECTIONS = 10_000;

/** How a record is named in a link: `c3f17` is frame 17 of connection 3's client, `c3f17s` the same of its server. */
export function idOf({ connection, from, frame, offset }) {
  const sender = from === 'server' ? 's' : '';
  return frame === undefined ? `c${connection}o${offset}${sender}` : `c${connection}f${frame}${sender}`;
}

export class Store {
  connections = new Map(); // by number
  forgotten = 0; // records
  missed = { connections: 0, records: 0 }; // never came
  #entries = [];
  #byId = new Map();
  #characters = 0;
  #listeners = [];

  /** `listener`: { added(entries), removed(count), cleared(), touched() }, each one optional. */
  watch(listener) {
    this.#listeners.push(listener);
  }

  get entries() {
    return this.#entries;
  }

  find(id) {
    return this.#byId.get(id);
  }

  /** Takes records with the lines they come from. What is here already, as after a reconnection, is passed over. */
  add(records) {
    const added = [];
    for (const { record, line } of records) {
      const id = idOf(record);
      if (this.#byId.has(id)) continue;
      const entry = summary(id, record, line);
      this.#entries.push(entry);
      this.#byId.set(id, entry);
      this.#characters += line.length;
      this.#count(entry, record);
      added.push(entry);
    }
    if (added.length === 0) return;
    this.#tell('added', added);
    if (this.#entries.length > MOST_ENTRIES || this.#characters > MOST_CHARACTERS) this.#forget();
  }

  connection(number) {
    let connection = this.connections.get(number);
    if (!connection) {
      connection = { number, client: null, target: null, frames: 0, bytes: 0, missed: 0, violations: 0, ending: null };
      this.connections.set(number, connection);
      if (this.connections.size > MOST_CONNECTIONS) this.connections.delete(this.connections.keys().next().value);
    }
    return connection;
  }

  /** The entries of the same message, in order: they stand around `entry`, in the same connection and direction. */
  fragmentsOf(entry, most = 1000) {
    if (entry.message === null) return [];
    return this.#entries.filter((other) => other.message === entry.message && other.connection === entry.connection
      && other.from === entry.from).slice(0, most);
  }

  clear() {
    this.#entries = [];
    this.#byId.clear();
    this.#characters = 0;
    this.connections.clear();
    this.forgotten = 0;
    this.missed = { connections: 0, records: 0 };
    this.#tell('cleared');
  }

  /** Something else than an entry has changed: what is known of a connection, or how much is not here. */
  touch() {
    this.#tell('touched');
  }

  #count(entry, { size }) {
    const connection = this.connection(entry.connection);
    if (entry.frame !== null) connection.frames += 1;
    connection.bytes += size;
    if (entry.bad) connection.violations += 1;
  }

  /** An eighth at once, so that forgetting costs little for each record. */
  #forget() {
    const count = Math.ceil(this.#entries.length / 8);
    for (const entry of this.#entries.splice(0, count)) {
      this.#byId.delete(entry.id);
      this.#characters -= entry.line.length;
    }
    this.forgotten += count;
    this.#tell('removed', count);
  }

  #tell(what, ...args) {
    for (const listener of this.#listeners) listener[what]?.(...args);
  }
}

/** What the list shows of a record and the filter asks about. `kind` is `request`, `response`, `opaque`, `gap` or an opcode's name. */
function summary(id, record, line) {
  const isFrame = record.record === 'frame';
  const text = textOf(record);
  return {
    id,
    line,
    connection: record.connection,
    from: record.from,
    frame: isFrame ? record.frame : null,
    kind: isFrame ? record.opcode_name ?? 'cut' : record.record,
    opcode: isFrame ? record.opcode : null,
    fin: record.fin,
    compressed: record.rsv1 === true && Boolean(record.inflated),
    length: isFrame ? record.payload_length ?? 0 : record.size,
    size: record.size,
    seconds: Number(record.time_ns ?? 0) / 1e9,
    message: record.message?.number ?? null,
    payload: record.opcode === 9 || record.opcode === 10 ? record.payload : null, // a Pong is found by its Ping's
    bad: record.violations.length > 0,
    hinted: record.hints.length > 0,
    preview: text.slice(0, PREVIEW).replace(/[\ud800-\udbff]$/, ''),
    text,
  };
}

function textOf(record) {
  if (record.record === 'request') return record.method === null ? record.head : `${record.method} ${record.target}`;
  if (record.record === 'response') return record.status === null ? record.head : `${record.status} ${record.reason}`;
  if (record.record === 'opaque') return record.bytes;
  if (record.record === 'gap') return '';
  if (record.close) return [record.close.code, record.close.reason].filter((part) => part !== null && part !== '').join(' ');
  const text = record.text ?? printable(record.payload);
  return record.begins_within?.character ? record.begins_within.character + text : text;
}

/** Bytes that happen to be ASCII one can read, as it often is in a Ping; else their hex. */
function printable(digits) {
  const isPrintable = digits.length <= 250 && /^(?:[2-6][0-9a-f]|7[0-9a-e])+$/.test(digits);
  return isPrintable ? digits.replace(/../g, (pair) => String.fromCharCode(parseInt(pair, 16))) : digits;
}

/** The whole record of an entry, read again from its line. */
export const recordOf = (entry) => JSON.parse(entry.line);
