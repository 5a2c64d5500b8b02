// The only way this page makes elements: by name and by text, never from markup, so that no message can become HTML.

import { locale, say, t } from './language.js';

/** Makes an element. `props` are properties, except `class`, `data` (data-*), and names with a dash, which are attributes. */
export function el(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name === 'class') element.className = value;
    else if (name === 'data') Object.assign(element.dataset, value);
    else if (name.includes('-') || name === 'role') element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ''));
  return element;
}

/** An element that says something in the reader's language, and goes on to say it when the language changes. */
export const telling = (tag, key, values, props = {}) => say(el(tag, props), key, values);

export const $ = (id) => document.getElementById(id);

/** 27 -> "27 bytes", 20971520 -> "20.97 MB (20,971,520 bytes)" in the long form. Decimal units, as on a disk's box. */
export function size(bytes, { long = false } = {}) {
  const exact = t(bytes === 1 ? 'byte' : 'bytes', { count: bytes.toLocaleString(locale()) });
  if (bytes < 10_000) return exact;
  const short = bytes < 1_000_000 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(2)} MB`;
  return long ? `${short} (${exact})` : short;
}

/** Round trips span from tenths of a millisecond to many seconds: three significant digits are enough. */
export function milliseconds(value) {
  if (value >= 9_995) return `${(value / 1000).toFixed(1)} s`;
  return value >= 100 ? `${Math.round(value)} ms` : `${value.toFixed(value >= 10 ? 1 : 2)} ms`;
}

/** The same for SVG, whose attributes are all of them attributes. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
