// The page's inspector on a feed that is played to it: records of `sockeye inspect`, and 100,000 frames.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { launch, openPage } from './browser.mjs';
import { program } from './program.mjs';
import { many, opened, recorded } from './records.mjs';

const LIMIT = { timeout: 120_000 };
let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

/** A test on a page of a program that plays `history`. */
function playing(name, history, body, { expected = /^$/, hash = '', ...options } = {}) {
  test(name, LIMIT, async () => {
    const server = await program(typeof history === 'function' ? await history() : history);
    const { page, context, trouble } = await openPage(browser, { url: server.url, hash, ...options });
    try {
      await body(page, server, context);
      assert.deepEqual(trouble.filter((line) => !expected.test(line)), []);
      assert.deepEqual(await page.evaluate(() => window.seen.violations), []);
    } finally {
      await context.close();
      await server.stop();
    }
  });
}

const rows = (page) => page.locator('#frames .entry').evaluateAll((all) => all
  .sort((a, b) => parseFloat(a.style.top) - parseFloat(b.style.top)).map(({ dataset }) => dataset.id));

/** Links to a record, waits until the figure shows it, and reads what it shows. */
async function show(page, id) {
  await page.evaluate((hash) => { location.hash = hash; }, id);
  await page.waitForSelector(`#figure[data-record="${id}"]`);
  return page.locator('#figure').evaluate((element) => {
    const fields = {};
    for (const { dataset } of element.querySelectorAll('.cell')) fields[dataset.name] = (fields[dataset.name] ?? '') + dataset.bits;
    return {
      fields,
      text: element.innerText.replace(/\s+/g, ' '),
      steps: [...element.querySelectorAll('.steps code')].map((code) => code.textContent),
      rules: [...element.querySelectorAll('.violations [data-rule]')].map(({ dataset }) => `${dataset.rule} §${dataset.section}`),
      links: [...element.querySelectorAll('a.frame-link')].map((link) => link.hash),
    };
  });
}

playing('every record of the feed is a row: who sent it, what it is, its length and its text', recorded, async (page) => {
  await page.waitForSelector('[data-id="c5f1"]');
  assert.equal(await page.textContent('#frame-count'), '14');
  const row = async (id) => (await page.locator(`[data-id="${id}"]`).innerText()).split('\n');
  await page.evaluate(() => { document.querySelector('#frames').scrollTop = 0; });
  await page.waitForSelector('[data-id="c1f1"]');
  assert.deepEqual(await row('c1f1'), ['c1f1', '↑', '0.001', 'text', '■', '10', '你好👋']);
  assert.deepEqual(await row('c1f2'), ['c1f2', '↑', '0.004', 'text', '□', '4', '你']);
  assert.deepEqual(await row('c1f2s'), ['c1f2s', '↓', '0.006', 'pong', '■', '5', 'alive']);
  assert.match(await page.locator('[data-id="c1f6"]').innerText(), /close[^]*1000 bye/);
  assert.match(await page.locator('[data-id="c2f1"]').getAttribute('class'), /bad/);
});

playing('the first frame does not move the list from under the pointer', [], async (page, server) => {
  const top = () => page.locator('#frames').evaluate((element) => element.getBoundingClientRect().top);
  await page.waitForSelector('#feed-state[data-state="live"]', { state: 'attached' });
  const before = await top();
  server.tell(await many(1));
  await page.waitForSelector('.sparkline');
  assert.equal(await top(), before);
});

playing('the figure has the real key, the mask steps and the characters of 你好👋', recorded, async (page) => {
  const { fields, steps, text } = await show(page, 'c1f1');
  assert.deepEqual(
    ['FIN', 'RSV1', 'RSV2', 'RSV3', 'opcode', 'MASK', 'Payload len'].map((name) => fields[name]),
    ['1', '0', '0', '0', '0001', '1', '0001010']);
  assert.equal(BigInt(`0b${fields['Masking-key']}`), 0xa1b2c3d4n);
  const key = [0xa1, 0xb2, 0xc3, 0xd4];
  assert.deepEqual(steps, [...Buffer.from('你好👋')].map((byte, i) => {
    const hex = (value) => `0x${value.toString(16).toUpperCase().padStart(2, '0')}`;
    return `${hex(byte ^ key[i % 4])} ^ ${hex(key[i % 4])} = ${hex(byte)}`;
  }));
  assert.match(text, /👋, byte 4 of 4/);
});

playing('a character in two frames is shown in both, with links', recorded, async (page) => {
  const first = await show(page, 'c1f2');
  assert.match(first.text, /It ends within E5 \(here\) \| 2 more to come/);
  assert.deepEqual(first.links, ['#c1f4']);
  const second = await show(page, 'c1f4');
  assert.match(second.text, /It begins within 好 E5 frame 2 \| A5 BD \(here\)/);
  assert.match(second.text, /ends message 2 \(text\) as fragment 2/);
  await page.locator('#figure a.frame-link').first().click();
  await page.waitForSelector('#figure[data-record="c1f2"]');
});

