// The figure of a draft, or of a message whose frame no feed tells of: what RFC 6455 leaves a browser to do with it.

import { el, size } from './dom.js';
import { ALWAYS_ONE_FRAME, frameOf, hex, operationsOf, whyThisForm } from './frame.js';
import { bitGrid } from './grid.js';
import { locale, t } from './language.js';
import { bytesOf, charactersOf } from './utf8.js';

const SHOWN_CHARACTERS = 12;
const SHOWN_BYTES = 16;

/**
 * Fills `figure`. `subject`: { number, title, kind, bytes, beginning }, where `beginning` is the text, or a Uint8Array with
 * at least the first bytes; a draft has a `label` in place of a number. `extensions` is what the connection negotiated.
 */
export function drawFigure(figure, subject, extensions = '') {
  const frame = frameOf(subject.kind, subject.bytes);
  begin(figure, { form: frame.form, headerLength: frame.headerLength, message: subject.number ?? 'draft' });
  const { number, label = t('figure.number', { number }), title, kind, bytes } = subject;
  figure.replaceChildren(
    caption(label, title, t(`figure.one_frame_${kind}`, { header: frame.headerLength, payload: size(bytes, { long: true }) })),
    ...bitGrid(figure, frame, firstBytes(subject)),
    el('h3', {}, t(kind === 'text' ? 'figure.bytes_text' : 'figure.bytes')),
    wireBytes(frame, subject),
    el('p', { class: 'why' }, aboutPayload(frame)),
    ...operations(frame),
    ...doubts(frame, extensions),
  );
}

/** Marks the figure with what it shows, for style and for tests, and forgets what it showed before. */
export function begin(figure, data) {
  for (const name of ['form', 'headerLength', 'message', 'record', 'lit']) delete figure.dataset[name];
  Object.assign(figure.dataset, data);
}

export function caption(label, title, sentence) {
  return el('figcaption', {},
    el('h2', { id: 'figure-title' }, el('span', { class: 'label' }, label), ' ', title),
    el('p', {}, sentence));
}

/** As many bytes of the payload as the figure ever shows. */
const firstBytes = ({ kind, beginning }) => (kind === 'text' ? new TextEncoder().encode(beginning.slice(0, 16)) : beginning);

/** The frame as bytes: the header, coloured like the cells above, then the payload's first characters with theirs. */
function wireBytes(frame, { kind, beginning }) {
  const items = kind === 'text' ? charactersOf(beginning, SHOWN_CHARACTERS) : bytesOf(beginning.slice(0, SHOWN_BYTES));
  let index = 0;
  const payload = items.map(({ bytes, ...item }) => ({
    ...item,
    pairs: bytes.map((value) => [value, `k${index++ % 4}`]),
  }));
  return byteList(frame, payload, frame.length - index);
}

/**
 * The header's bytes and the payload's. `payload` has { shown, standIn, codePoint, pairs } of characters or bytes, each pair a
 * byte and what stands under it; `left` counts the bytes that are not in it.
 */
export function byteList({ bytes, key, masked, headerLength }, payload, left) {
  const digits = (text, field) => el('b', { data: { field } }, text);
  const byte = (field, index, ...parts) => el('li', {}, el('span', { class: 'pairs', data: { field } },
    el('span', {}, el('span', {}, ...parts), el('small', {}, `b${index}`))));
  const [b0, b1, ...extended] = bytes;
  const list = el('ol', { class: 'wire', 'aria-label': t('figure.bytes_label') });
  // The first byte's two hex digits are two halves of different meaning: FIN with RSV1–3, and the opcode.
  list.append(byte('fin', 0, digits(hex(b0)[0], 'fin'), digits(hex(b0)[1], 'opcode')));
  if (b1 !== undefined) list.append(byte('length', 1, digits(hex(b1), 'length')));
  list.append(...extended.map((value, i) => byte('extended', 2 + i, digits(hex(value), 'extended'))));
  if (masked && headerLength === bytes.length + 4) {
    list.append(...[0, 1, 2, 3].map((i) => byte('key', bytes.length + i, digits(key ? hex(key[i]) : '··', 'key'))));
  }
  for (const { shown, standIn, codePoint, pairs } of payload) {
    const lang = /\p{Script=Han}/u.test(shown) ? 'zh' : '';
    list.append(el('li', {},
      el('span', { class: standIn ? 'character stand-in' : 'character', title: codePoint, lang }, shown),
      el('span', { class: 'pairs', data: { field: 'payload' } },
        ...pairs.map(([value, under]) => el('span', {}, el('b', {}, value), el('small', {}, under))))));
  }
  if (left > 0) list.append(el('li', { class: 'rest' }, t('figure.more', { size: size(left) })));
  return list;
}

function aboutPayload({ length, kind }) {
  if (length === 0) return t('figure.empty');
  return `${t('figure.masking')} ${t(kind === 'text' ? 'figure.about_text' : 'figure.about_binary')}`;
}

/** The operations that take the header apart, and why its length has the form it has. */
export function operations(frame) {
  const rows = operationsOf(frame).map(({ id, expression, result, means }) => el('tr', { data: { operation: id } },
    el('th', { scope: 'row' }, el('code', {}, result === null ? expression : `${expression} = ${result}`)),
    el('td', {}, means)));
  return [
    el('h3', {}, t('figure.operations')),
    el('table', { class: 'operations' }, el('tbody', {}, ...rows)),
    el('h3', {}, t(`why.title.${frame.form}`)),
    el('p', { class: 'why' }, whyThisForm(frame)),
  ];
}

/** Where the browser may have done otherwise, and a page without a feed could not tell. */
function doubts({ length, opcode }, extensions) {
  const notes = [];
  if (length > ALWAYS_ONE_FRAME) notes.push(t('doubt.cut', { most: ALWAYS_ONE_FRAME.toLocaleString(locale()), opcode }));
  if (extensions) notes.push(t('doubt.compressed', { extensions }));
  return notes.map((note) => el('p', { class: 'doubt' }, note));
}
