"""What Python's zlib makes of payloads, for deflate_differential.rs.

Standard input: the limit, then sessions: a byte (1: context takeover), the number of messages, and for each its payload.
Standard output: for each message, until one fails, a byte (0: good, 1: corrupt, 2: too long), and the message if good.
Numbers have 4 bytes, the lowest first; payloads and messages stand behind their lengths.
"""

import struct
import sys
import zlib

TAIL = b"\x00\x00\xff\xff"
source, sink = sys.stdin.buffer, sys.stdout.buffer


def number():
    return struct.unpack("<I", source.read(4))[0]


def inflate(state, payload, limit):
    """The message, and the state after it; what follows a final block goes to a fresh state."""
    message, rest = b"", payload + TAIL
    while rest and len(message) <= limit:
        message += state.decompress(rest, limit + 1 - len(message))
        if state.eof:
            rest, state = state.unused_data, zlib.decompressobj(-15)
        else:
            rest = state.unconsumed_tail
    return message, state


limit = number()
while takeover := source.read(1):
    state, failed = zlib.decompressobj(-15), False
    for payload in [source.read(number()) for _ in range(number())]:
        if failed:
            continue
        try:
            message, state = inflate(state, payload, limit)
        except zlib.error:
            failed = True
            sink.write(b"\x01")
            continue
        if len(message) > limit:
            failed = True
            sink.write(b"\x02")
            continue
        sink.write(b"\x00" + struct.pack("<I", len(message)) + message)
        if takeover == b"\x00":
            state = zlib.decompressobj(-15)
