"""permessage-deflate (RFC 7692) for peer.py: the parameters Python `websockets` can negotiate, and messages to carry."""

import itertools
import random

from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory

KIB, MIB = 1024, 1024 * 1024
SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, MIB, 5_000_000]
FEW_SIZES = [0, 1, 126, 65_536]
MANY, FEW = 1000, 20
# So many are sent before their answers are read: few enough to fit into the buffers on the way.
AT_ONCE = 16

# Bytes to characters: equal bytes stay equal, and each length that UTF-8 has comes up.
CHARACTERS = {i: chr(0x20 + i % 95 if i < 192 else 0xC0 + i if i < 216 else 0x4E00 + i if i < 248 else 0x1F500 + i)
              for i in range(256)}


class Source:
    """Random messages which repeat themselves across every distance up to 40,000 bytes, so beyond the largest window."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.past = bytearray(b"in the beginning")

    def bytes(self, size):
        start = len(self.past)
        while len(self.past) < start + size:
            if self.random.random() < 0.7:
                # As many short distances as long ones, counted in bits.
                distance = min(int(2 ** self.random.uniform(0, 15.3)), len(self.past))
                at = len(self.past) - distance
                self.past += self.past[at:at + self.random.randint(3, 300)]
            else:
                self.past += self.random.randbytes(self.random.randint(1, 40))
        made = bytes(self.past[start:start + size])
        del self.past[:-40_000]
        return made

    def text(self, size):
        """A text of exactly so many bytes."""
        encoded = self.bytes(size).decode("latin-1").translate(CHARACTERS).encode()
        text = encoded[:size].decode(errors="ignore")
        return text + "x" * (size - len(text.encode()))

    def message(self):
        size = self.random.randrange(1 << self.random.randrange(15))
        return self.text(size) if self.random.random() < 0.5 else self.bytes(size)


def count_compressed(ws):
    """A function that tells how many of the messages that came were compressed."""
    (extension,) = ws.protocol.extensions
    decode = extension.decode
    compressed = 0

    def counted(frame, **options):
        nonlocal compressed
        compressed += frame.rsv1
        return decode(frame, **options)

    extension.decode = counted
    return lambda: compressed


# --- the server -----------------------------------------------------------------


def server_factory(query):
    """The server's configuration from the query of a URL, with the names which the parameters have on the wire."""
    def bits(name):
        return int(query[name]) if name in query else None

    return ServerPerMessageDeflateFactory(
        server_no_context_takeover="server_no_context_takeover" in query,
        client_no_context_takeover="client_no_context_takeover" in query,
        server_max_window_bits=bits("server_max_window_bits"),
        client_max_window_bits=bits("client_max_window_bits"),
    )


# --- the client -----------------------------------------------------------------


def offers():
    """Every offer the client can make: no takeover for each end, then the bits of each end's window."""
    # True offers client_max_window_bits without a value. 8 is more than zlib can keep to when it compresses.
    return itertools.product((False, True), (False, True), (None, *range(8, 16)), (None, True, *range(9, 16)))


def is_thorough(offer):
    """Whether it is one of the 32 that get all sizes and many messages: with each kind of takeover, each window."""
    _, _, server_bits, client_bits = offer
    return server_bits is not None and client_bits == max(9, 23 - server_bits)


def granted(offer):
    """The answer to an offer by a server which grants what is asked for and asks for nothing itself."""
    server_no, client_no, server_bits, client_bits = offer
    return {
        "permessage-deflate",
        *(["server_no_context_takeover"] if server_no else []),
        *(["client_no_context_takeover"] if client_no else []),
        *(["server_max_window_bits=%d" % server_bits] if server_bits else []),
        # 15 is no limit.
        *(["client_max_window_bits=%d" % client_bits] if client_bits not in (None, True, 15) else []),
    }


async def check_offers(open_at, check, url, which):
    """`all`: every offer, to a server that grants everything; `some`: a few, and the server may limit them."""
    sizes = Source(1)
    fixed = {size: (sizes.text(size), sizes.bytes(size)) for size in SIZES}
    connections = 0
    for number, offer in enumerate(offers()):
        thorough = is_thorough(offer)
        if which == "some" and not thorough:
            continue
        thorough = thorough and which == "all"
        factory = ClientPerMessageDeflateFactory(*offer)
        async with open_at(url, compression=None, extensions=[factory]) as ws:
            answer = ws.response.headers.get("Sec-WebSocket-Extensions", "")
            if which == "all":
                await check("the answer to %r" % (offer,), granted(offer), said(set(answer.split("; "))))
            what = "%s of %d bytes under " + answer
            compressed = count_compressed(ws)
            messages = 0
            for size in SIZES if thorough else FEW_SIZES:
                for message in fixed[size]:
                    await ws.send(message)
                    await check(what % (type(message).__name__, size), message, ws.recv())
                    messages += 1
            source = Source(number)
            for _ in range((MANY if thorough else FEW) // AT_ONCE + 1):
                batch = [source.message() for _ in range(AT_ONCE)]
                for message in batch:
                    await ws.send(message)
                for message in batch:
                    await check(what % (type(message).__name__, len(message)), message, ws.recv())
                messages += AT_ONCE
            if which == "all":
                await check("many answers are compressed under " + answer, True, said(compressed() * 4 > messages))
        connections += 1
    return connections


async def said(value):
    return value
