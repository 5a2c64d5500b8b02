// From a record of the feed to the frame that passed on the wire, in the shape that frame.js gives a frame. Pure.

import { LENGTH_FORMS, binary, payloadField } from './frame.js';
import { charactersOf } from './utf8.js';

const IDS = {
  FIN: 'fin', RSV1: 'rsv', RSV2: 'rsv', RSV3: 'rsv', opcode: 'opcode', MASK: 'mask', 'Payload len': 'length',
  'Extended payload length': 'extended', 'Masking-key': 'key',
};

/** The bytes that a string of hex digits stands for. */
export function bytesOfHex(digits) {
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** The frame of a record. Where its end has not come, bits that are not there are dots, and what they would say is null. */
export function wireFrame(record) {
  const header = bytesOfHex(record.header);
  const bits = [...header].map((byte) => binary(byte, 8)).join('');
  const fields = record.fields.map(({ name, bit, bits: width }) => (
    { id: IDS[name], name, width, bits: bits.slice(bit, bit + width).padEnd(width, '·') }));
  const lengthForm = LENGTH_FORMS.find(({ form }) => form === { 7: '7', 16: '7+16', 64: '7+64' }[record.length_bits]) ?? null;
  const key = record.masking_key === null ? null : [...bytesOfHex(record.masking_key)];
  const wire = bytesOfHex(record.payload_masked ?? record.payload);
  const length = record.payload_length === null ? 0 : Number(record.payload_length);
  const wireBits = [...wire.slice(0, 8)].map((byte) => binary(byte, 8)).join('').padEnd(64, '·');
  return {
    kind: record.opcode === 1 ? 'text' : 'binary',
    isWhole: lengthForm !== null && (!record.masked || key !== null),
    length,
    fin: Number(record.fin),
    rsv: (header[0] >> 4) & 0x07,
    opcode: record.opcode,
    masked: record.masked === true,
    length7: header[1] & 0x7f,
    form: lengthForm?.form ?? '',
    lengthForm,
    bytes: [...header].slice(0, 2 + (lengthForm?.extra ?? 0)),
    key,
    headerLength: header.length,
    fields: [...fields, ...payloadField(fields, length, wireBits)],
    payload: bytesOfHex(record.payload),
    wire,
  };
}

/** The steps of unmasking: { index, wire, key, plain } for each of the payload's first bytes. */
export function maskSteps({ payload, wire, key }, most) {
  if (key === null) return [];
  return [...wire.slice(0, most)].map((byte, index) => ({ index, wire: byte, key: key[index % 4], plain: payload[index] }));
}

/**
 * The characters of a text frame's payload as pieces: { shown, standIn, codePoint, bytes, whole } in the order of the wire.
 * The first `before` bytes belong to a character that began in an earlier frame. They, the beginning of a character that ends
 * in a later one, and bytes that are no UTF-8 are pieces too.
 */
export function piecesOf(bytes, most, before = 0) {
  const found = [];
  let at = 0;
  const take = (count, shown, more) => {
    found.push({ shown, bytes: bytes.subarray(at, at + count), ...more });
    at += count;
  };
  if (before > 0) take(Math.min(before, bytes.length), '…', { whole: false });
  while (at < bytes.length && found.length < most) {
    const width = characterWidth(bytes, at);
    if (width === 0) {
      take(1, '\ufffd', { whole: false });
      continue;
    }
    if (at + width > bytes.length) {
      take(bytes.length - at, '…', { whole: false });
      continue;
    }
    try {
      const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(at, at + width));
      const [character] = charactersOf(text, 1);
      take(width, character.shown, { standIn: character.standIn, codePoint: character.codePoint, whole: true });
    } catch {
      take(1, '\ufffd', { whole: false });
    }
  }
  return found;
}

/** How many bytes the character takes that begins here, by its first byte; 0 where none can begin (RFC 3629). */
function characterWidth(bytes, at) {
  const first = bytes[at];
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return 2;
  if (first >= 0xe0 && first < 0xf0) return 3;
  return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}
