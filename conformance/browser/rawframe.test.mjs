// The composer's bytes: rawframe.js needs no browser.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseHex, rawFrame, toHex } from '../../crates/cli/page/rawframe.js';

const good = { fin: true, rsv: 0, opcode: 1, key: Uint8Array.of(0x37, 0xfa, 0x21, 0x3d), payload: new TextEncoder().encode('Hello'), form: 'auto', claim: null };
const bytes = (own) => toHex(rawFrame({ ...good, ...own }).bytes);

test('Hello is the frame of RFC 6455 section 5.7, masked and unmasked', () => {
  assert.equal(bytes({}), '818537fa213d7f9f4d5158');
  assert.equal(bytes({ key: null }), '810548656c6c6f');
});

test('each bit of the first byte stands where the RFC has it, for all 256', () => {
  for (let byte = 0; byte < 256; byte += 1) {
    const own = { fin: byte >= 128, rsv: (byte >> 4) & 7, opcode: byte & 15 };
    assert.equal(rawFrame({ ...good, ...own }).bytes[0], byte);
  }
});

test('the length takes the shortest form unless another is asked for', () => {
  const length = (count, form = 'auto') => toHex(rawFrame({ ...good, key: null, payload: new Uint8Array(count), form }).bytes.slice(0, count > 65_535 || form === '64' ? 10 : count > 125 || form === '16' ? 4 : 2));
  assert.deepEqual([length(0), length(125), length(126), length(65_535), length(65_536)], ['8100', '817d', '817e007e', '817effff', '817f0000000000010000']);
  assert.deepEqual([length(5, '16'), length(5, '64')], ['817e0005', '817f0000000000000005']);
});

test('the header says any length one claims, and refuses what the form cannot say', () => {
  assert.equal(bytes({ key: null, claim: 3n }), '810348656c6c6f');
  assert.equal(bytes({ key: null, claim: 0xffff_ffff_ffff_ffffn }).slice(0, 20), '817fffffffffffffffff');
  assert.equal(bytes({ key: null, form: '7', claim: 126n }).slice(0, 4), '817e');
  for (const own of [{ form: '7', payload: new Uint8Array(126) }, { form: '16', claim: 65_536n }, { claim: 1n << 64n }]) {
    assert.throws(() => bytes(own), RangeError);
  }
});

test('hex is read with spaces, commas, colons and 0x, and nothing else is hex', () => {
  assert.equal(toHex(parseHex('0x81, 85:37 fa\n21 3d')), '818537fa213d');
  for (const text of ['8', '8g', '81 8', 'hello']) assert.equal(parseHex(text), null);
  assert.deepEqual([...parseHex('')], []);
});
