// The page's frame.js and utf8.js, which need no browser: what they say must be RFC 6455 section 5.2.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { frameOf, operationsOf, rowsOf, whyThisForm } from '../../crates/cli/page/frame.js';
import { byteLength, bytesOf, charactersOf } from '../../crates/cli/page/utf8.js';

const hexOf = ({ bytes }) => Buffer.from(bytes).toString('hex');

const HEADERS = [
  [0, '8180', '7', 6],
  [1, '8181', '7', 6],
  [125, '81fd', '7', 6],
  [126, '81fe007e', '7+16', 8],
  [127, '81fe007f', '7+16', 8],
  [300, '81fe012c', '7+16', 8],
  [65_535, '81feffff', '7+16', 8],
  [65_536, '81ff0000000000010000', '7+64', 14],
  [20_000_000, '81ff0000000001312d00', '7+64', 14],
  [2 ** 32, '81ff0000000100000000', '7+64', 14],
  [Number.MAX_SAFE_INTEGER, '81ff001fffffffffffff', '7+64', 14],
];
for (const [length, bytes, form, headerLength] of HEADERS) {
  test(`${length} bytes of text take the header ${bytes} and a key`, () => {
    const frame = frameOf('text', length);
    assert.equal(hexOf(frame), bytes);
    assert.deepEqual([frame.form, frame.headerLength], [form, headerLength]);
    assert.match(whyThisForm(frame), new RegExp(`= ${headerLength}\\.`));
  });
}

test('the fields, put together, are the bytes again for every length around the borders', () => {
  for (const length of [...Array(700).keys(), 65_534, 65_535, 65_536, 65_537, 16_777_216]) {
    const { fields, bytes } = frameOf('binary', length);
    const bits = fields.filter(({ id }) => id !== 'key' && id !== 'payload').map((field) => field.bits).join('');
    assert.deepEqual(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)), bytes);
  }
});

test('what the operations claim is what JavaScript computes', () => {
  for (const [length] of HEADERS) {
    const frame = frameOf('binary', length);
    const [b0, b1, ...extended] = frame.bytes;
    const claim = Object.fromEntries(operationsOf(frame).map(({ id, result }) => [id, result]));
    assert.deepEqual([claim.fin, claim.rsv, claim.opcode, claim.mask, claim.length], [b0 >> 7, b0 >> 4 & 0x07, b0 & 0x0f, b1 >> 7, b1 & 0x7f]);
    if (extended.length > 0) assert.equal(claim.extended, extended.reduce((sum, byte) => sum * 256 + byte, 0));
    else assert.equal(claim.length, length);
  }
});

test('text has opcode 1, binary opcode 2, and no other kind exists', () => {
  assert.equal(frameOf('text', 5).bytes[0], 0x81);
  assert.equal(frameOf('binary', 5).bytes[0], 0x82);
  assert.throws(() => frameOf('ping', 5), RangeError);
  for (const length of [-1, 1.5, NaN, 2 ** 53]) assert.throws(() => frameOf('text', length), RangeError);
});

test('the rows are 32 bits wide and lose nothing; only the last may be shorter', () => {
  for (const [length] of HEADERS) {
    const { fields } = frameOf('text', length);
    const rows = rowsOf(fields);
    const widths = rows.map((row) => row.reduce((sum, { width }) => sum + width, 0));
    assert.ok(widths.slice(0, -1).every((width) => width === 32), `${length}: ${widths}`);
    assert.ok(widths.at(-1) <= 32);
    assert.equal(widths.reduce((a, b) => a + b), fields.reduce((sum, { width }) => sum + width, 0));
    assert.equal(rows.flat().map(({ bits }) => bits).join(''), fields.map(({ bits }) => bits).join(''));
  }
});

test('the payload stands where the RFC draws it', () => {
  const start = (length) => rowsOf(frameOf('text', length).fields).findIndex((row) => row.some(({ id }) => id === 'payload'));
  assert.deepEqual([start(0), start(1), start(125), start(126), start(65_536)], [-1, 1, 1, 2, 3]);
});

test('characters stand over their UTF-8 bytes', () => {
  assert.deepEqual(charactersOf('你A👋', 9).map(({ shown, bytes }) => `${shown} = ${bytes.join(' ')}`), ['你 = E4 BD A0', 'A = 41', '👋 = F0 9F 91 8B']);
  assert.equal(charactersOf('x'.repeat(100), 12).length, 12);
  assert.deepEqual(charactersOf(' \n\u200d\u0301', 9).map(({ shown }) => shown), ['␣', 'LF', 'ZWJ', 'U+0301']);
  assert.equal(byteLength('你好，世界 👋'), 20);
});

test('half a surrogate pair becomes U+FFFD, as the browser sends it', () => {
  assert.deepEqual(charactersOf('\ud83d', 1), [{ shown: '\ufffd', codePoint: 'U+FFFD', bytes: ['EF', 'BF', 'BD'] }]);
});

test('bytes that are no text stand under their ASCII or a dot', () => {
  assert.deepEqual(bytesOf(Uint8Array.of(0x89, 0x50)).map(({ shown, bytes }) => shown + bytes), ['·89', 'P50']);
});
