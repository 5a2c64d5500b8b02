// What the recorded session says, as in session.py, for Node and for browsers alike.

export const HELLO = '你好，世界 👋';
export const BINARY_SIZES = [0, 125, 126, 65_535, 65_536];
export const PING = 'ping 你好';
export const FRAGMENTED_TEXT = '一段一段的文字 👋 in fragments, cut inside characters too';
export const PING_BETWEEN = 'between two fragments';
export const FRAGMENTED_BINARY = [1, 499, 0, 500];
export const CLOSE = [1000, 'bye'];

const utf8 = (text) => new TextEncoder().encode(text);

export function mixedText() {
  let text = '';
  let size = 0;
  for (let number = 0; size < 70_000; number++) {
    const line = `${number}: the frame says 帧说，你好世界 😀\n`;
    text += line;
    size += utf8(line).length;
  }
  return text;
}

export function binary(size) {
  const out = new Uint8Array(size);
  for (let i = 0, state = size; i < size; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    out[i] = state >>> 16;
  }
  return out;
}

export function textPieces() {
  const data = utf8(FRAGMENTED_TEXT);
  const out = [];
  for (let at = 0; at < data.length; at += 5) out.push(data.subarray(at, at + 5));
  return out;
}

export function binaryPieces() {
  const data = binary(FRAGMENTED_BINARY.reduce((a, b) => a + b));
  let at = 0;
  return FRAGMENTED_BINARY.map((size) => data.subarray(at, (at += size)));
}

/** The part that every WebSocket can do, a browser's too. */
export function sendMessages(ws) {
  for (const text of [HELLO, mixedText(), '']) ws.send(text);
  for (const size of BINARY_SIZES) ws.send(binary(size));
}
