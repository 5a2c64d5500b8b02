// A program in place of the server under test: it serves the page's files and plays a feed of records, any number of them.

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';

const PAGE = new URL('../../crates/cli/page/', import.meta.url);
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'; // RFC 6455 section 1.3
const TYPES = { html: 'text/html; charset=utf-8', css: 'text/css; charset=utf-8', js: 'text/javascript; charset=utf-8', svg: 'image/svg+xml' };
/** As in crates/cli/src/serve/page.rs. */
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; "
  + "img-src 'self' blob: data:; media-src blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/**
 * Starts it. `history` is an array of records or lines that each feed begins with. `tell(records)` sends more to all feeds;
 * `hangUp()` ends the feeds; `asked` lists the URLs of the WebSockets.
 */
export async function program(history = [], { mode = 'serve', started = '2026-01-31T12:00:00.123Z' } = {}) {
  const sockets = new Set();
  const feeds = new Set();
  const asked = [];
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://page');
    const name = pathname === '/' ? 'index.html' : pathname.slice(1);
    const bytes = /^[a-z0-9-]+\.\w+$/.test(name) ? await readFile(new URL(name, PAGE)).catch(() => null) : null;
    if (!bytes) return void response.writeHead(404).end();
    response.writeHead(200, { 'content-type': TYPES[name.split('.').pop()], 'content-security-policy': POLICY }).end(bytes);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (request, socket) => {
    asked.push(request.url);
    const accept = createHash('sha1').update(request.headers['sec-websocket-key'] + GUID).digest('base64');
    socket.on('error', () => {});
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    if (!request.url.startsWith('/inspect/feed?')) return;
    feeds.add(socket);
    socket.on('close', () => feeds.delete(socket));
    const hello = { record: 'hello', version: 1, mode, started, target: null, all: true, composer: false };
    play(socket, [hello, ...history, { record: 'live' }]);
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    asked,
    tell: (records) => feeds.forEach((socket) => play(socket, records)),
    hangUp: () => feeds.forEach((socket) => socket.destroy()),
    stop: () => new Promise((resolve) => {
      sockets.forEach((socket) => socket.destroy());
      server.close(resolve);
    }),
  };
}

/** Some hundred lines a message, as the program does. */
function play(socket, records) {
  for (let at = 0; at < records.length; at += 200) {
    socket.write(text(records.slice(at, at + 200).map((record) => (typeof record === 'string' ? record : JSON.stringify(record))).join('\n')));
  }
}

/** A text message in one frame of a server. */
function text(message) {
  const payload = Buffer.from(message);
  const header = Buffer.alloc(10);
  header[0] = 0x81;
  header[1] = 127;
  header.writeBigUInt64BE(BigInt(payload.length), 2);
  if (payload.length > 65_535) return Buffer.concat([header, payload]);
  if (payload.length < 126) return Buffer.concat([Buffer.from([0x81, payload.length]), payload]);
  return Buffer.concat([Buffer.from([0x81, 126, payload.length >> 8, payload.length & 255]), payload]);
}
