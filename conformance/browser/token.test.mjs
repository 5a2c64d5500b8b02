// Who sees what goes over all connections: whoever has the token, of a server (`serve --inspect`, whose page is at
// SOCKEYE_INSPECT_URL) and of a proxy (`proxy --ui`, whose page is at SOCKEYE_UI_URL; it listens at SOCKEYE_PROXY_URL, in front of
// the server at SOCKEYE_URL). Nobody else does.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { figureOf, given, launch, openPage } from './browser.mjs';

const LIMIT = { timeout: 60_000 };
const GREETING = '你好👋';
const WRONG = '#token=0123456789abcdef';
const LIVE = '#feed-state[data-state="live"]';
const REFUSED = /WebSocket connection to .* failed|status of 403/; // Chromium's own report

/** The address of a page, and what stands behind it. */
const split = (address) => {
  const { origin, hash } = new URL(address);
  return { url: origin, hash, token: hash.replace('#token=', '') };
};
const server = split(given('SOCKEYE_INSPECT_URL'));
const proxy = split(given('SOCKEYE_UI_URL'));
const relayed = `${given('SOCKEYE_PROXY_URL')}/echo`;

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

/** A test that opens pages. At its end nothing may have gone wrong in one of them but what `expected` matches. */
function withPages(name, body, { expected = /^$/ } = {}) {
  test(name, LIMIT, async () => {
    const opened = [];
    const open = async (options) => {
      opened.push(await openPage(browser, options));
      return opened.at(-1);
    };
    try {
      await body(open);
      for (const { page, trouble } of opened) {
        assert.deepEqual(trouble.filter((line) => !expected.test(line)), []);
        assert.deepEqual(await page.evaluate(() => window.seen.violations), []);
      }
    } finally {
      for (const { context } of opened) await context.close();
    }
  });
}

/** Types a text, and waits until it has come back. */
async function send(page, text) {
  const echoes = page.locator('#messages > li[data-direction="received"][data-same="true"]');
  const before = await echoes.count();
  await page.fill('#text', text);
  await page.press('#text', 'Enter');
  await echoes.nth(before).waitFor();
}

/** The ids of the rows in sight of this kind whose text this is, the client's and then the server's, once both are there. */
async function both(page, kind, text) {
  const ids = [];
  for (const from of ['client', 'server']) {
    const row = page.locator(`.entry[data-kind="${kind}"][data-from="${from}"]`).filter({ hasText: text });
    ids.push(await row.getAttribute('data-id'));
  }
  return ids;
}

/** Follows the link to a record, and gives what the figure shows. */
async function show(page, id) {
  await page.evaluate((hash) => { location.hash = hash; }, id);
  await page.waitForSelector(`#figure[data-record="${id}"]`);
  return figureOf(page);
}

/** The figures of the greeting are those of RFC 6455: masked by the client with a key that gives the text, and plain by the server. */
async function isTheGreeting(page, [client, answer]) {
  const { fields, steps } = await show(page, client);
  assert.deepEqual([fields.FIN, fields.opcode, fields.MASK, fields['Payload len']], ['1', '0001', '1', '0001010']);
  const key = fields['Masking-key'].match(/.{8}/g).map((bits) => parseInt(bits, 2));
  assert.deepEqual(steps.map(([, keyByte]) => keyByte), Array.from({ length: 10 }, (_, i) => key[i % 4]));
  assert.equal(Buffer.from(steps.map(([wire, keyByte]) => wire ^ keyByte)).toString(), GREETING);
  const { fields: echo, text } = await show(page, answer);
  assert.deepEqual([echo.FIN, echo.opcode, echo.MASK, echo['Payload len']], ['1', '0001', '0', '0001010']);
  assert.ok(text.includes(`“${GREETING}”`), text);
}

withPages('whoever has the token of serve --inspect sees the frames of somebody else’s page, and how its connection ends', async (open) => {
  const { page } = await open(server);
  await page.waitForSelector(LIVE, { state: 'attached' });
  const { page: guest } = await open({ url: server.url });
  await send(guest, GREETING);
  const ids = await both(page, 'text', GREETING);
  await isTheGreeting(page, ids);

  const connection = `#connections [data-connection="${/^c(\d+)f/.exec(ids[0])[1]}"]`;
  assert.match(await page.innerText(connection), /^c\d+ \/echo\s+frames: \d+, \d+ bytes · open$/);
  await guest.fill('#code', '4001');
  await guest.fill('#reason', '再见');
  await guest.click('#disconnect');
  await both(page, 'close', '4001 再见');
  await page.waitForSelector(`${connection}[data-ended="true"]`);
});

