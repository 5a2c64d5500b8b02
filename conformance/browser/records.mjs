// Records to play: those in records.jsonl are `sockeye inspect --format json`'s own, the others are made like them.

import { readFile } from 'node:fs/promises';

/** One connection each: an echo with fragments and a Close; two broken rules; compression; bad UTF-8; a length too long. */
export async function recorded() {
  const lines = (await readFile(new URL('records.jsonl', import.meta.url), 'utf8')).trim().split('\n');
  const connections = new Set(lines.map((line) => JSON.parse(line).connection));
  return [...[...connections].map(opened), ...lines];
}

export const opened = (connection) => (
  { record: 'opened', connection, time_ns: 0, client: `127.0.0.1:${50_000 + connection}`, server: null, target: '/echo', begins: 'frames', compression: null });

/** `count` frames of one client, each a text with its own number in it, as the first recorded frame is. */
export async function many(count) {
  const [first] = (await recorded()).filter((line) => typeof line === 'string');
  const model = JSON.parse(first);
  return [opened(1), ...Array.from({ length: count }, (_, i) => {
    const text = `message ${i + 1}`;
    const header = `81${(0x80 + text.length).toString(16)}a1b2c3d4`;
    return JSON.stringify({
      ...model, frame: i + 1, offset: i * 64, time_ns: i * 1000, until_ns: i * 1000, header, text,
      payload: Buffer.from(text).toString('hex'), payload_masked: Buffer.from(text, 'latin1').map((byte, at) => byte ^ [0xa1, 0xb2, 0xc3, 0xd4][at % 4]).toString('hex'),
      payload_length: text.length, size: 6 + text.length,
      message: { ...model.message, number: i + 1, length: text.length, text },
    });
  })];
}

/** A record of another kind with what every record has; `own` is the rest. */
export function made(kind, connection, at, own) {
  return {
    record: kind, connection, time_ns: at, until_ns: at, offset: at, size: 1, from: 'client', violations: [], hints: [], ...own,
  };
}
