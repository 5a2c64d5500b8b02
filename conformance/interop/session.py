#!/usr/bin/env python3
"""What the recorded session says (see ../vectors/README.md), and what a server has to make of it.

Run as a program it prints ../vectors/expected.json. session.mjs says the same in
JavaScript.
"""

import hashlib
import json

HELLO = "你好，世界 👋"
BINARY_SIZES = [0, 125, 126, 65_535, 65_536]

# Only for clients that let a program do these things; a browser does not.
PING = "ping 你好".encode()
FRAGMENTED_TEXT = "一段一段的文字 👋 in fragments, cut inside characters too"
PING_BETWEEN = b"between two fragments"
FRAGMENTED_BINARY = [1, 499, 0, 500]

CLOSE = (1000, "bye")


def mixed_text():
    """70 KB of ASCII and Chinese, in numbered lines so that no two parts are alike."""
    lines, size, number = [], 0, 0
    while size < 70_000:
        line = "%d: the frame says 帧说，你好世界 😀\n" % number
        lines.append(line)
        size += len(line.encode())
        number += 1
    return "".join(lines)


def binary(size):
    """The same bytes in every language: a linear congruential generator, seeded with the size."""
    state, out = size, bytearray()
    for _ in range(size):
        state = (state * 1_103_515_245 + 12_345) & 0xFFFF_FFFF
        out.append(state >> 16 & 0xFF)
    return bytes(out)


def pieces(data, size):
    return [data[i:i + size] for i in range(0, len(data), size)]


def text_pieces():
    """Pieces of 5 bytes, which ends in the middle of characters of 3."""
    return pieces(FRAGMENTED_TEXT.encode(), 5)


def binary_pieces():
    data, at, out = binary(sum(FRAGMENTED_BINARY)), 0, []
    for size in FRAGMENTED_BINARY:
        out.append(data[at:at + size])
        at += size
    return out


def events(browser):
    """The events in order: a message counts where it ends, after a Ping in the middle of it."""
    def event(kind, data):
        # SHA-1 too, because the core has that one at hand for its handshake.
        return {"kind": kind, "bytes": len(data), "sha1": hashlib.sha1(data).hexdigest(),
                "sha256": hashlib.sha256(data).hexdigest()}

    out = [event("text", text.encode()) for text in (HELLO, mixed_text(), "")]
    out += [event("binary", binary(size)) for size in BINARY_SIZES]
    if not browser:
        out += [event("ping", PING), event("ping", PING_BETWEEN),
                event("text", FRAGMENTED_TEXT.encode()), event("binary", b"".join(binary_pieces()))]
    return out + [{"kind": "close", "code": CLOSE[0], "reason": CLOSE[1]}]


def main():
    vectors = {"chromium": events(True), "node-ws": events(False), "python-websockets": events(False)}
    # A line for each event, for whoever reads or compares it without a JSON parser.
    parts = []
    for name, listed in vectors.items():
        rows = ",\n".join("    " + json.dumps(event) for event in listed)
        parts.append('  "%s": [\n%s\n  ]' % (name, rows))
    print("{\n" + ",\n".join(parts) + "\n}")


if __name__ == "__main__":
    main()
