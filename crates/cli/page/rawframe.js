// The bytes of a frame as anybody likes it, right or wrong. Pure.

/** The largest each form of the length can say. */
const MOST = { 7: 125n, 16: 0xffffn, 64: 0xffff_ffff_ffff_ffffn };

/**
 * A frame: `fin`, `rsv` (0 to 7), `opcode`, `key` (four bytes, or null for none), `payload` (unmasked), `form` ('auto', '7',
 * '16' or '64') and `claim`, the length that the header says, a BigInt, or null for the true one. Throws a RangeError whose
 * `key` names the words where the form cannot say the length.
 */
export function rawFrame({ fin, rsv, opcode, key, payload, form, claim }) {
  const length = claim ?? BigInt(payload.length);
  const used = form === 'auto' ? (length <= MOST[7] ? '7' : length <= MOST[16] ? '16' : '64') : form;
  // 126 and 127 are markers, so seven bits say them only when asked to claim them.
  const most = used === '7' && claim !== null ? 127n : MOST[used];
  if (length > most || length < 0n) throw Object.assign(new RangeError('the form cannot say this length'), { key: 'raw.form_too_small' });
  const length7 = used === '7' ? Number(length) : used === '16' ? 126 : 127;
  const extended = { 7: 0, 16: 2, 64: 8 }[used];
  const header = [(fin ? 0x80 : 0) | (rsv << 4) | opcode, (key ? 0x80 : 0) | length7];
  for (let i = extended - 1; i >= 0; i -= 1) header.push(Number((length >> BigInt(8 * i)) & 0xffn));
  const masked = key ? payload.map((byte, i) => byte ^ key[i % 4]) : payload;
  const bytes = new Uint8Array(header.length + (key ? 4 : 0) + payload.length);
  bytes.set(header);
  if (key) bytes.set(key, header.length);
  bytes.set(masked, header.length + (key ? 4 : 0));
  return { bytes, headerLength: header.length, payloadStart: header.length + (key ? 4 : 0) };
}

/** Bytes of hex with spaces, commas, colons and 0x as one likes, or null where it is none. */
export function parseHex(text) {
  const digits = text.replace(/0x|[\s,:]/gi, '');
  if (digits.length % 2 === 1 || /[^0-9a-f]/i.test(digits)) return null;
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

export function toHex(bytes) {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}
