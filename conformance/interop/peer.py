#!/usr/bin/env python3
"""Python `websockets` as the other side of an interoperability test.

  peer.py serve         a server on a free port of 127.0.0.1, printed as `listening on 127.0.0.1:PORT`
  peer.py client URL    checks the echo server at URL; exits with 1 at the first difference
  peer.py deflate URL all|some
                        checks it with permessage-deflate: every offer, to a server that grants everything, or some
  peer.py session URL   sends what session.py lists, for record.py

What the server does depends on the path:

  /echo                   sends every message back; ?fragment=N in fragments of N bytes
  /close?code=C&reason=R  sends Close with that code and reason at once
  /ping?payload=TEXT      sends a Ping, waits for the Pong with its payload, sends "pong ok"
  /pings                  sends a text "ping HEX" for every Ping it gets
  /fragments              sends messages in fragments, a Ping before each
  /deflate?PARAMETERS     answers permessage-deflate by these parameters, named as on the wire; sends the answer
                          (Sec-WebSocket-Extensions, or nothing) as a text, then sends every message back; at the end
                          it prints how many came compressed: `compressed N`

and for every connection that ends it prints what Close the other side sent:
`closed PATH CODE REASON`, or `closed PATH none`.
"""

import asyncio
import sys
import urllib.parse

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

import deflate
import session

PATIENCE = 20
KIB, MIB = 1024, 1024 * 1024
SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, MIB, 5_000_000]
TEXTS = {
    "a greeting with an emoji": session.HELLO,
    "70 KB of ASCII and Chinese": session.mixed_text(),
    "the first and last character of each length": "\0\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff",
    "a family of emoji": "👨‍👩‍👧‍👦🇨🇳👋🏽" * 1000,
}
CODES = [1000, 1001, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 4999]
# The last one is as long as a reason can be: 41 characters of 3 bytes.
REASONS = ["", "bye", "再见，世界 👋", "满" * 41]


