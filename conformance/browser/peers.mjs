// Servers that behave as no server should, or that end a connection: for the states the server under test does not show.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'; // RFC 6455 section 1.3

/** A server that answers each opening handshake with what `answer(socket, accept)` writes. */
export async function peer(answer) {
  const sockets = new Set();
  const server = createServer((request, response) => response.writeHead(404).end());
  server.on('upgrade', (request, socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    answer(socket, createHash('sha1').update(request.headers['sec-websocket-key'] + GUID).digest('base64'));
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    url: `ws://127.0.0.1:${server.address().port}/`,
    /** Cuts all connections; doing it twice does no harm. */
    stop: () => new Promise((resolve) => {
      sockets.forEach((socket) => socket.destroy());
      server.close(() => resolve());
    }),
  };
}

const accepted = (accept) => `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;

/** Accepts, then cuts the connection without a Close frame. */
export const vanishing = () => peer((socket, accept) => {
  socket.write(accepted(accept));
  setTimeout(() => socket.destroy(), 200);
});

/** Accepts, then closes by the rules with this code and reason. */
export const closing = (code, reason) => peer((socket, accept) => {
  const text = Buffer.from(reason);
  const frame = Buffer.concat([Buffer.from([0x88, 2 + text.length, code >> 8, code & 255]), text]);
  socket.write(accepted(accept));
  setTimeout(() => socket.write(frame), 100);
  socket.on('data', () => socket.end()); // the answer to the Close frame; nothing else is ever sent here
});

/** Accepts, says something nobody asked for, and never answers a Close frame. */
export const silent = () => peer((socket, accept) => {
  socket.write(accepted(accept));
  socket.write(Buffer.concat([Buffer.from([0x81, 5]), Buffer.from('hello')]));
});

/** Declines every opening handshake. */
export const declining = () => peer((socket) => socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'));
