// From a message's kind and length to the frame header a browser writes for it (RFC 6455 section 5.2).
//
// Pure: no document, no socket. A page never sees its frames, but a client has no choice about these bits: one message in
// one frame, masked, with the shortest form of the length. Only the four bytes of the masking key stay unknown.

export const OPCODES = { text: 1, binary: 2 };

/** The largest payload each form can say, and how many bytes it adds after the first two. */
export const LENGTH_FORMS = [
  { form: '7', name: '7 bits', most: 125, extra: 0 },
  { form: '7+16', name: '7 + 16 bits', most: 65_535, extra: 2, marker: 126 },
  { form: '7+64', name: '7 + 64 bits', most: Number.MAX_SAFE_INTEGER, extra: 8, marker: 127 },
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
    opcode,
    length7,
    form: lengthForm.form,
    lengthForm,
    bytes, // everything in front of the masking key
    keyLength: 4,
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
  if (length > 0) {
    // The figure is 32 bits wide: the payload fills the row it starts in, and one row more stands for all the rest.
    const used = fields.reduce((sum, { width }) => sum + width, 0);
    const shown = Math.min(length * 8, (32 - (used % 32)) % 32 + 32);
    fields.push({ id: 'payload', name: 'Payload data', width: shown, bits: '', cut: shown < length * 8 });
  }
  return fields;
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

/** The bit operations that take these two bytes apart again on the other side, each with its result. */
export function operationsOf({ bytes, kind, opcode, length7, length, lengthForm, headerLength }) {
  const plain = lengthForm.extra === 0;
  const operations = [
    { id: 'fin', expression: 'b0 >> 7', result: 1, means: 'FIN: the message ends with this frame' },
    { id: 'rsv', expression: 'b0 >> 4 & 0x07', result: 0, means: 'RSV1–3: no extension in use' },
    { id: 'opcode', expression: 'b0 & 0x0F', result: opcode, means: kind === 'text' ? 'opcode: text, in UTF-8' : 'opcode: binary' },
    { id: 'mask', expression: 'b1 >> 7', result: 1, means: 'MASK: set, as in every frame of a client' },
    {
      id: 'length',
      expression: 'b1 & 0x7F',
      result: length7,
      means: plain ? 'the length itself' : `the length is in the next ${lengthForm.extra} bytes`,
    },
  ];
  if (!plain) {
    const expression = lengthForm.extra === 2 ? 'b2 << 8 | b3' : 'b2 << 56 | … | b9';
    operations.push({ id: 'extended', expression, result: length, means: `the length, ${bytes.length - 2} bytes, big-endian` });
  }
  const first = bytes.length;
  operations.push({
    id: 'key',
    expression: `b${first} … b${first + 3}`,
    result: null,
    means: 'masking key: 4 random bytes, hidden from a page',
  });
  if (length > 0) {
    operations.push({
      id: 'payload',
      expression: `b[${headerLength} + i] ^ key[i % 4]`,
      result: null,
      means: 'payload byte i, unmasked again',
    });
  }
  return operations;
}

/** Why the length has this form, in two or three sentences. */
export function whyThisForm({ length, lengthForm, form, headerLength }) {
  const count = `${length.toLocaleString('en')} ${length === 1 ? 'byte' : 'bytes'}`;
  const must = 'A sender must take the shortest form that fits (section 5.2).';
  if (form === '7') {
    return `${count} fit into the 7 bits, which count up to 125: no more bytes are needed. `
      + `A header of 2, + 4 for the key = ${headerLength}.`;
  }
  const { extra, marker } = lengthForm;
  const because = form === '7+16'
    ? `7 bits count only up to 125, so they say ${marker}: 2 more bytes follow, and those reach 65,535.`
    : `2 more bytes would reach only 65,535, so the 7 bits say ${marker}: 8 more bytes follow.`;
  return `${count}: ${because} A header of 2 + ${extra} = ${2 + extra}, + 4 for the key = ${headerLength}. ${must}`;
}
