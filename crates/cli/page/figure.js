// Draws the figure of RFC 6455 section 5.2 for one message, and under it everything that explains the figure.

import { el, size } from './dom.js';
import { ALWAYS_ONE_FRAME, frameOf, hex, operationsOf, rowsOf, whyThisForm } from './frame.js';
import { bytesOf, charactersOf } from './utf8.js';

const SHOWN_CHARACTERS = 12;
const SHOWN_BYTES = 16;

/**
 * Fills `figure`. `subject`: { number, title, kind, bytes, beginning }, where `beginning` is the text, or a Uint8Array with
 * at least the first bytes; a draft has a `label` in place of a number. `extensions` is what the connection negotiated.
 */
export function drawFigure(figure, subject, extensions = '') {
  const frame = frameOf(subject.kind, subject.bytes);
  Object.assign(figure.dataset, { form: frame.form, headerLength: frame.headerLength, message: subject.number ?? 'draft' });
  figure.replaceChildren(
    caption(subject, frame),
    bitGrid(frame, firstBytes(subject)),
    el('h3', {}, subject.kind === 'text' ? 'In bytes, the text as UTF-8' : 'In bytes'),
    wireBytes(frame, subject),
    el('p', { class: 'why' }, aboutPayload(frame)),
    el('h3', {}, 'Taken apart by bit operations'),
    operationTable(frame),
    el('h3', {}, `Why the length takes ${frame.lengthForm.name}`),
    el('p', { class: 'why' }, whyThisForm(frame)),
    ...doubts(frame, extensions),
  );
}

function caption({ number, label = `Fig. ${number}.`, title, kind, bytes }, { headerLength }) {
  const what = kind === 'text' ? 'text' : 'binary data';
  return el('figcaption', {},
    el('h2', { id: 'figure-title' }, el('span', { class: 'label' }, label), ' ', title),
    el('p', {}, `One frame: a header of ${headerLength} bytes and a payload of ${size(bytes, { long: true })} of ${what}.`));
}

/** 32 columns, one a bit, as in the RFC. Each cell has its field's name above its bits. */
function bitGrid(frame, payload) {
  const spoken = frame.fields.map(({ name, bits }) => (bits ? `${name} ${bits.startsWith('·') ? 'unknown' : bits}` : name));
  const grid = el('div', { class: 'bits', role: 'img', 'aria-label': `The frame, field by field: ${spoken.join(', ')}.` });
  const columns = [...Array(32).keys()];
  grid.append(...columns.map((bit) => el('span', { class: 'ruler' }, bit % 10 === 0 ? String(bit / 10) : '')));
  grid.append(...columns.map((bit) => el('span', { class: 'ruler' }, String(bit % 10))));
  for (const row of rowsOf(frame.fields)) grid.append(...row.map((piece) => cell(piece, frame, payload)));
  return grid;
}

function cell(piece, { lengthForm, length }, payload) {
  const name = el('span', { class: piece.width === 1 ? 'name stacked' : 'name' }, nameOf(piece, lengthForm, length));
  const bits = el('span', { class: 'digits' }, ...[...piece.bits].map((bit) => el('i', {}, bit)));
  const open = piece.id === 'payload' && piece.cut ? ' open' : '';
  const element = el('div', { class: `cell${open}`, data: { field: piece.id, bits: piece.bits, name: piece.name } },
    name, byteNames(piece, payload), bits);
  // Through the style object: the page's policy forbids style attributes in markup.
  element.style.gridColumn = `span ${piece.width}`;
  bits.style.gridTemplateColumns = `repeat(${piece.width}, 1fr)`;
  return element;
}

/** In the key's cells the names of its bytes, in the payload's what masking makes of each byte. */
function byteNames({ id, from, width }, payload) {
  if (id !== 'key' && id !== 'payload') return null;
  const names = [];
  for (let i = from / 8; i < (from + width) / 8; i += 1) {
    names.push(el('span', {}, id === 'key' ? `k${i}` : `${hex(payload[i])} ⊕ k${i % 4}`));
  }
  return el('span', { class: 'byte-names' }, ...names);
}

