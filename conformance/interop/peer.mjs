// Node `ws` as the other side of an interoperability test: the same as peer.py, where everything is explained.
//
//   node peer.mjs serve | client URL | deflate URL all|some | session URL
//
// Finds `ws` in the folder which SOCKEYE_PEERS names, or else as usual.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import * as deflate from './deflate.mjs';
import * as session from './session.mjs';

const peers = process.env.SOCKEYE_PEERS;
const require = createRequire(peers ? join(peers, 'package.json') : import.meta.url);
const { WebSocket, WebSocketServer } = require('ws');

const PATIENCE = 20_000;
const MIB = 1024 * 1024;
const SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, MIB, 5_000_000];
const TEXTS = {
  'a greeting with an emoji': session.HELLO,
  '70 KB of ASCII and Chinese': session.mixedText(),
  'the first and last character of each length': '\0\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\u{10000}\u{10ffff}',
  'a family of emoji': '👨‍👩‍👧‍👦🇨🇳👋🏽'.repeat(1000),
};
const CODES = [1000, 1001, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 4999];
// The last one is as long as a reason can be: 41 characters of 3 bytes.
const REASONS = ['', 'bye', '再见，世界 👋', '满'.repeat(41)];

/** A text of exactly so many bytes, Chinese as far as it goes. */
function textOf(size) {
  let text = '';
  for (let i = 0; i < Math.floor(size / 3); i++) text += String.fromCharCode(0x4e00 + (i % 20_000));
  return text + 'x'.repeat(size % 3);
}

function pieces(data, size) {
  const out = [];
  for (let at = 0; at < data.length; at += size) out.push(data.subarray(at, at + size));
  return out;
}

/** Sends the pieces as the fragments of one message; `before` is called before each. */
async function inFragments(ws, parts, binary, before = () => {}) {
  for (const [i, part] of parts.entries()) {
    await before(i);
    ws.send(part, { binary, fin: i === parts.length - 1 });
  }
}

/** Collects what comes, from the first moment on, and hands it out one by one. */
function inbox(ws) {
  const items = [];
  const waiting = [];
  const put = (item) => (waiting.length ? waiting.shift()(item) : items.push(item));
  ws.on('message', (data, isBinary) => put({ kind: isBinary ? 'binary' : 'text', data: Buffer.from(data) }));
  ws.on('pong', (data) => put({ kind: 'pong', data: Buffer.from(data) }));
  ws.on('close', (code, reason) => put({ kind: 'close', data: Buffer.from(`${code} ${reason}`) }));
  ws.on('error', (error) => put({ kind: 'error', data: Buffer.from(error.message) }));
  return () => (items.length ? Promise.resolve(items.shift()) : new Promise((give) => waiting.push(give)));
}

// --- the server -----------------------------------------------------------------

function serve() {
  const http = createServer().listen(0, '127.0.0.1', () => {
    console.log(`listening on 127.0.0.1:${http.address().port}`);
  });
  http.on('upgrade', (request, socket, head) => {
    const url = new URL(request.url, 'ws://127.0.0.1');
    // The limit on messages lifted.
    const options = { noServer: true, maxPayload: 0 };
    if (url.pathname === '/deflate') options.perMessageDeflate = deflate.serverOptions(url.searchParams);
    const server = new WebSocketServer(options);
    let answer = '';
    server.on('headers', (headers) => {
      answer = headers.find((line) => line.startsWith('Sec-WebSocket-Extensions: '))?.split(': ')[1] ?? '';
    });
    server.handleUpgrade(request, socket, head, (ws) => accepted(ws, url, answer));
  });
}

function accepted(ws, url, answer) {
  // A failure ends the connection, and the line below tells of it.
  ws.on('error', () => {});
  const compressed = url.pathname === '/deflate' ? deflate.countCompressed(ws) : null;
  ws.on('close', (code, reason) => {
    if (compressed) console.log(`compressed ${compressed()}`);
    // ws says 1005 for a Close without a code, and 1006 where none came.
    console.log(`closed ${url.pathname} ${code === 1006 ? 'none' : `${code} ${reason}`}`);
  });
  handle(ws, url, answer).catch((error) => {
    console.log(`failed ${url.pathname} ${error.message}`);
    ws.terminate();
  });
}