withPages('the token leaves the address bar, stands in no request but the one for the feed, and stays with its tab alone', async (open) => {
  const { page, context, asked } = await open(server);
  await page.waitForSelector(LIVE, { state: 'attached' });
  assert.equal(page.url(), `${server.url}/`);
  const feed = `${server.url.replace('http', 'ws')}/inspect/feed?token=${server.token}`;
  assert.deepEqual(asked.filter((url) => url.includes(server.token)), [feed]);
  await page.reload();
  await page.waitForSelector(LIVE, { state: 'attached' });
  assert.equal(page.url(), `${server.url}/`);
  assert.deepEqual(asked.filter((url) => url.includes(server.token)), [feed, feed]);

  const tab = await context.newPage();
  const askedByTab = [];
  tab.on('websocket', (socket) => askedByTab.push(socket.url()));
  await tab.goto(server.url);
  await tab.waitForSelector(LIVE, { state: 'attached' });
  assert.deepEqual(askedByTab.filter((url) => url.includes(server.token)), []);
  assert.equal(askedByTab.filter((url) => url.includes('/inspect/feed?watch=')).length, 1);
});

for (const [name, hash, said] of [
  ['without a token', '', null],
  ['with a wrong token', WRONG, /^The token opens nothing; only frames of this page are shown\. the token is wrong/],
]) {
  withPages(`${name} the page of serve --inspect shows its own frames and nobody else’s`, async (open) => {
    const { page: guest } = await open({ url: server.url });
    await send(guest, GREETING);
    const { page } = await open({ url: server.url, hash });
    await send(page, 'mine');
    await send(guest, GREETING);
    await both(page, 'text', 'mine');
    const seen = await page.locator('.entry[data-kind="text"]').evaluateAll((all) => all.map((row) => row.querySelector('.preview').textContent));
    assert.deepEqual(seen, ['mine', 'mine']);
    assert.equal(await page.locator('#connections [data-connection]').count(), 1);
    assert.equal(page.url().includes('token'), false);
    assert.equal(await page.isVisible('#feed-problem'), said !== null);
    if (said) assert.match(await page.textContent('#feed-problem'), said);
  }, said ? { expected: REFUSED } : {});
}

/** Connects a page of the server behind the proxy to that server through the proxy, and says something. */
async function throughTheProxy(open, text) {
  const { page } = await open();
  await page.click('#disconnect');
  await page.waitForSelector('#state[data-state="closed"]');
  await page.fill('#url', relayed);
  await page.click('#connect');
  await page.waitForSelector('#state[data-state="open"]');
  await send(page, text);
  return page;
}

withPages('the page of proxy --ui shows a connection through the proxy: its handshake, its frames, and 你好👋 in them', async (open) => {
  const { page } = await open({ ...proxy, ready: LIVE });
  assert.equal(page.url(), `${proxy.url}/`);
  const client = await throughTheProxy(open, GREETING);
  const ids = await both(page, 'text', GREETING);
  await isTheGreeting(page, ids);
  await client.click('#disconnect');
  await both(page, 'close', '1000');

  const [connection] = /^c\d+/.exec(ids[0]);
  const seen = await page.locator(`.entry[data-id^="${connection}f"], .entry[data-id^="${connection}o"]`).evaluateAll((all) => all
    .sort((a, b) => parseFloat(a.style.top) - parseFloat(b.style.top)).map(({ dataset }) => `${dataset.from} ${dataset.kind}`));
  // On a busy machine the server may have asked for a sign of life.
  assert.deepEqual(seen.filter((row) => !/ p[io]ng$/.test(row)), ['client request', 'server response', 'client text', 'server text', 'client close', 'server close']);
  const request = await show(page, `${connection}o0`);
  assert.match(request.text, /GET \/echo.*It asks for a WebSocket/);
  const accept = /Sec-WebSocket-Accept: (\S{28})/.exec(request.text)[1];
  const response = await show(page, `${connection}o0s`);
  assert.ok(response.text.includes(accept), `${response.text} has no ${accept}`);
  assert.match(response.text, /101 Switching Protocols.*It opens the WebSocket/);
});

withPages('without the right token the page of proxy --ui shows nothing and says so, until it is given the token', async (open) => {
  await throughTheProxy(open, '机密');
  for (const hash of ['', WRONG]) {
    const { page, asked } = await open({ url: proxy.url, hash, ready: '#feed-problem[data-says="feed.guarded"]' });
    assert.equal(await page.isVisible('#feed-problem'), true);
    assert.match(await page.textContent('#feed-problem'), /^Without the right token nothing is shown here: open this page by the URL/);
    assert.equal(await page.locator('.entry, #connections [data-connection]').count(), 0);
    assert.equal(await page.isVisible('main'), false);
    assert.deepEqual(asked.filter((url) => url.startsWith('ws:') && !url.includes('/inspect/feed?')), []);

    // The right address in the same tab: all but what stands behind # is the same, so the browser loads nothing by itself.
    await page.evaluate((right) => { location.hash = right; }, proxy.hash);
    await page.waitForSelector(LIVE, { state: 'attached' });
    await both(page, 'text', '机密');
    assert.equal(await page.isVisible('#feed-problem'), false);
    assert.equal(page.url(), `${proxy.url}/`);
  }
}, { expected: REFUSED });
