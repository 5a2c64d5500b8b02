// permessage-deflate (RFC 7692) between Chromium and two kinds of servers: `sockeye serve --compression`, whose address is
// SOCKEYE_COMPRESSED_URL, and `deflate_servers` (../src/bin/), whose addresses are SOCKEYE_DEFLATE_URLS, with a blank
// between two. Chromium offers `permessage-deflate; client_max_window_bits`; all else is the server's choice.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Source } from '../interop/deflate.mjs';
import { given, launch, openPage } from './browser.mjs';
import { relay } from './relay.mjs';

const SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20, 5_000_000];
const MANY = 1000;

let browser;
let front; // in front of `sockeye serve --compression`, and where the page comes from
let page;
let trouble;

before(async () => {
  browser = await launch();
  front = await relay(given('SOCKEYE_COMPRESSED_URL'));
  ({ page, trouble } = await openPage(browser, { url: front.url }));
  await page.evaluate(prepare);
  const sizes = new Source(1);
  for (const size of SIZES) await page.evaluate(keep, portable([{ binary: false, data: sizes.text(size) }, { binary: true, data: sizes.bytes(size) }]));
});

after(async () => {
  await browser?.close();
  await front?.stop();
});

/** Messages as the page can be given them. */
function portable(messages) {
  return messages.map(({ binary, data }) => (binary ? { base64: data.toString('base64') } : { text: data.toString() }));
}

// -- In the page --

function prepare() {
  window.fixed = [];
  window.unpack = ({ text, base64 }) => text ?? Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const same = (message, back) => {
    if (typeof message === 'string') return message === back;
    if (!(back instanceof ArrayBuffer) || back.byteLength !== message.length) return false;
    const bytes = new Uint8Array(back);
    return message.every((byte, i) => byte === bytes[i]);
  };
  /** Sends the messages, so many at once, and compares what comes back; says how it went. */
  window.exchange = (url, messages, atOnce) => new Promise((resolve) => {
    const ws = new WebSocket(url);
    ws.binaryType = 'arraybuffer';
    let sent = 0;
    let came = 0;
    let problem = null;
    const sendSome = () => {
      for (let i = 0; i < atOnce && sent < messages.length; i += 1) ws.send(messages[sent++]);
    };
    ws.onopen = sendSome;
    ws.onmessage = ({ data }) => {
      const message = messages[came];
      if (came >= sent || !same(message, data)) {
        problem = `message ${came}, ${typeof message} of ${message?.length}, came back as ${typeof data} of ${data.length ?? data.byteLength}`;
        ws.close();
      }
      came += 1;
      if (came === messages.length) ws.close(1000);
      else if (came === sent) sendSome();
    };
    ws.onclose = ({ code, wasClean }) => resolve({ extensions: ws.extensions, came, problem, code, wasClean });
  });
}

function keep(messages) {
  window.fixed.push(...messages.map(window.unpack));
}

async function exchangeAll([url, random]) {
  // One at a time first: megabytes fit into no buffer.
  return [await window.exchange(url, window.fixed, 1), await window.exchange(url, random.map(window.unpack), 16)];
}

// -- Out here --

/** Carries all sizes and a thousand random messages over two connections; gives what the server answered to the offer. */
async function carryMessages(url, seed) {
  const source = new Source(seed);
  const random = portable(Array.from({ length: MANY }, () => source.message()));
  const ends = await page.evaluate(exchangeAll, [url, random]);
  for (const [i, end] of ends.entries()) {
    const came = i === 0 ? 2 * SIZES.length : MANY;
    assert.deepEqual(end, { extensions: ends[0].extensions, came, problem: null, code: 1000, wasClean: true });
  }
  assert.deepEqual(trouble, []);
  return ends[0].extensions;
}

const TOTAL = 2 * SIZES.length + MANY;

test('every message comes back from sockeye serve --compression, and compressed where that is worth it', { timeout: 60_000 }, async () => {
  const extensions = await carryMessages(`${front.url.replace('http', 'ws')}/echo`, 1);
  assert.match(extensions, /^permessage-deflate; /);
  // What --compression says: nobody keeps a window.
  assert.match(extensions, /; server_no_context_takeover(;|$)/);
  assert.match(extensions, /; client_no_context_takeover(;|$)/);
  assert.deepEqual([front.sent.messages, front.received.messages, front.wrong], [TOTAL, TOTAL, []]);
  assert.ok(front.sent.compressed > TOTAL / 4, `${front.sent.compressed} of ${TOTAL} were sent compressed`);
  // Messages of less than 512 bytes are not compressed by the server, and those are more than half of them.
  assert.ok(front.received.compressed > TOTAL / 8, `${front.received.compressed} of ${TOTAL} came back compressed`);
});

for (const [number, url] of given('SOCKEYE_DEFLATE_URLS').trim().split(' ').entries()) {
  const params = new URL(url).search.slice(1).split('&').filter(Boolean);
  test(`every message comes back compressed under ${params.join(', ') || 'no limits'}`, { timeout: 60_000 }, async () => {
    const link = await relay(url);
    try {
      const extensions = await carryMessages(link.url, number + 2);
      assert.deepEqual(extensions.split('; ').sort(), ['permessage-deflate', ...params].sort());
      assert.deepEqual([link.sent.messages, link.received.messages, link.wrong], [TOTAL, TOTAL, []]);
      for (const { compressed } of [link.sent, link.received]) assert.ok(compressed > TOTAL / 4, `${compressed} of ${TOTAL} were compressed`);
    } finally {
      await link.stop();
    }
  });
}
