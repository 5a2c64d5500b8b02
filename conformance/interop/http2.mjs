// Node's HTTP/2 with WebSockets over it (RFC 8441), for our client: `ws` on the streams of `node:http2`.
//
//   node http2.mjs [CERTIFICATE KEY]      (PEM files; without them without TLS)
//
// `/echo` sends everything back, `/flood` sends for as long as it can, and any other path is answered with 404 and a reason.
// Prints where it listens, `session` for each connection, and how each WebSocket was closed.
//
// Finds `ws` in the folder which SOCKEYE_PEERS names, or else as usual.

import { readFileSync } from 'node:fs';
import http2 from 'node:http2';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const peers = process.env.SOCKEYE_PEERS;
const require = createRequire(peers ? join(peers, 'package.json') : import.meta.url);
const { WebSocket } = require('ws');

const [certificate, key] = process.argv.slice(2);
const settings = { enableConnectProtocol: true };
const server = certificate
  ? http2.createSecureServer({ cert: readFileSync(certificate), key: readFileSync(key), settings })
  : http2.createServer({ settings });

server.on('session', () => console.log('session'));
server.on('stream', (stream, headers) => {
  stream.on('error', () => {});
  const path = headers[':path'];
  if (headers[':method'] !== 'CONNECT' || headers[':protocol'] !== 'websocket' || !['/echo', '/flood'].includes(path)) {
    stream.respond({ ':status': 404, 'content-type': 'text/plain' });
    stream.end('there is nothing here\n');
    return;
  }
  const offered = headers['sec-websocket-protocol']?.split(', ') ?? [];
  stream.respond({ ':status': 200, ...(offered.length && { 'sec-websocket-protocol': offered[0] }) });
  // As `WebSocketServer` makes one of what it was given.
  const ws = new WebSocket(null, undefined, { autoPong: true, closeTimeout: 10_000 });
  ws.setSocket(stream, Buffer.alloc(0), { maxPayload: 64 << 20, skipUTF8Validation: false, allowSynchronousEvents: true });
  ws.on('message', (data, binary) => ws.send(data, { binary }));
  ws.on('close', (code, reason) => console.log(`closed ${path} ${code} ${reason}`));
  ws.on('error', (error) => console.log(`error ${path} ${error.message}`));
  if (path === '/flood') {
    const send = () => ws.send('x'.repeat(1000), send);
    send();
  }
});
server.listen(0, '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
