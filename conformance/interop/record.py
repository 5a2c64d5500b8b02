#!/usr/bin/env python3
"""Records what a WebSocket client sends: the raw bytes after its opening handshake.

  record.py FILE COMMAND...

Listens on a free port of 127.0.0.1 and starts COMMAND, in which {port} stands for
the port. The first connection that asks for a WebSocket is accepted, without any
extension or subprotocol, and every byte after the request goes to FILE until the
client's Close frame has come. That is answered with a Close of the same code;
nothing else ever is. A browser that asks for a file gets session.html or
session.mjs, so it can be pointed at http://127.0.0.1:{port}/.

Needs nothing but Python. Exit status: 0 when a session was recorded to its end.
"""

import base64
import hashlib
import os
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PAGES = {"/": ("session.html", "text/html"), "/session.mjs": ("session.mjs", "text/javascript")}
PATIENCE = 30.0


def read_head(conn):
    """Reads up to the empty line; gives the request's target, its headers and what came after."""
    data = b""
    while b"\r\n\r\n" not in data:
        got = conn.recv(4096)
        if not got:
            return None, {}, b""
        data += got
    head, rest = data.split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in lines[1:])
    return lines[0].split(" ")[1], {name.strip().lower(): value.strip() for name, value in pairs}, rest


def serve_page(conn, target):
    name, kind = PAGES.get(target, (None, "text/plain"))
    body = b""
    if name:
        with open(os.path.join(HERE, name), "rb") as f:
            body = f.read()
    status = "200 OK" if name else "404 Not Found"
    conn.sendall(("HTTP/1.1 %s\r\nContent-Type: %s; charset=utf-8\r\nContent-Length: %d\r\n"
                  "Connection: close\r\n\r\n" % (status, kind, len(body))).encode() + body)


def accept(conn, key):
    digest = hashlib.sha1((key + GUID).encode()).digest()
    conn.sendall(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Accept: %s\r\n\r\n" % base64.b64encode(digest).decode()).encode())


def frame_end(data, at):
    """Where the frame that starts at `at` ends and its payload begins, or None if more bytes are needed."""
    if len(data) < at + 2:
        return None
    length, start = data[at + 1] & 0x7F, at + 2
    extra = {126: 2, 127: 8}.get(length, 0)
    if extra:
        if len(data) < start + extra:
            return None
        length = int.from_bytes(data[start:start + extra], "big")
        start += extra
    if data[at + 1] & 0x80:
        start += 4
    return (start + length, start) if len(data) >= start + length else None


def record(conn, data):
    """All bytes up to the end of the Close frame, which is answered."""
    data, at = bytearray(data), 0
    while True:
        ended = frame_end(data, at)
        if ended is None:
            got = conn.recv(65_536)
            if not got:
                raise EOFError("the client ended the connection without a Close frame")
            data += got
            continue
        end, payload = ended
        if data[at] & 0x0F == 8:
            key, masked = data[payload - 4:payload], data[payload:end]
            code = bytes(byte ^ key[i % 4] for i, byte in enumerate(masked[:2]))
            conn.sendall(bytes([0x88, len(code)]) + code)
            return bytes(data[:end])
        at = end


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(PATIENCE)
    port = str(listener.getsockname()[1])
    client = subprocess.Popen([word.replace("{port}", port) for word in sys.argv[2:]])
    try:
        while True:
            conn, _ = listener.accept()
            with conn:
                conn.settimeout(PATIENCE)
                target, headers, rest = read_head(conn)
                if "sec-websocket-key" in headers:
                    accept(conn, headers["sec-websocket-key"])
                    recorded = record(conn, rest)
                    break
                if target is not None:
                    serve_page(conn, target)
        with open(sys.argv[1], "wb") as f:
            f.write(recorded)
        print("%s: %d bytes" % (sys.argv[1], len(recorded)))
    except (OSError, EOFError) as error:
        sys.exit("record.py: %s" % error)
    finally:
        # A browser would stay; others are given the time to see the answer to their Close.
        try:
            client.wait(2)
        except subprocess.TimeoutExpired:
            client.terminate()
            client.wait()


if __name__ == "__main__":
    main()