async function handle(ws, url, answer) {
  const query = url.searchParams;
  if (url.pathname === '/echo') {
    const size = Number(query.get('fragment') ?? 0);
    ws.on('message', (data, binary) => {
      if (size && data.length) inFragments(ws, pieces(data, size), binary);
      else ws.send(data, { binary });
    });
  } else if (url.pathname === '/deflate') {
    ws.on('message', (data, binary) => ws.send(data, { binary }));
    ws.send(answer);
  } else if (url.pathname === '/close') {
    ws.close(Number(query.get('code')), query.get('reason') ?? '');
  } else if (url.pathname === '/ping') {
    const payload = query.get('payload');
    ws.on('pong', (data) => {
      if (data.toString() === payload) ws.send('pong ok');
    });
    ws.ping(payload);
  } else if (url.pathname === '/pings') {
    ws.on('ping', (data) => ws.send(`ping ${data.toString('hex')}`));
  } else if (url.pathname === '/fragments') {
    let number = 0;
    const ping = () => ws.ping(`fragment ${number++}`);
    await inFragments(ws, pieces(Buffer.from(session.HELLO), 1), false, ping);
    await inFragments(ws, pieces(Buffer.from(session.mixedText()), 1000), false, ping);
    await inFragments(ws, pieces(session.binary(65_536), 4096), true, ping);
  }
}

// --- the client -----------------------------------------------------------------

let checks = 0;

class Different extends Error {}

/** Waits for what comes next and compares it. */
async function check(what, kind, wanted, take) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Different(`${what}: nothing came in ${PATIENCE / 1000} s`)), PATIENCE);
  });
  const got = await Promise.race([take(), late]);
  clearTimeout(timer);
  wanted = Buffer.from(wanted);
  if (got.kind !== kind) {
    const shown = got.data.subarray(0, 100).toString();
    throw new Different(`${what}: got ${got.kind} of ${got.data.length} bytes (${shown}), expected ${kind}`);
  }
  if (!got.data.equals(wanted)) {
    let at = 0;
    while (at < wanted.length && got.data[at] === wanted[at]) at++;
    const part = (data) => data.subarray(at, at + 20).toString('hex');
    throw new Different(
      `${what}: differs at byte ${at}: got ${got.data.length} bytes (${part(got.data)}…), ` +
        `expected ${wanted.length} bytes (${part(wanted)}…)`,
    );
  }
  checks += 1;
}

async function open(url, options = {}) {
  const ws = new WebSocket(url, { maxPayload: 0, ...options });
  const take = inbox(ws);
  let answer = '';
  ws.once('upgrade', ({ headers }) => { answer = headers['sec-websocket-extensions'] ?? ''; });
  await new Promise((ready, fail) => ws.once('open', ready).once('error', fail));
  return { ws, take, answer };
}

async function closeAndCheck({ ws, take }, code = 1000, reason = '') {
  ws.close(code, reason);
  await check('answer to Close', 'close', `${code} ${reason}`, take);
}

async function checkMessages(url) {
  let link = await open(url);
  for (const size of SIZES) {
    link.ws.send(textOf(size));
    await check(`text of ${size} bytes`, 'text', textOf(size), link.take);
    link.ws.send(session.binary(size));
    await check(`binary of ${size} bytes`, 'binary', session.binary(size), link.take);
  }
  for (const [what, text] of Object.entries(TEXTS)) {
    link.ws.send(text);
    await check(what, 'text', text, link.take);
  }
  await closeAndCheck(link);

  link = await open(url);
  const many = Array.from({ length: 1000 }, (_, i) => (i % 2 ? textOf(i) : session.binary(i)));
  for (const message of many) link.ws.send(message);
  for (const [i, message] of many.entries()) {
    const kind = i % 2 ? 'text' : 'binary';
    await check(`message ${i} of ${many.length} sent without waiting`, kind, message, link.take);
  }
  await closeAndCheck(link);
}

