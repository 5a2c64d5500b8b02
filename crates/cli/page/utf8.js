// The beginning of a payload, one character (or byte) at a time, with the bytes that carry it. Pure, like frame.js.

import { hex } from './frame.js';

const encoder = new TextEncoder();

/** How many bytes of UTF-8 a text becomes. A lone surrogate counts as U+FFFD, which is what the browser sends for it. */
export const byteLength = (text) => encoder.encode(text).length;

/** The first `most` code points of a text: { shown, standIn, codePoint, bytes } each, `bytes` as hex. */
export function charactersOf(text, most) {
  const characters = [];
  for (const character of text) {
    if (characters.length === most) break;
    const bytes = [...encoder.encode(character)].map(hex);
    const codePoint = /\p{Surrogate}/u.test(character) ? 0xfffd : character.codePointAt(0);
    characters.push({ ...visible(character, codePoint), codePoint: numberOf(codePoint), bytes });
  }
  return characters;
}

/** The same for bytes that are no text: what ASCII would make of each, or a dot. */
export function bytesOf(bytes) {
  return [...bytes].map((byte) => ({
    shown: byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '·',
    codePoint: '',
    bytes: [hex(byte)],
  }));
}

const NAMES = { 0x09: 'TAB', 0x0a: 'LF', 0x0d: 'CR', 0x200d: 'ZWJ' };

/** A character as something one can see, or what stands for it: a short name or its number. */
function visible(character, codePoint) {
  if (codePoint === 0x20) return { shown: '␣' };
  if (codePoint === 0xfffd) return { shown: '\ufffd' };
  if (NAMES[codePoint] || /^[\p{C}\p{Z}\p{M}]$/u.test(character)) return { shown: NAMES[codePoint] ?? numberOf(codePoint), standIn: true };
  return { shown: character };
}

const numberOf = (codePoint) => `U+${codePoint.toString(16).toUpperCase().padStart(4, '0')}`;
