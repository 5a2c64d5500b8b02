// WebSockets over HTTP/2 (RFC 8441) between Chromium and `sockeye serve` with TLS, whose address is SOCKEYE_TLS_URL and whose
// certificate is in the file SOCKEYE_TLS_CERT. Chromium asks for one that way once the page itself came over HTTP/2.

import assert from 'node:assert/strict';
import { X509Certificate, createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { given, launch, openPage } from './browser.mjs';

const LIMIT = { timeout: 60_000 };

let browser;
let opened;

before(async () => {
  const { publicKey } = new X509Certificate(readFileSync(given('SOCKEYE_TLS_CERT')));
  const key = createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('base64');
  browser = await launch([`--ignore-certificate-errors-spki-list=${key}`]);
  opened = await openPage(browser, { url: given('SOCKEYE_TLS_URL') });
});

after(async () => {
  await browser?.close();
});

/** The page opens two by itself: its feed, and `/echo`. */
const PAGES_OWN = 2;

/** How many WebSockets the server has opened over this version of HTTP. */
const openedOver = (version) => opened.page.evaluate(async (label) => {
  const line = (await (await fetch('/metrics')).text()).split('\n').find((text) => text.startsWith(label));
  return Number(line?.split(' ')[1] ?? 0);
}, `sockeye_websockets_opened_total{http="${version}"}`);

/** Opens a WebSocket on the page, sends what `make` makes there, and says what is the same when it comes back. */
const echoed = (make) => opened.page.evaluate(`new Promise((resolve, reject) => {
  const message = (${make})();
  const ws = new WebSocket(location.origin.replace('http', 'ws') + '/echo');
  ws.binaryType = 'arraybuffer';
  ws.onopen = () => ws.send(message);
  ws.onerror = () => reject(new Error('it failed'));
  ws.onmessage = ({ data }) => {
    const same = typeof data === 'string' ? data === message
      : data.byteLength === message.length && new Uint8Array(data).every((byte, i) => byte === message[i]);
    ws.onclose = ({ code, reason, wasClean }) => resolve({ same, code, reason, wasClean });
    ws.close(4001, '再见');
  };
})`);

const FINE = { same: true, code: 4001, reason: '再见', wasClean: true };

test('the page comes over HTTP/2, and so do the WebSockets it opens', LIMIT, async () => {
  const protocol = await opened.page.evaluate(() => performance.getEntriesByType('navigation')[0].nextHopProtocol);
  assert.equal(protocol, 'h2');
  assert.deepEqual([await openedOver('2'), await openedOver('1.1')], [PAGES_OWN, 0]);
});

test('a text and 16 MB of binary data come back as they went', LIMIT, async () => {
  assert.deepEqual(await echoed("() => '你好，世界 👋'"), FINE);
  assert.deepEqual(await echoed(`() => {
    const bytes = new Uint8Array(16_000_000);
    for (let i = 0, state = 1; i < bytes.length; i += 1) {
      state = Math.imul(state, 1_103_515_245) + 12_345 | 0;
      bytes[i] = state >> 16;
    }
    return bytes;
  }`), FINE);
  assert.deepEqual([await openedOver('2'), await openedOver('1.1')], [PAGES_OWN + 2, 0]);
});

test('twenty at a time share the connection', LIMIT, async () => {
  const all = await Promise.all(Array.from({ length: 20 }, (_, i) => echoed(`() => '${i} '.repeat(${i * 10_000})`)));
  assert.deepEqual(all, Array.from({ length: 20 }, () => FINE));
  assert.deepEqual([await openedOver('2'), await openedOver('1.1')], [PAGES_OWN + 22, 0]);
  assert.deepEqual(opened.trouble, []);
});