async function checkFragments(url) {
  const link = await open(url);
  const { ws, take } = link;
  const hello = Buffer.from(session.HELLO);
  const none = Buffer.alloc(0);
  await inFragments(ws, pieces(hello, 1), false);
  await check('a text in fragments of a byte', 'text', hello, take);

  await inFragments(ws, [none, hello.subarray(0, 4), none, hello.subarray(4), none], false);
  await check('a text with empty fragments', 'text', hello, take);

  const data = session.binary(1000);
  await inFragments(ws, pieces(data, 1), true);
  await check('binary data in 1000 fragments', 'binary', data, take);

  const text = Buffer.from(session.mixedText());
  for (const size of [125, 126, 65_535]) {
    await inFragments(ws, pieces(text, size), false);
    await check(`70 KB in fragments of ${size} bytes`, 'text', text, take);
  }

  // Each Pong has to come while the message is still incomplete.
  await inFragments(ws, pieces(hello, 2), false, async (i) => {
    if (i === 0) return;
    const payload = `after piece ${i} 之后`;
    ws.ping(payload);
    await check('Pong in the middle of a message', 'pong', payload, take);
  });
  await check('a text with Pings between its fragments', 'text', hello, take);
  await closeAndCheck(link);
}

async function checkPings(url) {
  const link = await open(url);
  const { ws, take } = link;
  for (const payload of [Buffer.alloc(0), Buffer.from('x'), Buffer.from('乒乓 🏓'), session.binary(125)]) {
    ws.ping(payload);
    await check(`Pong with ${payload.length} bytes`, 'pong', payload, take);
  }
  // Answers may be left out for all Pings but the last (section 5.5.3); that one has to be answered.
  // More than 60 at once are too many for a server of ws itself.
  for (let i = 0; i < 50; i++) ws.ping(`ping ${i}`);
  await check('Pong to the last of 50 Pings', 'pong', 'ping 49', async () => {
    for (;;) {
      const got = await take();
      if (got.kind !== 'pong' || got.data.toString() === 'ping 49') return got;
    }
  });
  ws.send('still there');
  await check('a message after Pings', 'text', 'still there', take);
  await closeAndCheck(link);
}

async function checkCloses(url) {
  for (const code of CODES) {
    for (const reason of REASONS) await closeAndCheck(await open(url), code, reason);
  }

  // A Close without a code gets one without a code, which ws shows as 1005.
  const silent = await open(url);
  silent.ws.close();
  await check('answer to an empty Close', 'close', '1005 ', silent.take);

  // A client that disappears must not trouble the others.
  const gone = await open(url);
  gone.ws.send('gone before the answer');
  gone.ws.terminate();
  const next = await open(url);
  next.ws.send('next');
  await check('a message after another client disappeared', 'text', 'next', next.take);
  await closeAndCheck(next);
}

async function client(url) {
  await report(async () => {
    for (const part of [checkMessages, checkFragments, checkPings, checkCloses]) await part(url);
  });
  console.log(`ws client: ${checks} checks passed`);
}

async function deflateClient(url, which) {
  const tools = { open, check, closeAndCheck, Different };
  const connections = await report(() => deflate.checkOffers(tools, url, which));
  console.log(`ws client: ${checks} checks passed on ${connections} connections`);
}

/** What the checks give, or else the end of the program with a word why. */
async function report(checking) {
  try {
    return await checking();
  } catch (error) {
    const where = error instanceof Different ? '' : `after ${checks} checks: `;
    console.error(`ws client: ${where}${error.message}`);
    process.exit(1);
  }
}

// --- the session to record --------------------------------------------------------

async function recordedSession(url) {
  const ws = new WebSocket(url, { perMessageDeflate: false });
  await new Promise((ready, fail) => ws.once('open', ready).once('error', fail));
  session.sendMessages(ws);
  ws.ping(session.PING);
  await inFragments(ws, session.textPieces(), false, (i) => {
    if (i === 2) ws.ping(session.PING_BETWEEN);
  });
  await inFragments(ws, session.binaryPieces(), true);
  ws.close(...session.CLOSE);
}

const [mode, url, ...more] = process.argv.slice(2);
if (mode === 'serve' && url === undefined) serve();
else if (mode === 'client' && url && !more.length) await client(url);
else if (mode === 'deflate' && ['all', 'some'].includes(more[0])) await deflateClient(url, more[0]);
else if (mode === 'session' && url && !more.length) await recordedSession(url);
else {
  console.error('usage: node peer.mjs serve | client URL | deflate URL all|some | session URL');
  process.exit(2);
}
