// permessage-deflate (RFC 7692) for peer.mjs: the same as deflate.py, where everything is explained.

const MIB = 1024 * 1024;
const SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, MIB, 5_000_000];
const FEW_SIZES = [0, 1, 126, 65_536];
const MANY = 1000;
const FEW = 20;
const AT_ONCE = 16;

const NAME = 'permessage-deflate';

/** Each byte's character, in UTF-8. */
const CHARACTERS = Array.from({ length: 256 }, (_, i) =>
  Buffer.from(String.fromCodePoint(i < 192 ? 0x20 + (i % 95) : i < 216 ? 0xc0 + i : i < 248 ? 0x4e00 + i : 0x1f500 + i)));

/** Random messages which repeat themselves across every distance up to 40,000 bytes, so beyond the largest window. */
export class Source {
  #state;
  #past = Buffer.from('in the beginning');

  constructor(seed) {
    this.#state = seed;
  }

  /** From 0 up to 1, which it never is (mulberry32). */
  #random() {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number below this one. */
  #below(limit) {
    return Math.floor(this.#random() * limit);
  }

  bytes(size) {
    const before = this.#past.length;
    // A piece may reach beyond the end.
    const all = Buffer.alloc(before + size + 300);
    this.#past.copy(all);
    let length = before;
    while (length < before + size) {
      if (this.#random() < 0.7) {
        const at = length - Math.min(Math.floor(2 ** (this.#random() * 15.3)), length);
        length += all.copy(all, length, at, Math.min(at + 3 + this.#below(298), length));
      } else {
        for (let left = 1 + this.#below(40); left > 0; left--) all[length++] = this.#below(256);
      }
    }
    this.#past = Buffer.from(all.subarray(Math.max(0, length - 40_000), length));
    return all.subarray(before, before + size);
  }

  /** A text of exactly so many bytes, in UTF-8. */
  text(size) {
    const out = Buffer.alloc(size, 'x');
    let length = 0;
    for (const byte of this.bytes(size)) {
      const character = CHARACTERS[byte];
      if (length + character.length > size) break;
      length += character.copy(out, length);
    }
    return out;
  }

  message() {
    const size = this.#below(1 << this.#below(15));
    const binary = this.#random() < 0.5;
    return { binary, data: binary ? this.bytes(size) : this.text(size) };
  }
}

/** A function that tells how many of the messages that came were compressed. */
export function countCompressed(ws) {
  const extension = ws._extensions[NAME];
  if (!extension) return () => 0;
  const { decompress } = extension;
  let compressed = 0;
  extension.decompress = function counted(...args) {
    compressed += 1;
    return decompress.apply(this, args);
  };
  return () => compressed;
}

/** The server's configuration from the query of a URL. */
export function serverOptions(query) {
  const bits = (name) => (query.has(name) ? Number(query.get(name)) : undefined);
  return {
    serverNoContextTakeover: query.has('server_no_context_takeover') || undefined,
    clientNoContextTakeover: query.has('client_no_context_takeover') || undefined,
    serverMaxWindowBits: bits('server_max_window_bits'),
    clientMaxWindowBits: bits('client_max_window_bits'),
    threshold: 0,
  };
}

/** Every offer the client can make: `clientBits` is false for none, and true for one without a value. */
function* offers() {
  const bits = [8, 9, 10, 11, 12, 13, 14, 15];
  for (const serverNo of [false, true]) {
    for (const clientNo of [false, true]) {
      for (const serverBits of [undefined, ...bits]) {
        for (const clientBits of [false, true, ...bits]) yield { serverNo, clientNo, serverBits, clientBits };
      }
    }
  }
}

/** Whether it is one of the 32 that get all sizes and many messages: with each kind of takeover, each window. */
const isThorough = ({ serverBits, clientBits }) => clientBits === 23 - serverBits;

/** The answer to an offer by a server which grants what is asked for and asks for nothing itself. */
function granted({ serverNo, clientNo, serverBits, clientBits }) {
  return [
    NAME,
    ...(serverNo ? ['server_no_context_takeover'] : []),
    ...(clientNo ? ['client_no_context_takeover'] : []),
    ...(serverBits ? [`server_max_window_bits=${serverBits}`] : []),
    // 15 is no limit.
    ...(typeof clientBits === 'number' && clientBits < 15 ? [`client_max_window_bits=${clientBits}`] : []),
  ].sort().join('; ');
}

/** `all`: every offer, to a server that grants everything; `some`: a few, and the server may limit them. */
export async function checkOffers({ open, check, closeAndCheck, Different }, url, which) {
  const sizes = new Source(1);
  const fixed = new Map(SIZES.map((size) => [size, [{ binary: false, data: sizes.text(size) }, { binary: true, data: sizes.bytes(size) }]]));
  let connections = 0;
  let number = 0;
  for (const offer of offers()) {
    number += 1;
    if (which === 'some' && !isThorough(offer)) continue;
    const thorough = isThorough(offer) && which === 'all';
    const link = await open(url, {
      perMessageDeflate: {
        serverNoContextTakeover: offer.serverNo,
        // `false` would be a demand that the server does not ask for it.
        clientNoContextTakeover: offer.clientNo || undefined,
        serverMaxWindowBits: offer.serverBits,
        clientMaxWindowBits: offer.clientBits === true ? undefined : offer.clientBits,
        threshold: 0,
      },
    });
    const answer = link.answer.split('; ').sort().join('; ');
    if (which === 'all' && answer !== granted(offer)) throw new Different(`${JSON.stringify(offer)} is answered with ${answer}`);
    const compressed = countCompressed(link.ws);
    let messages = 0;
    const exchange = async (batch) => {
      for (const { binary, data } of batch) link.ws.send(data, { binary });
      for (const { binary, data } of batch) {
        const kind = binary ? 'binary' : 'text';
        await check(`${kind} of ${data.length} bytes under ${answer}`, kind, data, link.take);
      }
      messages += batch.length;
    };
    for (const size of thorough ? SIZES : FEW_SIZES) {
      for (const message of fixed.get(size)) await exchange([message]);
    }
    const source = new Source(number);
    for (let left = thorough ? MANY : FEW; left > 0; left -= AT_ONCE) {
      await exchange(Array.from({ length: AT_ONCE }, () => source.message()));
    }
    if (which === 'all' && compressed() * 4 <= messages) throw new Different(`${compressed()} of ${messages} answers are compressed under ${answer}`);
    await closeAndCheck(link);
    connections += 1;
  }
  return connections;
}
