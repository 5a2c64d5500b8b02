// What a peer can write, wherever the page shows it: 500 strings that would run if they became HTML. They stay text.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { launch, openPage } from './browser.mjs';
import { program } from './program.mjs';
import { made, opened, recorded } from './records.mjs';

const RUN = 'window.owned=1';

/** Fifty shapes: elements, handlers, breaks out of attributes and of other contexts, URLs, CSS, templates, odd encodings. */
const SHAPES = [
  `<script>${RUN}</script>`, `<ScRiPt>${RUN}</sCrIpT>`, `<script src=//127.0.0.1:1/x.js></script>`, `<script/x>${RUN}</script>`,
  `<scr<script>ipt>${RUN}</script>`, `</script><script>${RUN}</script>`, `<script type=module>${RUN}</script>`,
  `<img src=x onerror=${RUN}>`, `<img src=x onerror="${RUN}">`, `<img/src=x/onerror=${RUN}>`, `<img src=x:x onerror\n=${RUN}>`,
  `<svg onload=${RUN}>`, `<svg/onload=${RUN}>`, `<svg><script>${RUN}</script></svg>`, `<svg><animate onbegin=${RUN} attributeName=x dur=1s>`,
  `<svg><use href="data:image/svg+xml,<svg id=x onload=${RUN}>#x"/></svg>`, `<math><mtext></mtext><img src=x onerror=${RUN}></math>`,
  `<body onload=${RUN}>`, `<iframe src="javascript:${RUN}"></iframe>`, `<iframe srcdoc="<script>parent.owned=1</script>"></iframe>`,
  `<object data="javascript:${RUN}"></object>`, `<embed src="javascript:${RUN}">`, `<a href="javascript:${RUN}">a</a>`,
  `<form action="javascript:${RUN}"><button autofocus>`, `<input autofocus onfocus=${RUN}>`, `<select autofocus onfocus=${RUN}>`,
  `<textarea autofocus onfocus=${RUN}>`, `<video><source onerror=${RUN}></video>`, `<audio src=x onerror=${RUN}>`,
  `<details open ontoggle=${RUN}>`, `<marquee onstart=${RUN}>`, `<div style="animation:breathe 1s" onanimationstart=${RUN}>`,
  `<link rel=stylesheet href=//127.0.0.1:1/x.css>`, `<style>@import "//127.0.0.1:1/x.css";</style>`, `<base href=//127.0.0.1:1/>`,
  `<meta http-equiv=refresh content="0;url=javascript:${RUN}">`, `<template><script>${RUN}</script></template>`,
  `" onmouseover="${RUN}`, `' autofocus onfocus='${RUN}`, `"><script>${RUN}</script>`, `'><img src=x onerror=${RUN}>`, `--><script>${RUN}</script>`,
  `]]><script>${RUN}</script>`, `</textarea><script>${RUN}</script>`, `</title><script>${RUN}</script>`, `javascript:${RUN}`, `\${${RUN}}`,
  `{{constructor.constructor('${RUN}')()}}`, `&lt;script&gt;${RUN}&lt;/script&gt;`, `\u202e<script>${RUN}</script>\u2066`,
];