playing('what breaks a rule is named with its section, and what the receiver does', recorded, async (page) => {
  const { rules, text } = await show(page, 'c2f1');
  assert.deepEqual(rules, ['reserved-opcode §5.2', 'unmasked-client-frame §5.1']);
  assert.match(text, /A server fails the connection here with 1002/);
  assert.deepEqual((await show(page, 'c5f1')).rules, ['non-minimal-length §5.2']);
  assert.deepEqual((await show(page, 'c4f1')).rules, ['invalid-utf8-in-text §8.1']);
});

playing('compressed and inflated stand side by side, and a Close says its code and reason', recorded, async (page) => {
  const { text } = await show(page, 'c3f1');
  assert.match(text, /As sent: 7 bytes f2 48 cd c9 c9 07 00 Inflated: 5 bytes 48 65 6c 6c 6f H ?e ?l ?l ?o/);
  assert.match((await show(page, 'c1f6')).text, /Code 1000: normal closure\. Reason: .?bye/);
});

playing('pointing at a field tells its bits, bytes, meaning and section; the arrow keys do, too', recorded, async (page) => {
  await show(page, 'c1f1');
  const explanation = () => page.textContent('#figure .explanation');
  await page.hover('#figure .cell[data-field="opcode"]');
  assert.equal(await explanation(), 'opcode = 0001. Bits 4 to 7 of byte 0. 1: text, in UTF-8 (RFC 6455 §5.2).');
  assert.equal(await page.getAttribute('#figure', 'data-lit'), 'opcode');
  await page.focus('#figure .cell[data-field="fin"]');
  for (let i = 0; i < 5; i += 1) await page.keyboard.press('ArrowRight');
  assert.match(await explanation(), /^MASK = 1\. Bit 0 of byte 1\. .*§5\.1/);
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  assert.equal(await explanation(), 'Masking-key. Bytes 2 to 5, from bit 0 to bit 7. A1 B2 C3 D4: four bytes, chosen anew for each frame (RFC 6455 §5.3).');
});

// -- Looking for something --

playing('the filter goes by connection, direction, kind, violations and text', recorded, async (page) => {
  await page.waitForSelector('[data-id="c5f1"]');
  const count = async () => {
    await page.waitForFunction(() => new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(() => resolve(true))); }));
    return rows(page);
  };
  await page.check('#filter-bad');
  assert.deepEqual(await count(), ['c2f1', 'c4f1', 'c5f1']);
  assert.equal(await page.textContent('#frame-count'), '3 of 14');
  await page.uncheck('#filter-bad');
  await page.selectOption('#filter-direction', 'server');
  assert.deepEqual(await count(), ['c1f1s', 'c1f2s', 'c1f3s', 'c1f4s']);
  await page.selectOption('#filter-kind', 'control');
  assert.deepEqual(await count(), ['c1f2s', 'c1f4s']);
  await page.selectOption('#filter-direction', '');
  await page.selectOption('#filter-kind', '');
  await page.fill('#search', '好👋');
  assert.deepEqual(await count(), ['c1f1', 'c1f1s', 'c1f4', 'c1f3s']);
  await page.fill('#search', '');
  await page.click('[data-connection="3"]');
  assert.deepEqual(await count(), ['c3f1']);
  await page.click('[data-connection="3"]');
  assert.equal((await count()).length, 14);
});

playing('a pause holds the list still and counts what comes; following goes to the newest', recorded, async (page, server) => {
  await page.waitForSelector('[data-id="c5f1"]');
  await page.click('#pause');
  const lines = (await many(30)).slice(1).map((line) => line.replace('"connection":1,', '"connection":9,'));
  server.tell([opened(9), ...lines]);
  await page.waitForFunction(() => document.querySelector('#pause-note').textContent.includes('30'));
  assert.equal(await page.locator('[data-id^="c9"]').count(), 0);
  await page.click('#pause');
  await page.waitForSelector('[data-id="c9f30"]');
  await page.locator('#frames').hover();
  await page.mouse.wheel(0, -2000);
  await page.waitForSelector('#follow[aria-pressed="false"]');
  server.tell([lines[0].replace('"frame":1,', '"frame":99,')]);
  await page.waitForFunction(() => document.querySelector('#frame-count').textContent === '45');
  assert.equal(await page.locator('[data-id="c9f99"]').count(), 0);
  await page.click('#follow');
  await page.waitForSelector('[data-id="c9f99"]');
});

