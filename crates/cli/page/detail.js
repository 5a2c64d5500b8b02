// A record of the feed in full: the figure with the frame's real bits and key, and all that is known about it.

import { assembly, closing, compression, straddling } from './assembly.js';
import { el, size } from './dom.js';
import { begin, byteList, caption, operations } from './figure.js';
import { hex } from './frame.js';
import { bitGrid } from './grid.js';
import { drawOther } from './head.js';
import { hasWords, t, told } from './language.js';
import { recordOf } from './store.js';
import { bytesOf } from './utf8.js';
import { maskSteps, piecesOf, wireFrame } from './wire.js';

const SHOWN_PIECES = 24;
const SHOWN_BYTES = 32;
const STEPS = 16;
const MOST_STEPS = 512;

/** Fills `figure` with an entry of the store. `message` is the number of the page's own message that it carries, if it does. */
export function drawEntry(figure, entry, store, message) {
  const record = recordOf(entry);
  if (record.record === 'frame') return drawFrame(figure, entry, record, store, message);
  begin(figure, { record: entry.id });
  figure.replaceChildren(...drawOther(entry, record, faults(record)));
}

function drawFrame(figure, entry, record, store, message) {
  const frame = wireFrame(record);
  begin(figure, { form: frame.form, headerLength: frame.headerLength, record: entry.id, ...(message && { message }) });
  const label = message ? t('figure.number', { number: message }) : t('figure.record', { id: entry.id });
  figure.replaceChildren(
    caption(label, quote(entry.preview), introduction(entry, record, frame)),
    ...faults(record),
    ...bitGrid(figure, frame, frame.payload),
    ...(frame.bytes.length > 0 ? [el('h3', {}, t('figure.bytes')), bytes(record, frame)] : []),
    ...(frame.masked && frame.payload.length > 0 ? [el('p', { class: 'why' }, t('figure.wire_over_plain'))] : []),
    ...straddling(record, entry),
    ...closing(record),
    ...compression(record, frame),
    ...unmasking(record, frame),
    ...assembly(record, entry, store),
    ...(frame.isWhole ? operations(frame) : []),
  );
}

const quote = (text) => (text === '' ? '' : `“${[...text].slice(0, 24).join('').replace(/\s+/g, ' ')}${[...text].length > 24 ? '…' : ''}”`);

function introduction(entry, record, frame) {
  const who = t(`detail.${record.from ?? 'unknown'}`);
  const parts = [t('detail.frame', {
    who, connection: entry.connection, frame: record.frame, seconds: entry.seconds.toFixed(6),
    header: frame.headerLength, payload: size(frame.length, { long: true }),
  })];
  if (record.within_message !== null) parts.push(t('detail.within', { message: record.within_message }));
  if (record.missing !== 0) {
    parts.push(record.missing_is_exact ? t('detail.missing', { size: size(Number(record.missing)) }) : t('detail.missing_more'));
  }
  if (record.lost) parts.push(t('detail.lost', { size: size(Number(record.lost.bytes)), at: record.lost.at }));
  return parts.join(' ');
}

/** What is wrong with a record, with the section that says so, and what is allowed and good to know. */
function faults({ violations, hints, receiver, receiver_code: code, from }) {
  const items = violations.map(({ rule, message, rfc, section }) => el('li', { data: { rule, section } },
    el('strong', {}, message.includes('§') ? message : `${message} (RFC ${rfc} §${section})`),
    hasWords(`rule.${rule}`) ? el('span', {}, ` ${t(`rule.${rule}`)}`) : null));
  if (receiver === 'fails') items.push(el('li', { class: 'consequence' }, t(from === 'server' ? 'fault.client_fails' : 'fault.server_fails', { code })));
  if (receiver === 'discards') items.push(el('li', { class: 'consequence' }, t('fault.discards')));
  if (receiver === 'has failed') items.push(el('li', { class: 'consequence' }, t('fault.has_failed')));
  return [
    items.length > 0 ? el('ul', { class: 'violations', 'aria-label': t('fault.violations') }, ...items) : null,
    hints.length > 0 ? el('ul', { class: 'hints', 'aria-label': t('fault.hints') },
      ...hints.map(({ hint, message }) => el('li', { data: { hint } }, told(`hint.${hint}`, message)))) : null,
  ].filter(Boolean);
}

/** The bytes as they were sent, each with the byte it is unmasked to, and with the characters that they carry. */
function bytes(record, frame) {
  const { payload, wire, masked } = frame;
  const isText = record.message?.kind === 'text' && !record.inflated;
  const before = record.begins_within?.pieces.find(({ frame: number }) => number === record.frame)?.bytes.length / 2 || 0;
  const items = isText
    ? piecesOf(payload, SHOWN_PIECES, before)
    : bytesOf(payload.slice(0, SHOWN_BYTES)).map((item) => ({ ...item, bytes: [0] }));
  let index = 0;
  const listed = items.map(({ bytes: own, ...item }) => ({
    ...item,
    pairs: [...own].map(() => {
      const at = index++;
      return [hex(wire[at]), masked ? hex(payload[at]) : ''];
    }),
  }));
  return byteList(frame, listed, frame.length - index);
}

/** The mask steps, byte by byte: some at once, more when asked for. */
function unmasking(record, frame) {
  const steps = maskSteps(frame, MOST_STEPS);
  if (steps.length === 0) return [];
  const names = stepNames(record, frame);
  const row = ({ index, wire, key, plain }) => el('tr', { data: { operation: 'payload' } },
    el('th', { scope: 'row' }, el('code', {}, `0x${hex(wire)} ^ 0x${hex(key)} = 0x${hex(plain)}`)),
    el('td', {}, names[index] ?? ''));
  const body = el('tbody', {}, ...steps.slice(0, STEPS).map(row));
  const parts = [el('h3', {}, t('mask.title')), el('table', { class: 'operations steps' }, body)];
  if (frame.length > STEPS) {
    const shown = Math.min(frame.length, steps.length);
    const more = el('button', { type: 'button', class: 'quiet' }, t('mask.more', { count: shown - STEPS }));
    more.onclick = () => {
      body.append(...steps.slice(STEPS).map(row));
      more.remove();
    };
    if (shown > STEPS) parts.push(more);
  }
  return parts;
}

/** For each byte of a text's beginning the character that it belongs to. */
function stepNames(record, { payload }) {
  if (record.message?.kind !== 'text' || record.inflated) return bytesOf(payload.slice(0, MOST_STEPS)).map(({ shown }) => shown);
  const before = record.begins_within?.pieces.find(({ frame: number }) => number === record.frame)?.bytes.length / 2 || 0;
  return piecesOf(payload.slice(0, MOST_STEPS), MOST_STEPS, before).flatMap(({ shown, bytes: own }) => (
    [...own].map((_, i) => (own.length === 1 ? shown : t('mask.byte_of', { shown, i: i + 1, count: own.length })))));
}
