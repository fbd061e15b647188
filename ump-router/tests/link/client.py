"""A client of links between routers, written from PROTOCOL.md. A test runs it.

client.py SOCKET pub TOPIC TEXT...  | sub PATTERN COUNT | req TOPIC TEXT [SECONDS] | serve TOPIC COUNT
"""

import os
import socket
import struct
import sys

HELLO, GOODBYE, PING, PONG, TOPIC, SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE, CREDIT, WINDOW = range(0x01, 0x0B)
GAP, SERVE, SERVED, LEAVE, TAKEN, CANCEL, OUTCOME, UNRETAIN, SYNCED = range(0x0B, 0x14)
PUBLISH, REQUEST, REPLY = 0x41, 0x42, 0x43
RAW, FRAME, FIRST = 2, 4096, 2 * (8 + 4096)


def text(value):
    return struct.pack(">H", len(value.encode())) + value.encode()


def read_text(fields):
    return fields[2 : 2 + struct.unpack_from(">H", fields)[0]].decode()


class Link:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.theirs, self.ours, self.later = {}, {}, []  # topics by number, numbers by topic, frames
        self.received = self.sent = self.last_request = 0
        self.told, self.credit, self.cap = FIRST, 0, 1024
        hello = struct.pack(">IHHQQ6IQ", 0x756D7000, 1, 1, 0, 0, FRAME, 8, 8, 8, 8, 8, FIRST)
        self.send(HELLO, hello + os.urandom(16) + text("python"))
        kind, _, fields, _ = self.read()
        magic, low, high, _, required, self.frame, self.topics = struct.unpack_from(">IHHQQII", fields)
        self.credit = struct.unpack_from(">Q", fields, 48)[0]
        if kind != HELLO or magic != 0x756D7000 or high < 1:
            self.goodbye(4)
        if low > 1:
            self.goodbye(2)
        if required:
            self.goodbye(3)
        self.cap = 4096

    def send(self, kind, fields=b"", payload=b"", flags=0):
        frame = struct.pack(">IBBH", len(fields) + len(payload), kind, flags, len(fields)) + fields + payload
        if kind & 0x40:
            while self.sent + len(frame) > self.credit:
                self.receive()
            self.sent += len(frame)
        self.socket.sendall(frame)

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                sys.exit("the link is lost")
            data += more
        return data

    def read(self):
        length, kind, flags, head = struct.unpack(">IBBH", self.exactly(8))
        if length > (FRAME if kind & 0x40 else self.cap) or head > length or flags & 0xF0:
            self.goodbye(4)
        body = self.exactly(length)
        if kind & 0x40:
            self.received += 8 + length
            if self.received + FIRST - self.told >= FIRST // 2:
                self.told = self.received + FIRST
                self.send(WINDOW, struct.pack(">Q", self.told))
        return kind, flags, body[:head], body[head:]

    def receive(self):
        """Reads a frame. What is not about the link itself is for `next`."""
        kind, flags, fields, payload = self.read()
        if kind == PING:
            self.send(PONG, fields[:8])
        elif kind == WINDOW:
            self.credit = max(self.credit, struct.unpack_from(">Q", fields)[0])
        elif kind == TOPIC:
            self.theirs[struct.unpack_from(">I", fields)[0]] = read_text(fields[4:])
        elif kind == GOODBYE:
            self.send(GOODBYE, struct.pack(">BQ", 0, self.last_request) + text(""))
            sys.exit(f"goodbye {fields[0]}: {read_text(fields[9:])}")
        elif kind == PUBLISH:  # its number may be defined anew before it is looked at
            self.later.append((kind, self.theirs[struct.unpack_from(">I", fields)[0]], fields, payload))
        elif SUBSCRIBE <= kind <= SYNCED or kind in (REQUEST, REPLY):
            self.later.append((kind, flags, fields, payload))
        elif kind & 0x80 or kind == HELLO:
            self.goodbye(4)

    def next(self):
        while not self.later:
            self.receive()
        return self.later.pop(0)

    def goodbye(self, reason=0):
        self.told = 1 << 64  # no window after the goodbye
        self.send(GOODBYE, struct.pack(">BQ", reason, self.last_request) + text(""))
        while reason == 0 and self.read()[0] != GOODBYE:
            pass
        sys.exit(1 if reason else 0)

    def number(self, topic):
        if topic not in self.ours:
            number = len(self.ours)
            if number >= self.topics:  # begin again
                self.ours, number = {}, 0
            self.ours[topic] = number
            self.send(TOPIC, struct.pack(">I", number) + text(topic))
        return self.ours[topic]

    def publish(self, topic, subscriptions, payload):
        fields = struct.pack(f">IBH{len(subscriptions)}I", self.number(topic), RAW, len(subscriptions), *subscriptions)
        self.send(PUBLISH, fields, payload)


