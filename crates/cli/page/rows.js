// One row of the list of frames.

import { el, size } from './dom.js';
import { t } from './language.js';

export const ROW_HEIGHT = 26; // pixels, as in inspector.css

export const ARROWS = { client: '↑', server: '↓' };

/** The row of an entry, the `index`-th of `count`. */
export function rowOf(entry, index, count, selected) {
  const row = el('div', {
    id: `row-${entry.id}`,
    class: `entry${entry.bad ? ' bad' : ''}`,
    role: 'option',
    'aria-selected': String(selected),
    'aria-posinset': index + 1,
    'aria-setsize': count,
    'aria-label': spoken(entry),
    data: { id: entry.id, kind: entry.kind, from: entry.from ?? '' },
  },
  el('span', { class: 'id' }, entry.id),
  el('span', { class: 'arrow' }, ARROWS[entry.from] ?? '·'),
  el('span', { class: 'time' }, time(entry.seconds)),
  el('span', { class: 'kind' }, nameOf(entry)),
  el('span', { class: 'fin', title: entry.fin === false ? 'FIN 0' : '' }, entry.fin === null || entry.fin === undefined ? '' : entry.fin ? '■' : '□'),
  el('span', { class: 'length' }, shortLength(entry.length)),
  el('bdi', { class: 'preview' }, `${entry.bad ? '✗ ' : ''}${oneLine(entry.preview)}`));
  return row;
}

/** The kind as a word: that of an opcode is the RFC's, in every language. */
export function nameOf({ kind, opcode, compressed }) {
  const name = kind === 'reserved' ? `0x${opcode.toString(16)}` : ['request', 'response', 'opaque', 'gap', 'cut'].includes(kind) ? t(`kind.${kind}`) : kind;
  return compressed ? `${name} ⇣` : name;
}

const time = (seconds) => (seconds >= 10_000 ? seconds.toFixed(1) : seconds.toFixed(3));

const shortLength = (length) => (Number(length) < 100_000 ? String(length) : size(Number(length)));

/** Control characters would be seen as nothing, or as a new line. */
const oneLine = (text) => text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, '␣');

function spoken(entry) {
  const { from, fin, length, preview, bad, id } = entry;
  const parts = [id, t(`detail.${from ?? 'unknown'}`), nameOf(entry), fin ? 'FIN' : '', size(Number(length)), oneLine(preview), bad ? t('fault.violations') : ''];
  return parts.filter(Boolean).join(', ');
}
