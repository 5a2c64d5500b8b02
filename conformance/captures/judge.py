#!/usr/bin/env python3
"""Compares what `sockeye inspect` and tshark make of the same captures, frame by frame.

  judge.py SOCKEYE FOLDER

Node `ws` talks to Python `websockets` through a relay, once without and once with
permessage-deflate. What passes is written as a capture: a pcap as if taken from an
Ethernet, with segments late, twice and overlapping; no right to capture is needed.
tshark (Debian's) and SOCKEYE (the binary) read it, from a pcap and from the pcapng
that Wireshark's editcap makes of it. For each frame the two have to agree on who
sent it, FIN, RSV, opcode, MASK, length, key, payload as on the wire and unmasked;
and there have to be a thousand of them. The captures stay in FOLDER.

Then the same with Chromium as the client, whose page and WebSocket go through
`sockeye proxy`: what that has recorded is written as a capture for tshark, and
read by SOCKEYE as it is.

Needs the peers that `cargo xtask test interop` installs, in SOCKEYE_PEERS, tshark,
editcap and Chromium. Exit status: 0 when all agree.
"""

import asyncio
import base64
import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PORTS = {"client": 50000, "server": 8080}  # 8080: tshark takes it for HTTP
FEWEST = 1000
MSS = 1448


async def echo(ws):
    """Sends messages back, some in fragments, and Pings in between."""
    count = 0
    async for message in ws:
        count += 1
        if count % 5 == 0 and message:
            step = max(1, len(message) // 3)
            await ws.send([message[at:at + step] for at in range(0, len(message), step)])
        else:
            await ws.send(message)
        if count % 7 == 0:
            await ws.ping(count.to_bytes(2, "big") + bytes(count % 124))  # no two alike


async def session(deflate, seed):
    """A session; gives what each end sent, piece by piece."""
    from websockets.asyncio.server import serve

    pieces = []

    async def relay(reader, writer, sender):
        while data := await reader.read(20_000):
            pieces.append((sender, data))
            writer.write(data)
            await writer.drain()
        writer.close()

    async with serve(echo, "127.0.0.1", 0, compression="deflate" if deflate else None, max_size=None) as server:
        port = server.sockets[0].getsockname()[1]

        async def accepted(reader, writer):
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(relay(reader, upstream_writer, "client"), relay(upstream_reader, writer, "server"))

        async with await asyncio.start_server(accepted, "127.0.0.1", 0) as listener:
            url = "ws://127.0.0.1:%d/mix" % listener.sockets[0].getsockname()[1]
            client = await asyncio.create_subprocess_exec("node", os.path.join(HERE, "client.mjs"), url, str(seed))
            if await asyncio.wait_for(client.wait(), 120) != 0:
                sys.exit("judge.py: the client has failed")
    return pieces


async def browser_session(sockeye, deflate, recording):
    """A session of Chromium through the proxy, which records it."""
    from websockets.asyncio.server import serve
    from websockets.datastructures import Headers
    from websockets.http11 import Response

    over = asyncio.Event()

    async def echo_once(ws):
        await echo(ws)
        over.set()

    def page(_, request):
        if request.headers.get("Upgrade"):
            return None
        if request.path != "/":
            return Response(404, "Not Found", Headers({"Content-Length": "0"}))
        with open(os.path.join(HERE, "page.html"), "rb") as f:
            body = f.read()
        return Response(200, "OK", Headers({"Content-Type": "text/html", "Content-Length": str(len(body))}), body)

    with contextlib.suppress(FileNotFoundError):
        os.remove(recording)
    compression = "deflate" if deflate else None
    async with serve(echo_once, "127.0.0.1", 0, compression=compression, max_size=None, process_request=page) as server:
        to = "ws://127.0.0.1:%d" % server.sockets[0].getsockname()[1]
        proxy = await asyncio.create_subprocess_exec(
            sockeye, "proxy", "--quiet", "--listen", "127.0.0.1:0", "--to", to, "--record", recording,
            stdout=subprocess.PIPE)
        line = (await proxy.stdout.readline()).decode()
        url = "http" + line.split(",")[0].removeprefix("listening on ws")
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            chromium = await asyncio.create_subprocess_exec(
                os.environ.get("CHROMIUM", "/usr/bin/chromium"), "--headless=new", "--no-sandbox", "--disable-gpu",
                "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--disable-dev-shm-usage", "--no-proxy-server", "--user-data-dir=" + profile, url,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
            try:
                await asyncio.wait_for(over.wait(), 120)
            finally:
                os.killpg(chromium.pid, signal.SIGKILL)
                await chromium.wait()
        proxy.send_signal(signal.SIGINT)
        if await asyncio.wait_for(proxy.wait(), 20) != 0:
            sys.exit("judge.py: the proxy has failed")


def recorded(recording):
    """The number of the WebSocket in a recording, and what each end sent on it, piece by piece."""
    with open(recording, encoding="ascii") as f:
        events = [json.loads(line) for line in f]
    pieces = [(event["connection"], event["from"], base64.b64decode(event["bytes"]))
              for event in events if event["event"] == "bytes"]
    number = next(number for number, _, data in pieces if data.startswith(b"GET /mix "))
    return number, [(sender, data) for connection, sender, data in pieces if connection == number]


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Capture:
    """A pcap of one TCP connection, a packet every 50 microseconds."""

    def __init__(self):
        self.packets = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)]
        self.next = {"client": 1000, "server": 2 ** 32 - 70000}  # the server's begin anew at zero
        self.times = 0
        self.segment("client", self.next["client"] - 1, b"", 0x02)
        self.segment("server", self.next["server"] - 1, b"", 0x12)
        self.segment("client", self.next["client"], b"", 0x10)

    def segment(self, sender, seq, payload, flags):
        other = "server" if sender == "client" else "client"
        address = {"client": bytes([10, 0, 0, 1]), "server": bytes([10, 0, 0, 2])}
        ack = self.next[other] if flags & 0x10 else 0
        tcp = struct.pack("!HHIIBBHHH", PORTS[sender], PORTS[other], seq % 2 ** 32, ack % 2 ** 32, 5 << 4, flags, 65535, 0, 0)
        pseudo = address[sender] + address[other] + struct.pack("!BBH", 0, 6, len(tcp) + len(payload))
        tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp + payload)) + tcp[18:]
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp) + len(payload), self.times & 0xFFFF, 0x4000, 64, 6, 0)
        ip += address[sender] + address[other]
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        frame = bytes(6) + bytes(5) + b"\1" + b"\x08\x00" + ip + tcp + payload
        self.times += 1
        micros = self.times * 50
        head = struct.pack("<IIII", 1_795_000_000 + micros // 1_000_000, micros % 1_000_000, len(frame), len(frame))
        self.packets.append(head + frame)

    def send(self, sender, data):
        segments = []
        for at in range(0, len(data), MSS):
            segments.append((self.next[sender] + at, data[at:at + MSS]))
        for number, (seq, payload) in enumerate(segments):
            turn = self.times % 29
            if turn == 7 and number + 1 < len(segments):  # late: the next one comes first
                later = segments[number + 1]
                self.segment(sender, later[0], later[1], 0x18)
            self.segment(sender, seq, payload, 0x18)
            if turn == 13:  # twice
                self.segment(sender, seq, payload, 0x18)
            if turn == 19 and number > 0:  # overlapping: half of the one before, and this one
                before = segments[number - 1][1][MSS // 2:]
                self.segment(sender, seq - len(before), (before + payload)[:MSS], 0x18)
        self.next[sender] += len(data)
        other = "server" if sender == "client" else "client"
        self.segment(other, self.next[other], b"", 0x10)

    def bytes(self):
        return b"".join(self.packets)


def several(pairs):
    """An object in which a name may stand several times: the values in a list."""
    found = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def of_tshark(path):
    """The frames as tshark has them. (In two passes, -2, version 4.0 crashes on compressed messages.)"""
    command = ["tshark", "-r", path, "-Y", "websocket", "-T", "json", "-x",
               "-o", "tcp.desegment_tcp_streams:TRUE", "-o", "tcp.reassemble_out_of_order:TRUE"]
    out = subprocess.run(command, capture_output=True, check=True).stdout
    frames = []
    for packet in json.loads(out, object_pairs_hook=several):
        layers = packet["_source"][0]["layers"][0]
        port = int(layers["tcp"][0]["tcp.srcport"][0])
        sender = "client" if port == PORTS["client"] else "server"
        for layer in layers.get("websocket", []):
            frames.append(of_layer(sender, layer))
    return frames


def of_layer(sender, layer):
    first = lambda name, default=None: layer.get(name, [default])[0]
    raw = lambda name: first(name + "_raw", [""])[0]
    mask = first("websocket.mask") in ("1", "True")
    return {
        "from": sender,
        "fin": first("websocket.fin") in ("1", "True"),
        "rsv": int(first("websocket.rsv"), 0),
        "opcode": int(first("websocket.opcode")),
        "masked": mask,
        "length": int(first("websocket.payload_length_ext_64") or first("websocket.payload_length_ext_16")
                      or first("websocket.payload_length")),
        "key": raw("websocket.masking_key") if mask else None,
        "wire": raw("websocket.masked_payload") if mask else raw("websocket.payload"),
        "payload": raw("websocket.payload"),
    }


def of_sockeye(sockeye, path, *options):
    """The frames as `sockeye inspect` has them."""
    command = [sockeye, "inspect", "--format", "json", *options, path]
    out = subprocess.run(command, capture_output=True, check=True).stdout
    frames = []
    for line in out.splitlines():
        record = json.loads(line)
        if record["record"] != "frame":
            continue
        frames.append({
            "from": record["from"],
            "fin": record["fin"],
            "rsv": 4 * record["rsv1"] + 2 * record["rsv2"] + record["rsv3"],
            "opcode": record["opcode"],
            "masked": record["masked"],
            "length": record["payload_length"],
            "key": record["masking_key"],
            "wire": record["payload_masked"] if record["masked"] else record["payload"],
            "payload": record["payload"],
        })
    return frames


def compare(name, ours, theirs):
    """Each end's frames in their order; which end's come first is a matter of taste."""
    for sender in ("client", "server"):
        left = [frame for frame in ours if frame["from"] == sender]
        right = [frame for frame in theirs if frame["from"] == sender]
        for number, (frame, other) in enumerate(zip(left, right), 1):
            different = [field for field in frame if frame[field] != other[field]]
            if not different and len(frame["payload"]) != 2 * frame["length"]:
                different = ["length", "payload"]
            if different:
                shown = {field: (str(frame[field])[:80], str(other[field])[:80]) for field in different}
                sys.exit("judge.py: %s: frame %d of the %s (sockeye, tshark): %s" % (name, number, sender, shown))
        if len(left) != len(right):
            sys.exit("judge.py: %s: %d and %d frames of the %s" % (name, len(left), len(right), sender))
    kinds = {"opcode %d" % frame["opcode"] for frame in ours}
    compressed = sum(frame["rsv"] == 4 for frame in ours)
    if len(ours) < FEWEST or len(kinds) != 6:
        sys.exit("judge.py: %s: only %d frames, %s" % (name, len(ours), sorted(kinds)))
    print("%s: %d frames agree, %d of them compressed" % (name, len(ours), compressed))
    return compressed


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sockeye, folder = sys.argv[1:]
    for deflate in (False, True):
        name = os.path.join(folder, "deflate" if deflate else "plain")
        capture = Capture()
        for sender, data in asyncio.run(session(deflate, 20 + deflate)):
            capture.send(sender, data)
        with open(name + ".pcap", "wb") as f:
            f.write(capture.bytes())
        subprocess.run(["editcap", "-F", "pcapng", name + ".pcap", name + ".pcapng"], check=True)
        for path in (name + ".pcap", name + ".pcapng"):
            compressed = compare(os.path.basename(path), of_sockeye(sockeye, path), of_tshark(path))
            if (compressed > 0) != deflate:
                sys.exit("judge.py: %d compressed messages" % compressed)
    for deflate in (False, True):
        name = os.path.join(folder, "chromium-deflate" if deflate else "chromium-plain")
        recording = name + ".jsonl"
        asyncio.run(browser_session(sockeye, deflate, recording))
        number, pieces = recorded(recording)
        capture = Capture()
        for sender, data in pieces:
            capture.send(sender, data)
        with open(name + ".pcap", "wb") as f:
            f.write(capture.bytes())
        ours = of_sockeye(sockeye, recording, "--filter", "connection=%d" % number)
        compressed = compare(os.path.basename(recording), ours, of_tshark(name + ".pcap"))
        if (compressed > 0) != deflate:
            sys.exit("judge.py: %d compressed messages" % compressed)


if __name__ == "__main__":
    main()