playing('an export is the lines of what is shown, as the feed told them', recorded, async (page) => {
  await page.waitForSelector('[data-id="c5f1"]');
  await page.check('#filter-bad');
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('#export')]);
  const lines = (await readFile(await download.path(), 'utf8')).trim().split('\n');
  const all = (await recorded()).filter((line) => typeof line === 'string');
  assert.deepEqual(lines, all.filter((line) => JSON.parse(line).violations.length > 0));
});

playing('a link to a frame selects it, and still does after a reload', recorded, async (page) => {
  const isThere = async () => {
    await page.waitForSelector('#figure[data-record="c1f4"]');
    await page.waitForSelector('[data-id="c1f4"][aria-selected="true"]');
  };
  await isThere();
  await page.reload();
  await isThere();
}, { hash: '#c1f4' });

playing('the list is gone through with the keyboard', recorded, async (page) => {
  await page.waitForSelector('[data-id="c5f1"]');
  await page.focus('#frames');
  await page.keyboard.press('Home');
  await page.waitForSelector('#figure[data-record="c1f1"]');
  await page.keyboard.press('ArrowDown');
  await page.waitForSelector('#figure[data-record="c1f1s"]');
  await page.keyboard.press('End');
  await page.waitForSelector('#figure[data-record="c5f1"]');
  assert.equal(await page.getAttribute('#frames', 'aria-activedescendant'), 'row-c5f1');
  assert.equal(await page.evaluate(() => location.hash), '#c5f1');
});

playing('a feed that is gone comes back, and nothing stands there twice', recorded, async (page, server) => {
  await page.waitForSelector('[data-id="c5f1"]');
  server.hangUp();
  await page.waitForFunction(() => document.querySelector('#feed-state').dataset.state === 'live'
    && performance.getEntriesByType('resource').length > 0 && document.querySelector('#feed-state').textContent === '');
  await page.waitForTimeout(700);
  assert.equal(server.asked.filter((url) => url.startsWith('/inspect/feed')).length, 2);
  assert.equal(await page.textContent('#frame-count'), '14');
}, { expected: /WebSocket connection/ });

playing('the token leaves the address and goes to the feed', recorded, async (page, server) => {
  await page.waitForSelector('[data-id="c5f1"]');
  assert.equal(await page.evaluate(() => location.href), `${server.url}/`);
  assert.ok(server.asked.includes('/inspect/feed?token=0123abcd.~-_0123'), server.asked.join());
}, { hash: '#token=0123abcd.~-_0123' });

test('behind a proxy the page is an inspector alone: no echo, no messages of its own', LIMIT, async () => {
  const server = await program([], { mode: 'proxy' });
  const context = await browser.newContext({ locale: 'en' });
  try {
    const page = await context.newPage();
    await page.goto(server.url);
    await page.waitForFunction(() => document.querySelector('#feed-state').dataset.state === 'live');
    assert.match(await page.textContent('#no-frames'), /passes the proxy/);
    for (const id of ['connection', 'send', 'messages']) assert.equal(await page.locator(`#${id}-section`).isVisible(), false);
    assert.deepEqual(server.asked.filter((url) => !url.startsWith('/inspect/')), []);
  } finally {
    await context.close();
    await server.stop();
  }
});

// -- Many --

playing('of 100,000 frames only those in sight are elements, and each place of the list shows the right one', () => many(100_000), async (page) => {
  await page.waitForFunction(() => document.querySelector('#frame-count').textContent === '100,000', null, { timeout: 60_000 });
  await page.waitForSelector('[data-id="c1f100000"]');
  for (const index of [0, 1, 99_999, 50_000, 12_345, 77_777, 3, 99_980, 31_415]) {
    await page.evaluate((at) => { document.querySelector('#frames').scrollTop = at * 26; }, index);
    await page.waitForSelector(`[data-id="c1f${index + 1}"]`);
    const seen = await page.evaluate(() => {
      const frame = document.querySelector('#frames').getBoundingClientRect();
      const all = [...document.querySelectorAll('#frames .entry')];
      const inSight = all.filter((row) => row.getBoundingClientRect().bottom > frame.top && row.getBoundingClientRect().top < frame.bottom);
      return { count: all.length, inSight: inSight.map((row) => [Number(row.getAttribute('aria-posinset')), row.querySelector('.preview').textContent]) };
    });
    assert.ok(seen.count < 60, `${seen.count} rows are elements`);
    assert.ok(seen.inSight.length > 10, `${seen.inSight.length} rows are in sight`);
    for (const [position, text] of seen.inSight) assert.equal(text, `message ${position}`);
  }
  await page.fill('#search', 'message 9999');
  await page.waitForFunction(() => document.querySelector('#frame-count').textContent === '11 of 100,000');
  assert.match((await show(page, 'c1f54321')).text, /message 54321/);
});