def publish(link, topic, *texts):
    kind, _, fields, _ = link.next()
    subscription, messages = struct.unpack_from(">IQ", fields)
    link.send(SUBSCRIBED, struct.pack(">IB", subscription, 0) + text(""))
    for sent, payload in enumerate(texts):
        while sent >= messages:  # this client waits for credit
            kind, _, fields, _ = link.next()
            if kind == CREDIT and struct.unpack_from(">I", fields)[0] == subscription:
                messages = struct.unpack_from(">Q", fields, 4)[0]
        link.publish(topic, [subscription], payload.encode())
    link.goodbye()


def subscribe(link, pattern, count):
    messages, size = 2, 1 << 16
    link.send(SUBSCRIBE, struct.pack(">IQQ", 1, messages, size) + text(pattern))
    while int(count) > 0:
        kind, topic, fields, payload = link.next()
        if kind == SUBSCRIBED and fields[4] != 0:
            sys.exit(f"refused {fields[4]}: {read_text(fields[5:])}")
        if kind == GAP:
            print("missed", struct.unpack_from(">IQ", fields)[1], flush=True)
        if kind == PUBLISH:
            print(topic, payload.decode(), flush=True)
            count, messages, size = int(count) - 1, messages + 1, size + len(payload)
            link.send(CREDIT, struct.pack(">IQQ", 1, messages, size))
    link.send(UNSUBSCRIBE, struct.pack(">I", 1))
    link.goodbye()


def request(link, topic, payload, seconds=None):
    remaining = int(float(seconds) * 1e6) if seconds else (1 << 64) - 1
    link.send(REQUEST, struct.pack(">QIQB", 1, link.number(topic), remaining, RAW), payload.encode())
    while True:
        kind, flags, fields, payload = link.next()
        if kind == TAKEN:
            print("taken", flush=True)
        if kind == REPLY:
            print("refused" if flags & 1 else "reply", payload.decode(), flush=True)
            link.goodbye()
        if kind == OUTCOME:
            print(f"failure {fields[8]} executed {fields[9]}: {read_text(fields[10:])}", flush=True)
            link.goodbye()


def serve(link, topic, count):
    link.send(SERVE, struct.pack(">I", 1) + text(topic))
    waiting = {}  # a handler takes a request with the text "slow" never
    while int(count) > 0:
        kind, flags, fields, payload = link.next()
        if kind == SERVED and fields[4] != 0:
            sys.exit(f"refused {fields[4]}: {read_text(fields[5:])}")
        if kind == REQUEST:
            link.last_request = struct.unpack_from(">Q", fields)[0]
            waiting[fields[:8]] = payload
            if payload != b"slow":
                link.send(TAKEN, fields[:8])
                link.send(REPLY, fields[:8] + bytes([RAW]), waiting.pop(fields[:8]).upper())
                count = int(count) - 1
        if kind == CANCEL and waiting.pop(fields[:8], None):
            failure = 4 if flags & 1 else 5
            link.send(OUTCOME, fields[:8] + bytes([failure, 0]) + text("it was not taken"))
            count = int(count) - 1
    link.send(LEAVE, struct.pack(">I", 1))
    link.goodbye()


if __name__ == "__main__":
    command = {"pub": publish, "sub": subscribe, "req": request, "serve": serve}[sys.argv[2]]
    command(Link(sys.argv[1]), *sys.argv[3:])
