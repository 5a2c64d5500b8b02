// A relay between the browser and a server, which looks at the frames that pass: the browser does not show RSV1.

import { connect, createServer } from 'node:net';

/**
 * Relays to the server at `url`, under an address of its own; what the page's feed says is relayed and not counted. `sent` and `received` count the browser's messages and the
 * server's: `messages` in all, and `compressed`, those with RSV1. `wrong` lists frames that may not have RSV1 and do.
 */
export async function relay(url) {
  const target = new URL(url);
  const sent = { messages: 0, compressed: 0 };
  const received = { messages: 0, compressed: 0 };
  const wrong = [];
  const sockets = new Set();
  const server = createServer((browser) => {
    const upstream = connect(Number(target.port), target.hostname);
    const link = { isFeed: false };
    for (const [from, to, counts] of [[browser, upstream, sent], [upstream, browser, received]]) {
      sockets.add(from);
      const look = observer(counts, wrong, link);
      from.on('data', look);
      from.on('error', () => to.destroy());
      from.on('close', () => sockets.delete(from));
      from.pipe(to);
    }
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const own = new URL(url);
  own.port = server.address().port;
  return {
    url: own.href.replace(/\/$/, ''),
    sent,
    received,
    wrong,
    stop: () => new Promise((resolve) => {
      sockets.forEach((socket) => socket.destroy());
      server.close(resolve);
    }),
  };
}

/** Follows one direction of a connection: an HTTP head, and when that is about WebSocket, frames (RFC 6455 section 5.2). */
function observer(counts, wrong, link) {
  let waiting = Buffer.alloc(0);
  let payloadLeft = 0;
  let state = 'head';
  return (chunk) => {
    if (state === 'other') return;
    waiting = Buffer.concat([waiting, chunk]);
    if (state === 'head') {
      const end = waiting.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = waiting.subarray(0, end).toString();
      if (head.startsWith('GET /inspect/')) link.isFeed = true; // the request comes before the response
      state = /^upgrade: *websocket/im.test(head) && !link.isFeed ? 'frames' : 'other';
      waiting = waiting.subarray(end + 4);
    }
    while (state === 'frames') {
      const skipped = Math.min(payloadLeft, waiting.length);
      payloadLeft -= skipped;
      waiting = waiting.subarray(skipped);
      if (payloadLeft > 0 || waiting.length < 2) return;
      const length = waiting[1] & 0x7f;
      const extended = length === 127 ? 8 : length === 126 ? 2 : 0;
      const key = waiting[1] >> 7 ? 4 : 0;
      if (waiting.length < 2 + extended + key) return;
      payloadLeft = extended === 8 ? Number(waiting.readBigUInt64BE(2)) : extended === 2 ? waiting.readUInt16BE(2) : length;
      const opcode = waiting[0] & 0x0f;
      const rsv1 = (waiting[0] & 0x40) > 0;
      const starts = opcode === 1 || opcode === 2;
      if (starts) counts.messages += 1;
      if (starts && rsv1) counts.compressed += 1;
      if (!starts && rsv1) wrong.push(`RSV1 on a frame with opcode ${opcode}`);
      waiting = waiting.subarray(2 + extended + key);
    }
  };
}
