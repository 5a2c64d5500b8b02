// From the frame to the message: characters over the edge of frames, compression, the other fragments, the closing code.

import { closeCodeName } from './connection.js';
import { el, size } from './dom.js';
import { hexBlock } from './head.js';
import { locale, t, told } from './language.js';
import { bytesOfHex, piecesOf } from './wire.js';

const SHOWN_TEXT = 4096;
const SHOWN_LINKS = 60;
const SHOWN_CHARACTERS = 64;

const link = (id, text) => el('a', { href: `#${id}`, class: 'frame-link' }, text);
const idIn = ({ connection, from }, frame) => `c${connection}f${frame}${from === 'server' ? 's' : ''}`;

/** Characters that lie partly in this frame and partly in others, each piece with a link to its frame. */
export function straddling(record, entry) {
  const lines = [[record.begins_within, 'text.begins_within'], [record.ends_within, 'text.ends_within']]
    .filter(([shared]) => shared)
    .map(([{ character, pieces, missing }, key]) => {
      const parts = pieces.flatMap(({ frame, bytes }, i) => [
        i > 0 ? ' | ' : '', el('code', {}, bytes.replace(/../g, '$& ').trim().toUpperCase()),
        frame === record.frame ? ` (${t('text.here')})` : ' ', frame === record.frame ? '' : link(idIn(entry, frame), t('text.frame', { frame })),
      ]);
      return el('li', { class: 'shared' }, t(key), ' ', character ?? '', ' ', ...parts, missing > 0 ? ` | ${t('text.missing', { missing })}` : '');
    });
  return lines.length > 0 ? [el('h3', {}, t('text.straddling')), el('ul', { class: 'straddling' }, ...lines)] : [];
}

export function closing({ close }) {
  if (!close) return [];
  const name = told(`code.${close.code}`, close.name ?? closeCodeName(close.code));
  const sentence = close.code === null ? t('close.empty') : t(close.reason ? 'close.with_reason' : 'close.without', { code: close.code, name });
  return [
    el('h3', {}, t('close.title')),
    el('p', { class: 'why' }, sentence, close.reason ? el('q', { class: 'reason', dir: 'auto' }, close.reason) : ''),
  ];
}

/** The compressed bytes and what they inflate to, side by side. */
export function compression({ inflated, payload, payload_not_kept: notKept, message }, frame) {
  if (!inflated) return [];
  const column = (title, ...children) => el('div', {}, el('h4', {}, title), ...children);
  const percent = inflated.percent === null || inflated.percent === undefined ? '' : t('inflate.percent', { percent: inflated.percent });
  const outcome = inflated.outcome === 'good' ? percent : t(`inflate.${inflated.outcome.replaceAll(' ', '_')}`);
  const plain = bytesOfHex(inflated.payload);
  return [
    el('h3', {}, t('inflate.title')),
    el('div', { class: 'side-by-side' },
      column(t('inflate.compressed', { size: size(frame.length) }), hexBlock(payload)),
      column(t('inflate.inflated', { size: size(plain.length) }), hexBlock(inflated.payload),
        message?.kind === 'text' ? characters(plain) : '')),
    outcome || notKept > 0 ? el('p', { class: 'why' }, outcome) : null,
  ].filter(Boolean);
}

/** Inflated text, each character marked off from the next. */
function characters(bytes) {
  const marked = piecesOf(bytes, SHOWN_CHARACTERS).map(({ shown, standIn }) => (
    el('span', { class: standIn ? 'piece stand-in' : 'piece' }, shown)));
  return el('p', { class: 'pieces', dir: 'auto' }, ...marked);
}

/** The message that the frame is a part of, with links to its other frames, and its text where it ends. */
export function assembly(record, entry, store) {
  const { message } = record;
  if (!message) return [];
  const fragments = store.fragmentsOf(entry);
  const parts = [t(message.ends ? 'message.ends' : 'message.goes_on', {
    number: message.number, kind: t(`kind.${message.kind}`), fragment: message.fragment,
    length: Number(message.length).toLocaleString(locale()),
  })];
  const views = [el('h3', {}, t('message.title')), el('p', { class: 'why' }, ...parts)];
  if (fragments.length > 1) {
    const links = fragments.slice(0, SHOWN_LINKS).map((fragment) => (
      fragment.id === entry.id
        ? el('strong', { 'aria-current': 'true' }, t('text.frame', { frame: fragment.frame }))
        : link(fragment.id, t('text.frame', { frame: fragment.frame }))));
    views.push(el('p', { class: 'fragments' }, ...links.flatMap((one, i) => [i > 0 ? ' · ' : '', one]),
      fragments.length > SHOWN_LINKS ? ` … ${t('message.more', { count: fragments.length - SHOWN_LINKS })}` : ''));
  }
  const text = message.text ?? (message.fragment === 1 && message.ends ? record.text : null);
  if (typeof text === 'string' && text !== '') {
    views.push(el('pre', { class: 'text whole', dir: 'auto' }, text.length > SHOWN_TEXT ? `${text.slice(0, SHOWN_TEXT)}…` : text));
  }
  return views;
}
