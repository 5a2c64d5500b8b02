#!/usr/bin/env python3
"""Brings clients of HTTP/1.1 to a server's HTTP/2 (RFC 8441), with Python's `h2` as the opposite peer.

  http2_bridge.py HOST:PORT   prints `listening on 127.0.0.1:PORT` and serves until it is killed

Every WebSocket that is opened here becomes one stream of a single connection to HOST:PORT, which is opened with prior
knowledge: its request an extended CONNECT, its bytes DATA frames within the windows of both ends, FIN an END_STREAM and a reset a
RST_STREAM. So whatever a client checks over HTTP/1.1 it checks over HTTP/2.
"""

import asyncio
import base64
import hashlib
import sys

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# What goes along to the server; the rest of the handshake is HTTP/1.1's own.
CARRIED = (b"sec-websocket-version", b"sec-websocket-protocol", b"sec-websocket-extensions", b"origin")
PIECE = 64 * 1024


class Http2(asyncio.Protocol):
    """The connection to the server."""

    def __init__(self, authority):
        self.authority = authority
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        self.streams = {}
        self.enabled = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.h2.initiate_connection()
        # A stream that is not read must not take the window of all others.
        self.h2.increment_flow_control_window(16 * 1024 * 1024)
        self.flush()

    def connection_lost(self, error):
        for stream in self.streams.values():
            stream.reset()
        if not self.enabled.done():
            self.enabled.set_exception(ConnectionError("the server left before its SETTINGS came"))

    def flush(self):
        self.transport.write(self.h2.data_to_send())

    def data_received(self, data):
        for event in self.h2.receive_data(data):
            stream = self.streams.get(getattr(event, "stream_id", None))
            if isinstance(event, h2.events.RemoteSettingsChanged) and not self.enabled.done():
                code = h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL
                self.enabled.set_result(code in event.changed_settings and event.changed_settings[code].new_value == 1)
            elif isinstance(event, h2.events.WindowUpdated):
                for waiting in self.streams.values() if stream is None else [stream]:
                    waiting.window.set()
            elif stream is None:
                pass
            elif isinstance(event, h2.events.ResponseReceived):
                stream.response.set_result(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                stream.received.put_nowait((event.data, event.flow_controlled_length))
            elif isinstance(event, h2.events.StreamEnded):
                stream.received.put_nowait((b"", 0))
            elif isinstance(event, h2.events.StreamReset):
                stream.reset()
        self.flush()


class Stream:
    """A WebSocket's stream."""

    def __init__(self, http2, headers):
        self.http2 = http2
        self.id = http2.h2.get_next_available_stream_id()
        self.response = asyncio.get_running_loop().create_future()
        self.received = asyncio.Queue()
        self.window = asyncio.Event()
        self.is_reset = False
        http2.streams[self.id] = self
        http2.h2.send_headers(self.id, headers)
        http2.flush()

    def reset(self):
        self.is_reset = True
        self.window.set()
        self.received.put_nowait((None, 0))
        if not self.response.done():
            self.response.set_exception(ConnectionResetError())

    async def send(self, data):
        while data and not self.is_reset:
            room = min(self.http2.h2.local_flow_control_window(self.id), self.http2.h2.max_outbound_frame_size)
            if room <= 0:
                self.window.clear()
                await self.window.wait()
                continue
            self.http2.h2.send_data(self.id, data[:room])
            self.http2.flush()
            data = data[room:]

    def act(self, action):
        """What may come too late, as the stream has ended."""
        try:
            action()
        except h2.exceptions.ProtocolError:
            pass
        self.http2.flush()


async def outward(stream, reader):
    """From the client to the server."""
    try:
        while data := await reader.read(PIECE):
            await stream.send(data)
        stream.act(lambda: stream.http2.h2.end_stream(stream.id))
    except OSError:
        stream.act(lambda: stream.http2.h2.reset_stream(stream.id, h2.errors.ErrorCodes.CANCEL))


async def inward(stream, writer):
    """From the server to the client."""
    try:
        while True:
            data, taken = await stream.received.get()
            if data is None:
                return writer.transport.abort()
            if not data:
                return writer.write_eof()
            writer.write(data)
            await writer.drain()
            # Only what was taken makes room for more.
            stream.act(lambda: stream.http2.h2.acknowledge_received_data(taken, stream.id))
    except OSError:
        stream.act(lambda: stream.http2.h2.reset_stream(stream.id, h2.errors.ErrorCodes.CANCEL))


async def bridge(http2, reader, writer):
    head = await reader.readuntil(b"\r\n\r\n")
    request, *lines = head.strip().split(b"\r\n")
    fields = [(name.lower(), value.strip()) for name, value in (line.split(b":", 1) for line in lines)]
    key = next(value for name, value in fields if name == b"sec-websocket-key")
    stream = Stream(http2, [
        (b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":scheme", b"http"),
        (b":authority", http2.authority.encode()), (b":path", request.split(b" ")[1]),
        *((name, value) for name, value in fields if name in CARRIED),
    ])
    answer = await stream.response
    status = next(value for name, value in answer if name == b":status")
    if status == b"200":
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Accept: " + accept + b"\r\n")
    else:
        writer.write(b"HTTP/1.1 " + status + b" Refused\r\nConnection: close\r\n")
    writer.write(b"".join(name + b": " + value + b"\r\n" for name, value in answer if name.startswith(b"sec-")) + b"\r\n")
    await asyncio.gather(outward(stream, reader), inward(stream, writer))
    writer.close()
    del http2.streams[stream.id]


async def main(authority):
    host, port = authority.rsplit(":", 1)
    _, http2 = await asyncio.get_running_loop().create_connection(lambda: Http2(authority), host, int(port))
    assert await http2.enabled, "SETTINGS_ENABLE_CONNECT_PROTOCOL is missing (RFC 8441 section 3)"

    async def serve(reader, writer):
        await bridge(http2, reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print("listening on 127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main(sys.argv[1]))
