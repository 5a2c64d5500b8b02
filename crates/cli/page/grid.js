// The figure of RFC 6455 section 5.2 itself: 32 columns, one a bit, and what each field says when one points at it.

import { el, size } from './dom.js';
import { hex, opcodeWords, rowsOf } from './frame.js';
import { t } from './language.js';

/**
 * The figure and the line that explains its fields. `payload` holds the payload's first bytes, unmasked. Pointing at a field
 * lights it up wherever `figure` shows it; for the keyboard the fields are one stop, with arrow keys between them.
 */
export function bitGrid(figure, frame, payload) {
  const grid = el('div', { class: 'bits', role: 'list', 'aria-label': t('figure.fields') });
  const ruler = (text) => el('span', { class: 'ruler', 'aria-hidden': 'true' }, text);
  const columns = [...Array(32).keys()];
  grid.append(...columns.map((bit) => ruler(bit % 10 === 0 ? String(bit / 10) : '')));
  grid.append(...columns.map((bit) => ruler(String(bit % 10))));
  for (const row of rowsOf(withPlaces(frame.fields))) grid.append(...row.map((piece) => cell(piece, frame, payload)));

  const explanation = el('p', { class: 'explanation', role: 'status' }, t('figure.point'));
  const cells = [...grid.querySelectorAll('.cell')];
  const light = (element) => {
    figure.dataset.lit = element.dataset.field;
    explanation.textContent = element.getAttribute('aria-label');
  };
  for (const [index, element] of cells.entries()) {
    element.tabIndex = index === 0 ? 0 : -1;
    element.onpointerenter = () => light(element);
    element.onpointerleave = () => { delete figure.dataset.lit; };
    element.onfocus = () => light(element);
    element.onblur = () => { delete figure.dataset.lit; };
    element.onkeydown = (event) => {
      const to = { ArrowRight: index + 1, ArrowDown: index + 1, ArrowLeft: index - 1, ArrowUp: index - 1, Home: 0, End: cells.length - 1 }[event.key];
      if (cells[to] === undefined) return;
      event.preventDefault();
      element.tabIndex = -1;
      cells[to].tabIndex = 0;
      cells[to].focus();
    };
  }
  return [grid, explanation];
}

/** Each field with its whole bits and the bit it begins with, which its pieces in several rows then share. */
function withPlaces(fields) {
  let first = 0;
  return fields.map((field) => {
    const placed = { ...field, all: field.bits, allWidth: field.width, first };
    first += field.width;
    return placed;
  });
}

function cell(piece, frame, payload) {
  const name = el('span', { class: piece.width === 1 ? 'name stacked' : 'name' }, nameOf(piece, frame));
  const bits = el('span', { class: 'digits' }, ...[...piece.bits].map((bit) => el('i', {}, bit)));
  const open = piece.id === 'payload' && piece.cut ? ' open' : '';
  const element = el('div', {
    class: `cell${open}`, role: 'listitem', 'aria-label': explain(piece, frame),
    data: { field: piece.id, bits: piece.bits, name: piece.name },
  }, name, byteNames(piece, frame, payload), bits);
  // Through the style object: the page's policy forbids style attributes in markup.
  element.style.gridColumn = `span ${piece.width}`;
  bits.style.gridTemplateColumns = `repeat(${piece.width}, 1fr)`;
  return element;
}

/** In the key's cells its bytes or their names, in the payload's what masking makes of each byte. */
function byteNames({ id, from, width }, { key, masked }, payload) {
  if (id !== 'key' && id !== 'payload') return null;
  const names = [];
  for (let i = from / 8; i < (from + width) / 8; i += 1) {
    const byte = payload[i] === undefined ? '··' : hex(payload[i]);
    const keyByte = key ? hex(key[i % 4]) : `k${i % 4}`;
    names.push(el('span', {}, id === 'key' ? keyByte : masked ? `${byte} ⊕ ${keyByte}` : byte));
  }
  return el('span', { class: 'byte-names' }, ...names);
}

function nameOf({ id, name, continued, width }, { length, lengthForm }) {
  if (id === 'payload') {
    return continued ? t('field.payload_rest', { size: size(length) }) : t(width < 16 ? 'field.payload_short' : 'field.payload_name');
  }
  if (continued) return t('field.continued', { name });
  return id === 'extended' ? `${name} (${lengthForm.extra * 8})` : name;
}

/** A field in a sentence: its bits, the bytes they lie in, what it means here, and the section that says so. */
function explain({ id, name, all, allWidth, first, cut }, frame) {
  const last = first + allWidth - 1;
  const [firstByte, lastByte] = [first, last].map((bit) => Math.floor(bit / 8));
  const where = cut
    ? t('field.from', { byte: firstByte })
    : t(firstByte === lastByte ? 'field.in_byte' : 'field.in_bytes', { first: first % 8, last: last % 8, firstByte, lastByte });
  const value = all === '' || all.includes('·') ? '' : allWidth <= 16 ? ` = ${all}` : '';
  return `${name}${value}. ${allWidth === 1 ? t('field.bit', { first: first % 8, byte: firstByte }) : where} ${meaning(id, name, all, frame)}`;
}

function meaning(id, name, bits, { opcode, masked, key, length7, length, lengthForm }) {
  if (bits.startsWith('·') && id !== 'key') return t('meaning.not_there');
  switch (id) {
    case 'fin': return t(`meaning.fin${bits}`);
    case 'rsv': return t(bits === '0' ? 'meaning.rsv0' : name === 'RSV1' ? 'meaning.rsv1' : 'meaning.rsv');
    case 'opcode': return t('meaning.opcode', { opcode, name: opcodeWords(opcode) });
    case 'mask': return t(masked ? 'meaning.mask1' : 'meaning.mask0');
    case 'length': return t(lengthForm?.extra ? 'meaning.length_behind' : 'meaning.length', { length7, extra: lengthForm?.extra });
    case 'extended': return t('meaning.extended', { size: size(length) });
    case 'key': return key ? t('meaning.key', { key: key.map(hex).join(' ') }) : t('meaning.key_hidden');
    default: return t(masked ? 'meaning.payload_masked' : 'meaning.payload', { size: size(length) });
  }
}