def text_of(size):
    """A text of exactly so many bytes, Chinese as far as it goes."""
    return "".join(chr(0x4E00 + i % 20_000) for i in range(size // 3)) + "x" * (size % 3)


# --- the server -----------------------------------------------------------------


class Server(ServerConnection):
    """A connection that tells its handler about Pings, which the library keeps to itself."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.pings = asyncio.Queue()

    def process_event(self, event):
        super().process_event(event)
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            self.pings.put_nowait(bytes(event.data))


async def in_fragments(ws, data, size, is_text, ping=None):
    async def cut():
        for piece in session.pieces(data, size):
            if ping is not None:
                await ws.ping(ping())
            yield piece
    await ws.send(cut(), text=is_text)


async def handle(ws):
    url = urllib.parse.urlsplit(ws.request.path)
    query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
    try:
        if url.path == "/echo":
            size = int(query.get("fragment", 0))
            async for message in ws:
                data = message.encode() if isinstance(message, str) else message
                if size and data:
                    await in_fragments(ws, data, size, isinstance(message, str))
                else:
                    await ws.send(message)
        elif url.path == "/deflate":
            compressed = deflate.count_compressed(ws) if ws.protocol.extensions else lambda: 0
            await ws.send(ws.response.headers.get("Sec-WebSocket-Extensions", ""))
            async for message in ws:
                await ws.send(message)
            print("compressed", compressed(), flush=True)
        elif url.path == "/close":
            await ws.close(int(query["code"]), query.get("reason", ""))
        elif url.path == "/ping":
            await asyncio.wait_for(await ws.ping(query["payload"]), PATIENCE)
            await ws.send("pong ok")
            await ws.wait_closed()
        elif url.path == "/pings":
            while True:
                await ws.send("ping " + (await ws.pings.get()).hex())
        elif url.path == "/fragments":
            numbers = iter(range(10_000))
            ping = lambda: b"fragment %d" % next(numbers)
            await in_fragments(ws, session.HELLO.encode(), 1, True, ping)
            await in_fragments(ws, session.mixed_text().encode(), 1000, True, ping)
            await in_fragments(ws, session.binary(65_536), 4096, False, ping)
            await ws.wait_closed()
    except ConnectionClosed:
        # However it ended: the line below says it.
        pass
    finally:
        await ws.wait_closed()
        got = ws.protocol.close_rcvd
        print("closed", url.path, "%d %s" % (got.code, got.reason) if got else "none", flush=True)


def configure(ws, request):
    """Compression as the URL says, before the handshake is answered."""
    url = urllib.parse.urlsplit(request.path)
    if url.path == "/deflate":
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        ws.protocol.available_extensions = [deflate.server_factory(query)]


async def serve_forever():
    # The limit on messages lifted, pings of its own off, so that a test knows each one.
    options = {"create_connection": Server, "process_request": configure, "max_size": None, "ping_interval": None}
    async with serve(handle, "127.0.0.1", 0, **options) as server:
        print("listening on 127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()


# --- the client -----------------------------------------------------------------


class Different(Exception):
    pass


checks = 0


async def check(what, wanted, coming):
    """Waits for a result and compares it."""
    global checks
    try:
        got = await asyncio.wait_for(coming, PATIENCE)
    except asyncio.TimeoutError:
        raise Different("%s: nothing came in %d s" % (what, PATIENCE)) from None
    if type(got) is not type(wanted):
        raise Different("%s: got %s, expected %s" % (what, type(got).__name__, type(wanted).__name__))
    if got != wanted:
        at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
        raise Different("%s: differs at %d: got %d long %r, expected %d long %r" % (
            what, at, len(got), got[at:at + 20], len(wanted), wanted[at:at + 20]))
    checks += 1


def open_at(url, **options):
    # Ends quickly when the other side does not answer a Close; that shows in what was received.
    return connect(url, max_size=None, ping_interval=None, close_timeout=5, **options)


async def check_messages(url):
    async with open_at(url) as ws:
        for size in SIZES:
            for message in (text_of(size), session.binary(size)):
                await ws.send(message)
                await check("%s of %d bytes" % (type(message).__name__, size), message, ws.recv())
        for what, text in TEXTS.items():
            await ws.send(text)
            await check(what, text, ws.recv())

    async with open_at(url) as ws:
        many = [text_of(i) if i % 2 else session.binary(i) for i in range(1000)]
        sending = asyncio.ensure_future(send_all(ws, many))
        for i, message in enumerate(many):
            await check("message %d of %d sent without waiting" % (i, len(many)), message, ws.recv())
        await sending


async def send_all(ws, messages):
    for message in messages:
        await ws.send(message)


async def check_fragments(url):
    async with open_at(url) as ws:
        data = session.HELLO.encode()
        await in_fragments(ws, data, 1, True)
        await check("a text in fragments of a byte", session.HELLO, ws.recv())

        await ws.send([b"", data[:4], b"", data[4:], b""], text=True)
        await check("a text with empty fragments", session.HELLO, ws.recv())

        data = session.binary(1000)
        await in_fragments(ws, data, 1, False)
        await check("binary data in 1000 fragments", data, ws.recv())

        text = session.mixed_text()
        for size in (125, 126, 65_535):
            await in_fragments(ws, text.encode(), size, True)
            await check("70 KB in fragments of %d bytes" % size, text, ws.recv())

        # Each Pong has to come while the message is still incomplete.
        async def with_pings():
            for i, piece in enumerate(session.pieces(session.HELLO.encode(), 2)):
                yield piece
                pong = await ws.ping("after piece %d 之后" % i)
                await check("Pong in the middle of a message", True, came(pong))
        await ws.send(with_pings(), text=True)
        await check("a text with Pings between its fragments", session.HELLO, ws.recv())


async def came(pong):
    """True when the Pong with the Ping's own payload has come."""
    return await pong >= 0


async def check_pings(url):
    async with open_at(url) as ws:
        for payload in (b"", b"x", "乒乓 🏓".encode(), session.binary(125)):
            await check("Pong with %d bytes" % len(payload), True, came(await ws.ping(payload)))
        # Answers may be left out for all Pings but the last (section 5.5.3); that one has to be answered.
        # More than 60 at once are too many for a server of Node ws.
        for i in range(50):
            last = await ws.ping(b"ping %d" % i)
        await check("Pong to the last of 50 Pings", True, came(last))
        await ws.send("still there")
        await check("a message after Pings", "still there", ws.recv())


async def check_closes(url):
    async def closed(ws):
        await ws.wait_closed()
        got = ws.protocol.close_rcvd
        return "%s %s" % (got.code, got.reason) if got else "no Close"

    for code in CODES:
        for reason in REASONS:
            async with open_at(url) as ws:
                await ws.close(code, reason)
                await check("answer to Close", "%d %s" % (code, reason), closed(ws))

    # A client that disappears must not trouble the others.
    async with open_at(url) as ws:
        await ws.send("gone before the answer")
        ws.transport.abort()
    async with open_at(url) as ws:
        await ws.send("next")
        await check("a message after another client disappeared", "next", ws.recv())


async def run_client(url):
    async def parts():
        for part in (check_messages, check_fragments, check_pings, check_closes):
            await part(url)

    await report(parts())
    print("websockets client: %d checks passed" % checks)


async def run_deflate(url, which):
    connections = await report(deflate.check_offers(open_at, check, url, which))
    print("websockets client: %d checks passed on %d connections" % (checks, connections))


async def report(checking):
    """What the checks give, or else the end of the program with a word why."""
    try:
        return await checking
    except Different as difference:
        sys.exit("websockets client: %s" % difference)
    except Exception as error:
        sys.exit("websockets client: after %d checks: %s: %s" % (checks, type(error).__name__, error))


# --- the session to record --------------------------------------------------------


async def run_session(url):
    async with connect(url, compression=None, ping_interval=None) as ws:
        for text in (session.HELLO, session.mixed_text(), ""):
            await ws.send(text)
        for size in session.BINARY_SIZES:
            await ws.send(session.binary(size))
        await ws.ping(session.PING)

        async def with_ping():
            for i, piece in enumerate(session.text_pieces()):
                if i == 2:
                    await ws.ping(session.PING_BETWEEN)
                yield piece
        await ws.send(with_ping(), text=True)
        await ws.send(session.binary_pieces())
        await ws.close(*session.CLOSE)


def main():
    mode = sys.argv[1:]
    if mode == ["serve"]:
        asyncio.run(serve_forever())
    elif len(mode) == 2 and mode[0] == "client":
        asyncio.run(run_client(mode[1]))
    elif len(mode) == 3 and mode[0] == "deflate" and mode[2] in ("all", "some"):
        asyncio.run(run_deflate(mode[1], mode[2]))
    elif len(mode) == 2 and mode[0] == "session":
        asyncio.run(run_session(mode[1]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
