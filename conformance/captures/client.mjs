// Node `ws` as a client that says a bit of everything: judge.py captures it.
//
//   node client.mjs URL SEED
//
// Texts, binary data, fragments, Pings and Pongs of all lengths, from a generator of numbers that SEED starts. Ends with
// Close 1000 when every message has come back.

import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(join(process.env.SOCKEYE_PEERS, 'package.json'));
const { WebSocket } = require('ws');

const MESSAGES = 400;
const SIZES = [0, 1, 2, 5, 20, 100, 124, 125, 126, 127, 300, 1000, 1448, 4096, 9000, 65_535, 65_536, 70_000];
const LETTERS = [...'abc def ghi jkl ', ...'你好，世界', '👋', 'é'];

let state = Number(process.argv[3]);
const random = (below) => {
  state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
  return (state >>> 16) % below;
};

/** A text of about so many bytes that repeats itself, as texts do. */
function text(size) {
  const words = Array.from({ length: 1 + random(8) }, () => Array.from({ length: 1 + random(6) }, () => LETTERS[random(LETTERS.length)]).join(''));
  let said = '';
  while (Buffer.byteLength(said) < size) said += words[random(words.length)];
  return said;
}

const binary = (size) => Buffer.from(Array.from({ length: size }, () => random(256)));
/** Small ones are more frequent. */
const size = () => SIZES[Math.min(random(SIZES.length), random(SIZES.length))];

const ws = new WebSocket(process.argv[2], { perMessageDeflate: { threshold: 16 } });
let returned = 0;
ws.on('message', () => {
  returned += 1;
  if (returned === MESSAGES) ws.close(1000, '再见 bye');
});
ws.on('error', (error) => { console.error(error.message); process.exit(1); });
ws.on('close', (code) => process.exit(code === 1000 ? 0 : 1));
ws.on('open', async () => {
  for (let i = 0; i < MESSAGES; i += 1) {
    const data = random(2) ? Buffer.from(text(size())) : binary(size());
    const isBinary = data.length % 2 === 0 && random(2) === 0;
    // What is not UTF-8 goes as binary data.
    const asText = !isBinary && Buffer.from(data.toString()).equals(data);
    const parts = random(3) ? 1 : 1 + random(4);
    for (let part = 0; part < parts; part += 1) {
      const piece = data.subarray(Math.floor(data.length * part / parts), Math.floor(data.length * (part + 1) / parts));
      ws.send(piece, { binary: !asText, fin: part === parts - 1 });
      if (random(6) === 0) ws.ping(binary(random(126)));
      if (random(12) === 0) ws.pong(binary(random(126)));
    }
    // Some at once, some apart.
    if (random(3) === 0) await new Promise((done) => { setTimeout(done, random(3)); });
  }
});