/** Ten places: each puts a string into a record where a peer's word stands. */
const frame = (own) => (n, model) => ({ ...model, ...own(model), connection: n, frame: 1 });
const PLACES = {
  'a text': (text) => frame((model) => ({ text, ...zeroMasked(text), message: { ...model.message, text } })),
  'a text over two frames': (text) => frame((model) => ({
    text: '', begins_within: { character: text, missing: 0, pieces: [{ frame: 1, bytes: 'e4' }] }, message: { ...model.message, text } })),
  'an inflated text': (text) => frame((model) => ({
    text, rsv1: true, inflated: { payload: hex(text), outcome: 'good', length: 9, percent: 50 }, message: { ...model.message, text } })),
  'a reason for closing': (text) => frame(() => ({ opcode: 8, opcode_name: 'close', text: null, message: null, close: { code: 4000, name: text, reason: text } })),
  'a Ping': (text) => frame(() => ({ opcode: 9, opcode_name: 'ping', text: null, message: null, ...zeroMasked(text) })),
  'a violation and a hint': (text) => frame(() => ({
    violations: [{ rule: text, rfc: 6455, section: text, message: text, byte: null }], hints: [{ hint: text, message: text }] })),
  'a request': (text) => (n) => made('request', n, n, {
    method: text, target: text, headers: [{ name: 'origin', value: text }], head: hex(text), websocket: 'asks', accept: text }),
  'a header’s name and value': (text) => (n) => made('request', n, n, {
    method: 'GET', target: '/', headers: [{ name: text, value: text }], head: '', websocket: null, accept: null }),
  'a response and its subprotocol': (text) => (n) => made('response', n, n, {
    from: 'server', status: 101, reason: text, headers: [{ name: 'sec-websocket-protocol', value: text }], head: '', websocket: 'opens', subprotocol: text, compression: null }),
  'bytes that are no frames': (text) => (n) => made('opaque', n, n, { why: text, message: text, bytes: hex(text) }),
};
const zeroMasked = (text) => ({ payload: hex(text), payload_masked: hex(text), masking_key: '00000000', payload_length: Buffer.byteLength(text) });
const hex = (text) => Buffer.from(text).toString('hex');

test('500 strings that would run as HTML stand there as text, and nothing runs', { timeout: 240_000 }, async () => {
  const model = JSON.parse((await recorded()).find((line) => typeof line === 'string'));
  const corpus = Object.entries(PLACES).flatMap(([place, put]) => SHAPES.map((text) => ({ place, text, record: put(text) })));
  assert.equal(corpus.length, 500);
  const history = corpus.flatMap(({ text, record }, i) => [
    { ...opened(i + 1), target: `/${text}`, client: text }, record(i + 1, model), { record: 'closed', connection: i + 1, time_ns: i, ending: text }]);
  const server = await program(history);
  const browser = await launch();
  try {
    const { page, trouble } = await openPage(browser, { url: server.url });
    page.on('dialog', (dialog) => {
      trouble.push(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    await page.waitForFunction(() => document.querySelector('#frame-count').textContent === '500');
    const kinds = () => page.evaluate(() => [...new Set([...document.querySelectorAll('*')].map(({ localName }) => localName))].sort());
    const attributes = () => page.evaluate(() => [...document.querySelectorAll('*')].flatMap((element) => element.getAttributeNames().filter((name) => name.startsWith('on'))));
    const before = await kinds();
    for (const [i, { place, text, record }] of corpus.entries()) {
      const { record: kind } = record(i + 1, model);
      const id = kind === 'frame' ? `c${i + 1}f1` : `c${i + 1}o${i + 1}${place.startsWith('a response') ? 's' : ''}`;
      await page.evaluate((hash) => { location.hash = hash; }, id);
      await page.waitForSelector(`#figure[data-record="${id}"]`);
      const shown = await page.locator('#figure').evaluate((element) => element.textContent);
      if (place !== 'a Ping') assert.ok(shown.includes(text), `${place}: ${text} is not shown as text`);
      assert.deepEqual(await attributes(), [], `${place}: ${text}`);
    }
    await page.click('[data-language="zh"]');
    await page.click('[data-language="en"]');
    await page.fill('#search', '<script>');
    await page.waitForFunction(() => document.querySelector('#frame-count').textContent.includes('of'));
    const after = (await kinds()).filter((name) => !before.includes(name));
    const known = ['td', 'th', 'tr', 'table', 'tbody', 'code', 'pre', 'ul', 'h4', 'q', 'a', 'strong', 'option', 'figcaption', 'i', 'b'];
    assert.deepEqual(after.filter((name) => !known.includes(name)), []);
    assert.equal(await page.evaluate(() => window.owned), undefined);
    assert.deepEqual(trouble, []);
    assert.deepEqual(await page.evaluate(() => window.seen.violations), []);
    const links = await page.evaluate(() => [...document.querySelectorAll('[href], [src], [srcdoc], [action]')].map((element) => element.getAttribute('href') ?? element.getAttribute('src')));
    assert.deepEqual(links.filter((link) => !/^(#c\d+f\d+s?|blob:.*|[\w-]+\.(svg|css|js))$/.test(link)), []);
  } finally {
    await browser.close();
    await server.stop();
  }
});
