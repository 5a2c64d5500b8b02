// What is no frame: heads of HTTP with what they agree on, bytes nobody can take apart, and gaps.

import { el, size } from './dom.js';
import { caption } from './figure.js';
import { t, told } from './language.js';

const SHOWN_HEX = 2048;

export function drawOther(entry, record, faults) {
  const views = { request: head, response: head, opaque, gap };
  const who = t(`detail.${record.from ?? 'unknown'}`);
  const sentence = t(`detail.${record.record}`, {
    who, connection: entry.connection, seconds: entry.seconds.toFixed(6), size: size(record.size, { long: true }),
  });
  return [caption(t('figure.record', { id: entry.id }), '', sentence), ...faults, ...(views[record.record] ?? opaque)(record)];
}

function head(record) {
  const first = record.record === 'request'
    ? record.method !== null && `${record.method} ${record.target}`
    : record.status !== null && `${record.status} ${record.reason}`;
  const rows = record.headers.map(({ name, value }) => el('tr', {},
    el('th', { scope: 'row' }, el('code', {}, name)), el('td', {}, value)));
  return [
    first ? el('pre', { class: 'text start' }, first) : null,
    el('table', { class: 'headers' }, el('tbody', {}, ...rows)),
    ...agreements(record).map((sentence) => el('p', { class: 'why' }, sentence)),
    el('h3', {}, t('detail.raw')),
    hexBlock(record.head),
  ].filter(Boolean);
}

function agreements({ websocket, accept, subprotocol, compression }) {
  const said = [];
  if (websocket) said.push(t(`head.${websocket}`));
  if (accept) said.push(t('head.accept', { accept }));
  if (subprotocol) said.push(t('head.subprotocol', { subprotocol }));
  if (compression) {
    const { client_takeover: client, server_takeover: server, client_window_bits: clientBits, server_window_bits: serverBits } = compression;
    said.push(t('head.compression', {
      client: t(client ? 'head.takeover' : 'head.no_takeover'), server: t(server ? 'head.takeover' : 'head.no_takeover'), clientBits, serverBits,
    }));
  }
  return said;
}

const opaque = ({ why, message, bytes }) => [
  el('p', { class: 'why' }, told(`opaque.${why}`, message ?? '')),
  hexBlock(bytes ?? ''),
];

const gap = ({ within }) => [
  el('p', { class: 'why' }, within === null ? t('detail.gap_end') : t('detail.gap_within', { frame: within })),
];

/** Hex in pairs, as much of it as one reads. */
export function hexBlock(digits) {
  const shown = digits.slice(0, SHOWN_HEX).replace(/../g, '$& ').trim();
  return el('pre', { class: 'hex' }, digits.length > SHOWN_HEX ? `${shown} …` : shown);
}
