// From a message's kind and length to the frame header a browser writes for it (RFC 6455 section 5.2).
//
// Pure: no document, no socket. For a draft, and where no feed tells of the real frame (wire.js), it is what a client has no
// choice about: one message in one frame, masked, with the shortest form of the length. Only the masking key stays unknown.

import { hasWords, locale, t } from './language.js';

/** What an opcode stands for; those that stand for nothing yet are reserved. */
export const opcodeWords = (opcode) => t(hasWords(`opcode.${opcode}`) ? `opcode.${opcode}` : 'opcode.reserved');

export const OPCODES = { text: 1, binary: 2 };

/** The largest payload each form can say, and how many bytes it adds after the first two. */
export const LENGTH_FORMS = [
  { form: '7', most: 125, extra: 0 },
  { form: '7+16', most: 65_535, extra: 2, marker: 126 },
  { form: '7+64', most: Number.MAX_SAFE_INTEGER, extra: 8, marker: 127 },
];

/** Above this many bytes Chromium may cut a message into several frames; up to it a message is one frame. */
export const ALWAYS_ONE_FRAME = 65_536;

/** The frame of a whole message. `kind` is 'text' or 'binary', `length` counts the bytes of the payload. */
export function frameOf(kind, length) {
  const opcode = OPCODES[kind];
  if (opcode === undefined) throw new RangeError(`no such kind of message: ${kind}`);
  if (!Number.isSafeInteger(length) || length < 0) throw new RangeError(`no such length: ${length}`);

  const lengthForm = LENGTH_FORMS.find(({ most }) => length <= most);
  const length7 = lengthForm.marker ?? length;
  const extended = bigEndian(length, lengthForm.extra);
  const bytes = [0x80 | opcode, 0x80 | length7, ...extended];
  return {
    kind,
    length,
    fin: 1,
    rsv: 0,
    opcode,
    masked: true,
    length7,
    form: lengthForm.form,
    lengthForm,
    bytes, // everything in front of the masking key
    key: null, // is not known
    headerLength: bytes.length + 4,
    fields: fieldsOf(opcode, length7, extended, length),
  };
}

/** `value` in `count` bytes, the most significant first: network byte order. */
function bigEndian(value, count) {
  const bytes = [];
  for (let rest = BigInt(value), i = 0; i < count; i += 1, rest >>= 8n) bytes.unshift(Number(rest & 0xffn));
  return bytes;
}

/** The header's fields in wire order. `bits` is a string of 0 and 1, or of dots where a page cannot know. */
function fieldsOf(opcode, length7, extended, length) {
  const field = (id, name, bits) => ({ id, name, width: bits.length, bits });
  const fields = [
    field('fin', 'FIN', '1'),
    field('rsv', 'RSV1', '0'),
    field('rsv', 'RSV2', '0'),
    field('rsv', 'RSV3', '0'),
    field('opcode', 'opcode', binary(opcode, 4)),
    field('mask', 'MASK', '1'),
    field('length', 'Payload len', binary(length7, 7)),
  ];
  if (extended.length > 0) {
    fields.push(field('extended', 'Extended payload length', extended.map((byte) => binary(byte, 8)).join('')));
  }
  fields.push(field('key', 'Masking-key', '·'.repeat(32)));
  return [...fields, ...payloadField(fields, length)];
}

/**
 * The payload's field, if there is a payload. The figure is 32 bits wide: the payload fills the row it starts in, and one row
 * more stands for all the rest.
 */
export function payloadField(header, length, bits = '') {
  if (length === 0) return [];
  const used = header.reduce((sum, { width }) => sum + width, 0);
  const width = Math.min(length * 8, (32 - (used % 32)) % 32 + 32);
  return [{ id: 'payload', name: 'Payload data', width, bits: bits.slice(0, width), cut: width < length * 8 }];
}

export const binary = (value, width) => value.toString(2).padStart(width, '0');
export const hex = (byte) => byte.toString(16).toUpperCase().padStart(2, '0');

/** Cuts fields into the figure's rows of 32 bits; a piece knows at which bit of its field it starts. */
export function rowsOf(fields) {
  const rows = [[]];
  let room = 32;
  for (const field of fields) {
    for (let from = 0; from < field.width;) {
      if (room === 0) {
        rows.push([]);
        room = 32;
      }
      const width = Math.min(room, field.width - from);
      rows.at(-1).push({ ...field, width, bits: field.bits.slice(from, from + width), from, continued: from > 0 });
      from += width;
      room -= width;
    }
  }
  return rows;
}

/** The bit operations that take these bytes apart again on the other side, each with its result. */
export function operationsOf({ bytes, fin, rsv, opcode, masked, key, length7, length, lengthForm, headerLength }) {
  const plain = lengthForm.extra === 0;
  const operations = [
    { id: 'fin', expression: 'b0 >> 7', result: fin, means: t(`operation.fin${fin}`) },
    { id: 'rsv', expression: 'b0 >> 4 & 0x07', result: rsv, means: t(rsv === 0 ? 'operation.rsv0' : 'operation.rsv') },
    { id: 'opcode', expression: 'b0 & 0x0F', result: opcode, means: t('operation.opcode', { name: opcodeWords(opcode) }) },
    { id: 'mask', expression: 'b1 >> 7', result: masked ? 1 : 0, means: t(masked ? 'operation.mask1' : 'operation.mask0') },
    {
      id: 'length',
      expression: 'b1 & 0x7F',
      result: length7,
      means: plain ? t('operation.length') : t('operation.length_behind', { extra: lengthForm.extra }),
    },
  ];
  if (!plain) {
    const expression = lengthForm.extra === 2 ? 'b2 << 8 | b3' : 'b2 << 56 | … | b9';
    operations.push({ id: 'extended', expression, result: length, means: t('operation.extended', { extra: lengthForm.extra }) });
  }
  if (masked) {
    const first = bytes.length;
    operations.push({
      id: 'key',
      expression: `b${first} … b${first + 3}`,
      result: key && key.map(hex).join(' '),
      means: t(key ? 'operation.key' : 'operation.key_hidden'),
    });
  }
  if (length > 0) {
    operations.push({
      id: 'payload',
      expression: masked ? `b[${headerLength} + i] ^ key[i % 4]` : `b[${headerLength} + i]`,
      result: null,
      means: t(masked ? 'operation.payload_masked' : 'operation.payload'),
    });
  }
  return operations;
}

/** Why the length has this form, in two or three sentences. */
export function whyThisForm({ length, lengthForm, form, masked, headerLength }) {
  const values = { count: length.toLocaleString(locale()), headerLength, extra: lengthForm.extra, bytes: 2 + lengthForm.extra };
  const shortest = LENGTH_FORMS.find(({ most }) => length <= most) ?? lengthForm;
  const because = t(shortest.form === form ? `why.${form}` : 'why.too_long', values);
  const sum = t(masked ? 'why.header_masked' : 'why.header', values);
  return form === '7' ? `${because} ${sum}` : `${because} ${sum} ${t('why.shortest')}`;
}
