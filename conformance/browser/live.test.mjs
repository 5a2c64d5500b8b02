// The whole of it: what the reader sends through the page passes the server, and the page shows what passed.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { figureOf, launch, openPage } from './browser.mjs';

const LIMIT = { timeout: 60_000 };
let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

function onThePage(name, body) {
  test(name, LIMIT, async () => {
    const { page, context, trouble } = await openPage(browser);
    try {
      await body(page);
      assert.deepEqual(trouble, []);
      assert.deepEqual(await page.evaluate(() => window.seen.violations), []);
    } finally {
      await context.close();
    }
  });
}

onThePage('你好👋 is typed: its frame’s every field is what it must be, and the key unmasks to the text', async (page) => {
  await page.fill('#text', '你好👋');
  await page.press('#text', 'Enter');
  await page.waitForSelector('#figure[data-message="1"][data-record]');
  const { fields, steps, record } = await figureOf(page);
  const { FIN, RSV1, RSV2, RSV3, opcode, MASK, 'Payload len': length, 'Masking-key': key, 'Payload data': shown, ...others } = fields;
  assert.deepEqual([FIN, RSV1, RSV2, RSV3, opcode, MASK, length, others], ['1', '0', '0', '0', '0001', '1', '0001010', {}]);
  const keyBytes = key.match(/.{8}/g).map((bits) => parseInt(bits, 2));
  assert.equal(steps.length, 10);
  const text = Buffer.from(steps.map(([wire, keyByte, plain], i) => {
    assert.equal(keyByte, keyBytes[i % 4]);
    assert.equal(wire ^ keyByte, plain);
    return plain;
  }));
  assert.equal(text.toString(), '你好👋');
  // The figure itself shows the first six bytes as they are on the wire.
  assert.deepEqual(shown.match(/.{8}/g).map((bits) => parseInt(bits, 2)), steps.slice(0, 6).map(([wire]) => wire));

  // The echo is the same text from the server, without a mask.
  const echo = `${record}s`;
  await page.click(`[data-id="${echo}"]`);
  await page.waitForSelector(`#figure[data-record="${echo}"]`);
  const answer = await figureOf(page);
  assert.deepEqual([answer.fields.FIN, answer.fields.opcode, answer.fields.MASK, answer.fields['Payload len'], answer.fields['Masking-key']], ['1', '0001', '0', '0001010', undefined]);
  assert.match(answer.text, /“你好👋”/);

  // A link to it outlives the page.
  await page.reload();
  await page.waitForSelector(`#figure[data-record="${echo}"]`);
});

onThePage('each message of the page finds its own frame', async (page) => {
  for (const text of ['one', 'two', 'three']) {
    await page.fill('#text', text);
    await page.press('#text', 'Enter');
  }
  await page.waitForFunction(() => document.querySelectorAll('#messages [data-direction="received"][data-same="true"]').length === 3);
  for (const item of await page.locator('#messages > li[data-direction="sent"]').all()) {
    await item.locator('.figure-button').click();
    await page.waitForSelector('#figure[data-record]');
    assert.ok((await figureOf(page)).text.includes(`“${await item.locator('pre').textContent()}”`));
  }
});

onThePage('another page sees nothing of it', async (page) => {
  await page.fill('#text', 'mine');
  await page.press('#text', 'Enter');
  await page.waitForSelector('#figure[data-message="1"][data-record]');
  const { page: other, context } = await openPage(browser);
  await other.waitForFunction(() => document.querySelector('#feed-state').dataset.state === 'live');
  assert.equal(await other.locator('.entry').count(), 0);
  await context.close();
});

const VIOLATIONS = [
  ['an unmasked text', ['unmasked-client-frame §5.1'], async (page) => page.uncheck('#raw-mask')],
  ['a reserved opcode', ['reserved-opcode §5.2'], async (page) => page.selectOption('#raw-opcode', '3')],
  ['RSV2', ['reserved-bit §5.2'], async (page) => page.check('#raw-rsv2')],
  ['a Ping in fragments', ['fragmented-control §5.5'], async (page) => {
    await page.uncheck('#raw-fin');
    await page.selectOption('#raw-opcode', '9');
  }],
  ['a continuation of nothing', ['continuation-without-start §5.4'], async (page) => page.selectOption('#raw-opcode', '0')],
  ['a length of 5 in 16 bits', ['non-minimal-length §5.2'], async (page) => page.selectOption('#raw-form', '16')],
  ['bad UTF-8', ['invalid-utf8-in-text §8.1'], async (page) => {
    await page.selectOption('#raw-kind', 'hex');
    await page.fill('#raw-payload', '68 ff 69');
  }],
];
for (const [name, rules, set] of VIOLATIONS) {
  onThePage(`${name}, made by the composer, is named with its section, and the server fails the connection`, async (page) => {
    await page.click('#raw-section summary');
    await page.click('#raw-open');
    await page.waitForSelector('#raw-send:enabled');
    await set(page);
    const before = await page.textContent('#raw-bytes');
    await page.click('#raw-send');
    await page.waitForSelector('#figure[data-record^="c"] .violations');
    const seen = await page.locator('#figure .violations [data-rule]').evaluateAll((all) => all.map(({ dataset }) => `${dataset.rule} §${dataset.section}`));
    assert.deepEqual(seen, rules);
    // What was announced is what was sent.
    const header = (await figureOf(page)).fields;
    const first = parseInt(header.FIN + header.RSV1 + header.RSV2 + header.RSV3 + header.opcode, 2);
    assert.equal(before.slice(0, 2), first.toString(16).toUpperCase().padStart(2, '0'));
    await page.waitForSelector('.entry[data-kind="close"][data-from="server"]');
    await page.waitForSelector('#raw-send:disabled');
  });
}

onThePage('a good frame of the composer comes back as an echo', async (page) => {
  await page.click('#raw-section summary');
  await page.click('#raw-open');
  await page.waitForSelector('#raw-send:enabled');
  await page.click('#raw-send');
  await page.waitForSelector('#figure[data-record$="f1"]');
  await page.waitForSelector('.entry[data-from="server"][data-kind="text"]');
  await page.click('#raw-send');
  await page.waitForSelector('#figure[data-record$="f2"]');
  assert.match((await figureOf(page)).text, /“Hello”/);
});
