// The page's two languages: tables of the same words, and a page that follows the browser or the reader.

import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { EN } from '../../crates/cli/page/words-en.js';
import { ZH } from '../../crates/cli/page/words-zh.js';
import { launch, openPage } from './browser.mjs';
import { program } from './program.mjs';
import { made, opened, recorded } from './records.mjs';

const PAGE = new URL('../../crates/cli/page/', import.meta.url);

test('both tables have the same words, in the same order, with the same places for values', () => {
  assert.deepEqual(Object.keys(ZH), Object.keys(EN));
  const places = (sentence) => [...new Set(sentence.match(/\{\w+\}/g) ?? [])].sort().join();
  for (const key of Object.keys(EN)) {
    // Some sentences the program says in English, and the page has its own in Chinese.
    if (EN[key] !== '{message}') assert.equal(places(ZH[key]), places(EN[key]), key);
    assert.notEqual(ZH[key].trim(), '', key);
  }
});

/** What `fn name` gives in a file of the dissector: all by which a program can tell rules, hints or reasons from one another. */
async function namesIn(file) {
  const source = await readFile(new URL(`../../crates/dissect/src/${file}`, import.meta.url), 'utf8');
  const [body] = /\n    pub const fn name\(&?self\)[^]*?\n    }\n/.exec(source);
  return [...body.matchAll(/"([^"]+)"/g)].map(([, name]) => name);
}

test('every rule, hint and reason that the dissector can name has words, and nothing else has', async () => {
  for (const [prefix, file] of [['rule.', 'finding.rs'], ['hint.', 'hint.rs'], ['opaque.', 'opaque.rs']]) {
    const words = Object.keys(EN).filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
    assert.deepEqual(words.sort(), (await namesIn(file)).sort(), file);
  }
});

test('every word the page asks for by its whole name is there, and the Chinese is Chinese', async () => {
  for (const name of (await readdir(PAGE)).filter((file) => /\.(js|html)$/.test(file) && !file.startsWith('words-'))) {
    const source = await readFile(new URL(name, PAGE), 'utf8');
    const asked = [...source.matchAll(/(?:\bt|say|telling)\((?:[^'()`]+, )?'([\w.+-]+)'|data-says(?:-[\w-]+)?="([^"]+)"/g)].map(([, one, other]) => one ?? other);
    for (const key of asked.filter((word) => word.includes('.'))) assert.ok(key in EN, `${name}: ${key}`);
  }
  const same = ['opcode.9', 'opcode.10', 'meaning.opcode', 'messages.equal', 'messages.unequal'];
  for (const [key, sentence] of Object.entries(ZH)) if (!same.includes(key)) assert.match(sentence, /\p{Script=Han}/u, key);
});

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

/** A page of a program that plays `history`, of which `last` is the last record. */
async function onThePage({ history, last = 'c5f1', ...options }, body) {
  const server = await program(history ?? await recorded());
  const { page, context, trouble } = await openPage(browser, { url: server.url, ...options });
  try {
    await page.waitForSelector(`[data-id="${last}"]`);
    await body(page);
    assert.deepEqual(trouble, []);
  } finally {
    await context.close();
    await server.stop();
  }
}

for (const [locale, title, lang] of [['zh-CN', '逐位看 WebSocket', 'zh-CN'], ['zh-TW', '逐位看 WebSocket', 'zh-CN'], ['en-GB', 'bit by bit', 'en'], ['fr-FR', 'bit by bit', 'en']]) {
  test(`a browser that speaks ${locale} gets the page in ${lang}`, { timeout: 60_000 }, () => onThePage({ locale }, async (page) => {
    assert.ok((await page.title()).includes(title));
    assert.equal(await page.getAttribute('html', 'lang'), lang);
  }));
}

test('the language is switched in place: what stands there says it, too, and a reload remembers', { timeout: 60_000 }, () => onThePage({}, async (page) => {
  await page.evaluate(() => { location.hash = 'c2f1'; });
  await page.waitForSelector('#figure[data-record="c2f1"]');
  await page.fill('#text', '草稿');
  await page.evaluate(() => { location.hash = 'c2f1'; });
  await page.waitForSelector('#figure[data-record="c2f1"]');
  await page.click('[data-language="zh"]');
  assert.match(await page.textContent('#figure'), /操作码 3–7 和 B–F 目前没有含义/);
  assert.equal(await page.inputValue('#text'), '草稿');
  assert.equal(await page.textContent('#send'), '发送文本');
  assert.equal(await page.getAttribute('#search', 'placeholder'), '在文本中查找');
  await page.reload();
  await page.waitForSelector('#figure[data-record="c2f1"]');
  assert.equal(await page.textContent('#messages-title span[data-says]'), '消息');
}));

test('no English word is left on the Chinese page but names, opcodes and what the feed says', { timeout: 60_000 }, () => onThePage({ locale: 'zh-CN' }, async (page) => {
  await page.evaluate(() => { location.hash = 'c1f4'; });
  await page.waitForSelector('#figure[data-record="c1f4"]');
  const said = await page.evaluate(() => document.body.innerText);
  const names = /^(Sockeye|WebSocket|English|URL|FIN|RSV\d?|MASK|opcode|Payload|len|Masking-key|UTF|Enter|Shift|MiB|Ping|Pong|Close|HTTP|RFC|mod|text|binary|continuation|close|ping|pong|sockeye|inspect|echo|ws|key|alive|bye|Hello|reserved|hi|XOR|ms|[a-fA-F0-9xU]+|[bck]\d*\w*|i)$/;
  assert.deepEqual([...new Set((said.match(/[A-Za-z][A-Za-z-]+/g) ?? []).filter((word) => !names.test(word)))], []);
}));

const FOUND = [
  opened(6),
  made('request', 6, 0, {
    method: 'GET', target: '/', headers: [], head: '', websocket: 'asks', accept: null,
    violations: [{ rule: 'request-key', rfc: 6455, section: '4.2.1', message: 'exactly one Sec-WebSocket-Key is needed', byte: null }],
    hints: [{ hint: 'unknown-extension', message: 'the extension x is not known here' }],
  }),
  made('opaque', 6, 1, { why: 'unanswered', message: 'sent after a request to which no answer is here', bytes: '00' }),
];
test('what is found in a handshake, why bytes are no frames, and what a closing code means is said in Chinese', { timeout: 60_000 }, async () => onThePage({
  history: [...await recorded(), ...FOUND], last: 'c6o1', locale: 'zh-CN',
}, async (page) => {
  const figure = async (id) => {
    await page.evaluate((hash) => { location.hash = hash; }, id);
    await page.waitForSelector(`#figure[data-record="${id}"]`);
    return page.textContent('#figure');
  };
  const request = await figure('c6o0');
  for (const key of ['rule.request-key', 'hint.unknown-extension']) assert.ok(request.includes(ZH[key]), `${key}: ${request}`);
  assert.doesNotMatch(request, /is not known here/);
  const bytes = await figure('c6o1');
  assert.ok(bytes.includes(ZH['opaque.unanswered']) && !bytes.includes('no answer'), bytes);
  assert.match(await figure('c1f6'), /关闭码 1000：正常关闭/);
}));
