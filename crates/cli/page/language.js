// The page's languages. What it says stands in one table for each, under the same names; nothing else in the page is prose.

import { EN } from './words-en.js';
import { ZH } from './words-zh.js';

const TABLES = { en: EN, zh: ZH };
const CHOICE = 'sockeye-language';

let language = 'en';
const said = new WeakMap(); // element -> what it says: [key, values]
const listeners = [];

/** The sentence under `key`, with `{name}` replaced by `values.name`. */
export function t(key, values = {}) {
  const sentence = TABLES[language][key];
  if (sentence === undefined) throw new RangeError(`no such words: ${key}`);
  return sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export const hasWords = (key) => TABLES[language][key] !== undefined;

/** What the program tells in English, under a name: as the page says it, or else as it came. */
export const told = (key, message) => (hasWords(key) ? t(key, { message }) : message);

/** The language as BCP 47 has it, for numbers and for the document. */
export const locale = () => (language === 'zh' ? 'zh-CN' : 'en');

/** Makes an element say something, in this language now and in another one once that is chosen. */
export function say(element, key, values) {
  said.set(element, [key, values]);
  element.dataset.says = key;
  element.textContent = t(key, values);
  return element;
}

/** Makes an element say nothing, or what is no prose. */
export function sayNothing(element, text = '') {
  said.delete(element);
  delete element.dataset.says;
  element.textContent = text;
}

export function onLanguage(listener) {
  listeners.push(listener);
}

/** The reader's choice, or else the first of the browser's languages that the page speaks. */
export function startLanguage() {
  const wanted = [localStorage.getItem(CHOICE), ...navigator.languages].map((tag) => tag?.slice(0, 2).toLowerCase());
  setLanguage(wanted.find((tag) => TABLES[tag]) ?? 'en');
}

export function chooseLanguage(tag) {
  localStorage.setItem(CHOICE, tag);
  setLanguage(tag);
}

function setLanguage(tag) {
  language = tag;
  document.documentElement.lang = locale();
  document.title = t('title');
  for (const element of document.querySelectorAll('[data-says]')) {
    const [key, values] = said.get(element) ?? [element.dataset.says];
    element.textContent = t(key, values);
  }
  for (const name of ['placeholder', 'aria-label', 'content']) {
    for (const element of document.querySelectorAll(`[data-says-${name}]`)) {
      element.setAttribute(name, t(element.getAttribute(`data-says-${name}`)));
    }
  }
  for (const button of document.querySelectorAll('[data-language]')) {
    button.setAttribute('aria-pressed', String(button.dataset.language === tag));
  }
  for (const listener of listeners) listener();
}
