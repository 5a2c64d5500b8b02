// What a reader does with the page of `sockeye serve`, done in Chromium: SOCKEYE_URL=http://127.0.0.1:8080 npm test

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { open, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { launch, openPage, serverUrl } from './browser.mjs';
import { TINY_PNG, encodeVideo, mixedText, smallPdf } from './files.mjs';
import { closing, declining, silent, vanishing } from './peers.mjs';

const LIMIT = { timeout: 60_000 };
const SENT = '#messages > li[data-direction="sent"]';
const RECEIVED = '#messages > li[data-direction="received"]';

let browser;
let folder;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sockeye-browser-'));
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

// Whatever hangs, the run ends, and Chromium with it: it stops when its pipe to this process closes.
setTimeout(() => {
  console.error('the browser test has not ended after six minutes');
  process.exit(1);
}, 360_000).unref();

/** A test on a fresh page. At its end nothing may have gone wrong in the page but what `expected` matches. */
function onThePage(name, body, { expected = /^$/, ...options } = {}) {
  test(name, LIMIT, async () => {
    const { page, context, trouble } = await openPage(browser, options);
    try {
      await body(page, context);
      assert.deepEqual(trouble.filter((line) => !expected.test(line)), []);
      assert.deepEqual(await page.evaluate(() => window.seen.violations), []);
    } finally {
      await context.close();
    }
  });
}

/** The newest echo, once there are `count` of them and the page has compared it with what was sent. */
async function echo(page, count = 1, timeout = 20_000) {
  await page.waitForFunction(([list, n]) => document.querySelectorAll(list).length === n, [RECEIVED, count], { timeout });
  await page.waitForSelector(`${RECEIVED}[data-same]`, { timeout });
  const item = page.locator(RECEIVED).first();
  const data = await item.evaluate(({ dataset }) => ({ ...dataset }));
  assert.equal(data.same, 'true');
  assert.ok(Number(data.roundTripMs) > 0, `a round trip of ${data.roundTripMs} ms`);
  assert.equal(await page.locator(SENT).first().getAttribute('data-round-trip-ms'), data.roundTripMs);
  return { item, kind: data.kind, bytes: Number(data.bytes) };
}

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** Saves what came back with the link of the page, as a reader would, and hashes it out here. */
async function savedHash(page, item) {
  const [download] = await Promise.all([page.waitForEvent('download'), item.locator('a.save').click()]);
  return { name: download.suggestedFilename(), hash: sha256(await readFile(await download.path())) };
}

/** The figure: its length form, the bits of each field as drawn, and the operations with their results. */
const figure = (page) => page.locator('#figure').evaluate((element) => {
  const fields = {};
  for (const { dataset } of element.querySelectorAll('.cell')) fields[dataset.name] = (fields[dataset.name] ?? '') + dataset.bits;
  const operations = [...element.querySelectorAll('tr[data-operation] code')].map((code) => code.textContent);
  return { form: element.dataset.form, headerLength: Number(element.dataset.headerLength), fields, operations, text: element.innerText };
});

// -- Messages there and back --

onThePage('你好，世界 👋 is typed, sent with Enter and comes back', async (page) => {
  await page.locator('#text').pressSequentially('你好，世界 👋');
  await page.keyboard.press('Enter');
  const { item, kind, bytes } = await echo(page);
  assert.deepEqual({ kind, bytes }, { kind: 'text', bytes: 20 });
  assert.equal(await item.locator('pre').textContent(), '你好，世界 👋');
  assert.equal(await page.inputValue('#text'), '');
  await page.waitForSelector('#figure[data-message="1"][data-record]');
  const { text } = await figure(page);
  assert.match(text.replace(/\s+/g, ' '), /0x\w\w \^ 0x\w\w = 0xE4 你, byte 1 of 3/);
});

onThePage('an empty text is a message too', async (page) => {
  await page.click('#send');
  assert.equal((await echo(page)).bytes, 0);
});

onThePage('Shift and Enter start a new line, Enter alone sends both', async (page) => {
  await page.locator('#text').pressSequentially('one');
  await page.keyboard.press('Shift+Enter');
  await page.locator('#text').pressSequentially('two');
  await page.keyboard.press('Enter');
  assert.equal(await (await echo(page)).item.locator('pre').textContent(), 'one\ntwo');
});

onThePage('a text of 70 KB that mixes ASCII and Chinese comes back whole', async (page) => {
  const text = mixedText(70_000);
  await page.fill('#text', text);
  await page.click('#send');
  const { item, bytes } = await echo(page);
  assert.equal(bytes, Buffer.byteLength(text));
  assert.ok((await item.locator('pre').textContent()).length < 1_000, 'the list shows the beginning');
  await item.getByRole('button', { name: 'Show all' }).click();
  assert.equal(await item.locator('pre').textContent(), text);
});

onThePage('a text that looks like HTML is shown as text', async (page) => {
  const text = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>';
  await page.fill('#text', text);
  await page.click('#send');
  const { item } = await echo(page);
  assert.equal(await item.locator('pre').textContent(), text);
  assert.equal(await page.locator('#messages img, #messages script, #figure img').count(), 0);
  assert.doesNotMatch(await page.title(), /owned/);
});

onThePage('a picture of less than 126 bytes comes back and is shown', async (page) => {
  await page.setInputFiles('#file', { name: 'dot.png', mimeType: 'image/png', buffer: TINY_PNG });
  const { item, kind, bytes } = await echo(page);
  assert.deepEqual({ kind, bytes }, { kind: 'binary', bytes: TINY_PNG.length });
  await page.waitForFunction(() => document.querySelector('#messages img')?.naturalWidth === 1);
  assert.deepEqual(await savedHash(page, item), { name: 'dot.png', hash: sha256(TINY_PNG) });
});

onThePage('a PDF of a few kilobytes comes back under its name', async (page) => {
  const pdf = smallPdf();
  assert.ok(pdf.length > 125 && pdf.length < 65_536);
  await page.setInputFiles('#file', { name: '说明.pdf', mimeType: 'application/pdf', buffer: pdf });
  const { item, bytes } = await echo(page);
  assert.equal(bytes, pdf.length);
  assert.deepEqual(await savedHash(page, item), { name: '说明.pdf', hash: sha256(pdf) });
});

test('a video of 20 MB comes back, plays inline and is the same file', { timeout: 180_000 }, async () => {
  const path = join(folder, 'film.webm');
  await encodeVideo(path);
  const { size } = await stat(path);
  assert.ok(size >= 16e6 && size <= 24e6, `the video has ${size} bytes`);

  const { page, context, trouble } = await openPage(browser);
  try {
    await page.setInputFiles('#file', path);
    const { item, kind, bytes } = await echo(page, 1, 60_000);
    assert.deepEqual({ kind, bytes }, { kind: 'binary', bytes: size });
    await page.waitForFunction(() => window.seen.loaded === 1, null, { timeout: 30_000 });
    const [width, seconds] = await item.locator('video').evaluate((video) => [video.videoWidth, video.duration]);
    assert.equal(width, 1280);
    assert.ok(Math.abs(seconds - 10) < 0.5, `it lasts ${seconds} s`);
    assert.deepEqual(await savedHash(page, item), { name: 'film.webm', hash: sha256(await readFile(path)) });
    assert.ok(await page.evaluate(() => window.seen.progress) > 0, 'the page showed how far the sending was');
    assert.deepEqual(trouble, []);
    assert.deepEqual(await page.evaluate(() => window.seen.violations), []);
  } finally {
    await context.close();
  }
});

onThePage('a file dropped on the page is sent', async (page, context) => {
  const path = join(folder, 'dropped.txt');
  await writeFile(path, 'let go');
  const client = await context.newCDPSession(page);
  const data = { items: [], files: [path], dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop']) await client.send('Input.dispatchDragEvent', { type, x: 400, y: 300, data });
  const { item, bytes } = await echo(page);
  assert.equal(bytes, 6);
  assert.deepEqual(await savedHash(page, item), { name: 'dropped.txt', hash: sha256('let go') });
});

onThePage('a file over 64 MiB is not sent, and the page says why', async (page) => {
  const path = join(folder, 'large.bin');
  const file = await open(path, 'w');
  await file.truncate(64 * 1024 * 1024 + 1);
  await file.close();
  await page.setInputFiles('#file', path);
  await page.waitForSelector('#problem:visible');
  assert.match(await page.textContent('#problem'), /“large\.bin” has .*67,108,865 bytes.* at most/);
  assert.equal(await page.locator(SENT).count(), 0);
  assert.equal(await page.getAttribute('#state', 'data-state'), 'open');
});

onThePage('only the last 200 messages are kept, and what leaves the list is let go', async (page) => {
  await page.click('[data-sample="tinyPicture"]');
  await echo(page);
  const src = await page.locator('#messages img').evaluate((image) => image.src);
  await page.evaluate(() => {
    for (let i = 0; i < 105; i += 1) document.querySelector('[data-sample="greeting"]').click();
  });
  // The picture is message 1, its echo 2, and 210 messages follow.
  await page.waitForFunction(() => document.querySelector('#messages .number')?.textContent === '212');
  assert.equal(await page.locator('#messages > li').count(), 200);
  const loads = await page.evaluate((url) => new Promise((resolve) => {
    const image = new Image();
    image.onload = () => resolve(true);
    image.onerror = () => resolve(false);
    image.src = url;
  }), src);
  assert.equal(loads, false);
}, { expected: /ERR_FILE_NOT_FOUND/ });

// -- The figure --

const FIGURES = [
  ['你好，世界 👋', { form: '7', headerLength: 6, length: '0010100' }, ['b0 & 0x0F = 1', 'b1 & 0x7F = 20']],
  ['a'.repeat(125), { form: '7', headerLength: 6, length: '1111101' }, ['b1 & 0x7F = 125']],
  ['a'.repeat(126), { form: '7+16', headerLength: 8, length: '1111110', extended: 126 }, ['b1 & 0x7F = 126', 'b2 << 8 | b3 = 126']],
  ['a'.repeat(65_535), { form: '7+16', headerLength: 8, length: '1111110', extended: 65_535 }, ['b1 & 0x7F = 126']],
  ['a'.repeat(65_536), { form: '7+64', headerLength: 14, length: '1111111', extended: 65_536 }, ['b1 & 0x7F = 127', 'b2 << 56 | … | b9 = 65536']],
];
for (const [text, { form, headerLength, length, extended }, operations] of FIGURES) {
  onThePage(`the figure of ${Buffer.byteLength(text)} bytes of text has the length form ${form}`, async (page) => {
    await page.fill('#text', text);
    await page.click('#send');
    await page.waitForSelector('#figure[data-message="1"][data-record]');
    const drawn = await figure(page);
    assert.deepEqual([drawn.form, drawn.headerLength], [form, headerLength]);
    const { FIN, RSV1, RSV2, RSV3, opcode, MASK, 'Payload len': len, 'Extended payload length': rest, 'Masking-key': key } = drawn.fields;
    assert.deepEqual([FIN, RSV1, RSV2, RSV3, opcode, MASK, len], ['1', '0', '0', '0', '0001', '1', length]);
    assert.equal(rest, extended && extended.toString(2).padStart(form === '7+16' ? 16 : 64, '0'));
    assert.match(key, /^[01]{32}$/);
    for (const operation of ['b0 >> 7 = 1', 'b1 >> 7 = 1', ...operations]) assert.ok(drawn.operations.includes(operation), operation);
    await echo(page);
  });
}

onThePage('the figure of a file has opcode 2, and an earlier figure can be asked for again', async (page) => {
  await page.setInputFiles('#file', { name: 'dot.png', mimeType: 'image/png', buffer: TINY_PNG });
  await echo(page);
  assert.equal((await figure(page)).fields.opcode, '0010');
  await page.fill('#text', 'later');
  await page.click('#send');
  await page.waitForSelector('#figure[data-message="3"]');
  await page.getByRole('button', { name: 'Fig. 1' }).click();
  assert.deepEqual([await page.getAttribute('#figure', 'data-message'), (await figure(page)).fields.opcode], ['1', '0010']);
});

// -- States --

const connectTo = async (page, url) => {
  await page.click('#disconnect');
  await page.waitForSelector('#state[data-state="closed"]');
  await page.fill('#url', url);
  await page.evaluate(() => { window.seen.states = []; });
  await page.click('#connect');
};
const states = (page) => page.evaluate(() => window.seen.states.filter((state, i, all) => state !== all[i - 1]));
const FAILED = /WebSocket connection to .* failed|Invalid frame header|Close received after close/; // Chromium's own report

onThePage('connecting, open, closing and closed with 4001 “bye” are all visible', async (page) => {
  await page.fill('#code', '4001');
  await page.fill('#reason', 'bye');
  await page.click('#disconnect');
  await page.waitForSelector('#state[data-state="closed"]');
  assert.deepEqual(await states(page), ['connecting', 'open', 'closing', 'closed']);
  assert.match(await page.textContent('#state'), /4001.*“bye”.*Clean/);
  assert.equal(await page.isDisabled('#send'), true);
  await page.click('#connect');
  await page.waitForSelector('#state[data-state="open"]');
});

onThePage('a code a page may not send is explained, and the connection stays open', async (page) => {
  await page.fill('#code', '1002');
  await page.click('#disconnect');
  assert.match(await page.textContent('#close-problem'), /1000 or with 3000 to 4999/);
  await page.fill('#code', '1000');
  await page.fill('#reason', '界'.repeat(42));
  await page.click('#disconnect');
  assert.match(await page.textContent('#close-problem'), /126 bytes.*123/);
  assert.equal(await page.getAttribute('#state', 'data-state'), 'open');
});

/** Starts one of the peers for the length of `body`. */
async function withPeer(start, body) {
  const server = await start();
  try {
    await body(server);
  } finally {
    await server.stop();
  }
}

onThePage('a server that closes with 1001 “moving” is quoted', (page) => withPeer(() => closing(1001, 'moving'), async ({ url }) => {
  await connectTo(page, url);
  await page.waitForSelector('#state[data-code="1001"]');
  assert.match(await page.textContent('#state'), /Closed: 1001 \(going away\), reason “moving”\. Clean/);
}));

onThePage('a server that is suddenly gone leaves the state closed, 1006, not clean', (page) => withPeer(vanishing, async ({ url }) => {
  await connectTo(page, url);
  await page.waitForSelector('#state[data-state="closed"][data-code="1006"][data-clean="false"]');
  assert.match(await page.textContent('#state'), /1006.*Not clean/);
}), { expected: FAILED });

onThePage('while a server does not answer the Close frame the state is closing', (page) => withPeer(silent, async ({ url, stop }) => {
  await connectTo(page, url);
  await page.waitForSelector(`${RECEIVED}[data-bytes="5"]`);
  assert.match(await page.locator(RECEIVED).first().innerText(), /from the server, no echo/);
  await page.fill('#text', 'is anybody there');
  await page.click('#send');
  await page.waitForSelector(`${SENT}[data-bytes="16"]`);
  await page.click('#disconnect');
  await page.waitForTimeout(300);
  assert.equal(await page.getAttribute('#state', 'data-state'), 'closing');
  await stop(); // Chromium itself would wait for a minute
  await page.waitForSelector('#state[data-state="closed"]');
  assert.match(await page.locator(SENT).first().innerText(), /not echoed/);
}), { expected: FAILED });

onThePage('a declined handshake, a port where nobody listens and no URL at all are refused', async (page) => {
  await withPeer(declining, async ({ url }) => {
    await connectTo(page, url);
    await page.waitForSelector('#state[data-state="refused"]');
  });
  const gone = await declining();
  await gone.stop();
  for (const url of [gone.url, 'ws://', 'not a url']) {
    await page.fill('#url', url);
    await page.evaluate(() => { document.querySelector('#state').dataset.state = ''; });
    await page.click('#connect');
    await page.waitForSelector('#state[data-state="refused"]');
    assert.equal(await page.isEnabled('#connect'), true);
  }
}, { expected: FAILED });

// -- Everybody's page --

onThePage('the keyboard alone is enough, and the focus can always be seen', async (page) => {
  const tabTo = async (id) => {
    for (let i = 0; i < 40; i += 1) {
      await page.keyboard.press('Tab');
      const focus = await page.evaluate(() => {
        const target = document.activeElement.id === 'file' ? document.activeElement.nextElementSibling : document.activeElement;
        return { id: document.activeElement.id, outline: target === document.body ? 'none needed' : getComputedStyle(target).outlineStyle };
      });
      assert.notEqual(focus.outline, 'none', `the focus on #${focus.id} is invisible`);
      if (focus.id === id) return;
    }
    assert.fail(`Tab does not lead to #${id}`);
  };
  await tabTo('text');
  await page.keyboard.type('by hand');
  await page.keyboard.press('Enter');
  await echo(page);
  await tabTo('file');
  await page.evaluate(() => { document.querySelector('#messages .figure-button').id = 'first-figure'; });
  await page.keyboard.press('Shift+Tab');
  await tabTo('first-figure');
  await page.keyboard.press('Enter');
  assert.equal(await page.getAttribute('#first-figure', 'aria-pressed'), 'true');
  await tabTo('code');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('4001');
  await tabTo('reason');
  await page.keyboard.type('bye');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#state[data-state="closed"][data-code="4001"][data-reason="bye"]');
  await tabTo('url');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#state[data-state="open"]');
});

for (const colorScheme of ['light', 'dark']) {
  onThePage(`on a phone 360 pixels wide nothing sticks out (${colorScheme})`, async (page) => {
    for (const sample of await page.locator('[data-sample]').all()) await sample.click();
    await page.setInputFiles('#file', { name: `${'long'.repeat(30)}.pdf`, mimeType: 'application/pdf', buffer: smallPdf() });
    await page.fill('#text', 'x'.repeat(70_000));
    await page.click('#send');
    await echo(page, 6);
    await page.getByRole('button', { name: 'Show all' }).first().click();
    const wide = await page.evaluate(() => [...document.querySelectorAll('body *')]
      .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5 || element.getBoundingClientRect().left < -0.5)
      .map((element) => `${element.localName}#${element.id}.${element.className}`));
    assert.deepEqual(wide, []);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
  }, { viewport: { width: 360, height: 740 }, colorScheme });
}

test('the page is served with a policy that lets nothing in from outside', LIMIT, async () => {
  const response = await fetch(`${serverUrl()}/`, { signal: AbortSignal.timeout(10_000) });
  const policy = response.headers.get('content-security-policy') ?? '';
  for (const directive of ["default-src 'none'", "script-src 'self'", "style-src 'self'"]) assert.ok(policy.includes(directive), directive);
  assert.doesNotMatch(policy, /unsafe/);
  assert.match(response.headers.get('content-type'), /^text\/html; *charset=utf-8$/i);
});