/** As many bytes of the payload as the figure ever shows. */
const firstBytes = ({ kind, beginning }) => (kind === 'text' ? new TextEncoder().encode(beginning.slice(0, 16)) : beginning);

function nameOf({ id, name, continued, width }, { extra }, length) {
  if (id === 'payload') return continued ? `… ${size(length)} in all` : width < 16 ? 'Payload' : 'Payload data';
  if (continued) return `${name} (continued)`;
  if (id === 'extended') return `${name} (${extra * 8})`;
  return name;
}

/** The frame as bytes: the header, coloured like the cells above, then the payload's first characters with theirs. */
function wireBytes({ bytes, length }, { kind, beginning }) {
  const digits = (text, field) => el('b', { data: { field } }, text);
  const byte = (field, index, ...parts) => el('li', {}, el('span', { class: 'pairs', data: { field } },
    el('span', {}, el('span', {}, ...parts), el('small', {}, `b${index}`))));
  const [b0, b1, ...extended] = bytes;
  const wire = el('ol', { class: 'wire', 'aria-label': 'The frame in bytes' },
    // The first byte's two hex digits are two halves of different meaning: FIN with RSV1–3, and the opcode.
    byte('fin', 0, digits(hex(b0)[0], 'fin'), digits(hex(b0)[1], 'opcode')),
    byte('length', 1, digits(hex(b1), 'length')),
    ...extended.map((value, i) => byte('extended', 2 + i, digits(hex(value), 'extended'))),
    ...[0, 1, 2, 3].map((i) => byte('key', bytes.length + i, digits('··', 'key'))));

  let index = 0;
  const items = kind === 'text' ? charactersOf(beginning, SHOWN_CHARACTERS) : bytesOf(beginning.slice(0, SHOWN_BYTES));
  for (const item of items) {
    const pairs = item.bytes.map((value, i) => el('span', {}, el('b', {}, value), el('small', {}, `k${(index + i) % 4}`)));
    const lang = /\p{Script=Han}/u.test(item.shown) ? 'zh' : '';
    wire.append(el('li', {},
      el('span', { class: item.standIn ? 'character stand-in' : 'character', title: item.codePoint, lang }, item.shown),
      el('span', { class: 'pairs', data: { field: 'payload' } }, ...pairs)));
    index += pairs.length;
  }
  if (length > index) wire.append(el('li', { class: 'rest' }, `… ${size(length - index)} more`));
  return wire;
}

function aboutPayload({ length, kind }) {
  if (length === 0) return 'The payload is empty, and an empty message is a message.';
  const masked = 'Masking XORs each byte with the byte of the key under it: byte i with key byte i mod 4. ';
  return masked + (kind === 'text'
    ? 'A character takes one to four bytes; only all of them together are text.'
    : 'The frame carries neither a name nor a type, and its length says nothing about the kind of content.');
}

function operationTable(frame) {
  const rows = operationsOf(frame).map(({ id, expression, result, means }) => el('tr', { data: { operation: id } },
    el('th', { scope: 'row' }, el('code', {}, result === null ? expression : `${expression} = ${result}`)),
    el('td', {}, means)));
  return el('table', { class: 'operations' }, el('tbody', {}, ...rows));
}

/** Where the browser may have done otherwise, and a page could not tell. */
function doubts({ length, opcode }, extensions) {
  const notes = [];
  if (length > ALWAYS_ONE_FRAME) {
    notes.push(`A browser may cut a message of more than ${ALWAYS_ONE_FRAME.toLocaleString('en')} bytes into several frames, as `
      + `Chromium does where its buffers end: first FIN 0 with opcode ${opcode}, then FIN 0 with opcode 0, at last FIN 1 with `
      + 'opcode 0, each with its own length and key. A page cannot see the cuts; drawn above is the message in one frame.');
  }
  if (extensions) {
    notes.push(`This connection negotiated “${extensions}”. If the browser compresses the message, RSV1 is 1 and the length is `
      + 'that of the compressed bytes, which a page cannot see; drawn above is the message as it is without compression.');
  }
  return notes.map((note) => el('p', { class: 'doubt' }, note));
}
