#!/usr/bin/env python3
"""client.py unix:PATH|tcp:HOST:PORT pub TOPIC JSON | sub PATTERN COUNT | req TOPIC JSON [SECONDS] | serve TOPIC COUNT

Written from PROTOCOL.md alone, by somebody who had seen nothing else of these crates. A test runs it. TRACE=1 prints the frames."""
import json, os, select, socket, struct, sys, time

HELLO, GOODBYE, PING, PONG, TOPIC, SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE, CREDIT, WINDOW, GAP, SERVE, SERVED, LEAVE, TAKEN, \
    CANCEL, OUTCOME, UNRETAIN, SYNCED = range(1, 0x14)
PUBLISH, REQUEST, REPLY = 0x41, 0x42, 0x43
FAILURES = ['?', 'no reply', 'no server', 'server lost', 'timed out', 'cancelled', 'full', 'denied', 'malformed', 'too large',
            'would deadlock', 'link lost']
STATUSES = ['accepted', 'standing by', 'taken by another', 'denied', 'quota', 'lost']
# kind: (layout of the fields; 't' is a text, 'l' a counted list of u32)
LAYOUT = {GOODBYE: 'BQt', PING: 'Q', PONG: 'Q', TOPIC: 'It', SUBSCRIBE: 'IQQt', SUBSCRIBED: 'IBt', UNSUBSCRIBE: 'I',
          CREDIT: 'IQQ', WINDOW: 'Q', GAP: 'IQ', SERVE: 'It', SERVED: 'IBt', LEAVE: 'I', TAKEN: 'Q', CANCEL: 'Q',
          OUTCOME: 'QBBt', UNRETAIN: 't', SYNCED: '', PUBLISH: 'IBl', REQUEST: 'QIQB', REPLY: 'QB',
          HELLO: 'IHHQQIIIIIIQQQt'}
FRAME, FIRST_WINDOW = 1 << 16, 1 << 18


class Violation(Exception): pass
class LinkLost(Exception): pass


# ---- CBOR: maps, arrays, texts, bytes, integers, simple values, floats
def head(major, n):
    if n < 24: return bytes([major << 5 | n])
    for extra, fmt in ((24, 'B'), (25, 'H'), (26, 'I'), (27, 'Q')):
        if n < 1 << 8 * struct.calcsize(fmt): return bytes([major << 5 | extra]) + struct.pack('>' + fmt, n)
    raise ValueError('integer too large')

def dumps(v):
    if v is None or v is True or v is False: return {None: b'\xf6', True: b'\xf5', False: b'\xf4'}[v]
    if isinstance(v, int): return head(0, v) if v >= 0 else head(1, -1 - v)
    if isinstance(v, float): return b'\xfb' + struct.pack('>d', v)
    if isinstance(v, str): return head(3, len(v.encode())) + v.encode()
    if isinstance(v, list): return head(4, len(v)) + b''.join(map(dumps, v))
    return head(5, len(v)) + b''.join(dumps(k) + dumps(x) for k, x in v.items())

def loads(data):
    v, at = item(data, 0)
    if at != len(data): raise ValueError('bytes after the CBOR item')
    return v

def item(d, at):
    if at >= len(d): raise ValueError('CBOR item cut')
    major, low, at = d[at] >> 5, d[at] & 31, at + 1
    if major == 7 and low in (25, 26, 27):
        fmt = {25: '>e', 26: '>f', 27: '>d'}[low]
        return struct.unpack_from(fmt, d, at)[0], at + struct.calcsize(fmt)
    if low > 27: raise ValueError('CBOR of a length not supported')
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(low, 0)
    n = int.from_bytes(d[at:at + size], 'big') if size else low
    at += size
    if major == 0: return n, at
    if major == 1: return -1 - n, at
    if major in (2, 3):
        if at + n > len(d): raise ValueError('CBOR text cut')
        return (d[at:at + n].decode() if major == 3 else d[at:at + n].hex()), at + n
    if major == 4 or major == 5:
        flat = []
        for _ in range(n * (major - 3)):
            v, at = item(d, at)
            flat.append(v)
        return (flat if major == 4 else dict(zip(flat[::2], flat[1::2]))), at
    if major == 7 and low in (20, 21, 22): return {20: False, 21: True, 22: None}[low], at
    raise ValueError('CBOR not supported')

def show(codec, payload):
    try: return json.dumps(loads(payload), ensure_ascii=False) if codec == 0 else f'codec {codec}: {payload.hex()}'
    except ValueError as e: return f'({e}) {payload.hex()}'


# ---- frames
def fields(kind, *values):
    out, values = b'', iter(values)
    for c in LAYOUT[kind]:
        v = next(values)
        if c == 't': out += struct.pack('>H', len(v.encode())) + v.encode()
        elif c == 'l': out += struct.pack(f'>H{len(v)}I', len(v), *v)
        else: out += struct.pack('>' + c, v)
    return out

def frame(kind, *values, flags=0, payload=b''):
    f = fields(kind, *values)
    return struct.pack('>IBBH', len(f) + len(payload), kind, flags, len(f)) + f + payload

def parse(kind, f):
    out, at = [], 0
    try:
        for c in LAYOUT[kind]:
            fmt = '>H' if c in 'tl' else '>' + c
            v, = struct.unpack_from(fmt, f, at)
            at += struct.calcsize(fmt)
            if c == 't':
                if at + v > len(f): raise Violation('text cut')
                v, at = f[at:at + v].decode(), at + v
            elif c == 'l':
                n, v = v, list(struct.unpack_from(f'>{v}I', f, at))
                at += 4 * n
            out.append(v)
    except (struct.error, UnicodeDecodeError) as e: raise Violation(str(e))
    return out

def matches(p, t):
    if not p: return not t
    if p[0] == '**': return any(matches(p[1:], t[i:]) for i in range(len(t) + 1))
    return bool(t) and p[0] in ('*', t[0]) and matches(p[1:], t[1:])


class Session:
    def __init__(self, address, name='python', trace=bool(os.environ.get('TRACE'))):
        self.trace, self.buffer, self.out, self.events = trace, b'', b'', []
        self.peer_subs, self.peer_topics, self.my_topics = {}, {}, {}   # id: [pattern, messages, bytes, sent, sent bytes, missed]
        self.hello = None; self.synced = self.leaving = self.ended = False
        self.got_bulk = self.sent_bulk = self.last_request = 0
        self.granted, self.heard, self.pinged = FIRST_WINDOW, time.monotonic(), 0
        if address.startswith('unix:'):
            self.s = socket.socket(socket.AF_UNIX); self.s.connect(address[5:])
        else:
            host, port = address.removeprefix('tcp:').rsplit(':', 1)
            self.s = socket.create_connection((host.strip('[]'), int(port)))
            self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.s.setblocking(False)
        self.send(HELLO, 0x756d7000, 1, 1, 0, 0, FRAME, 1024, 1024, 1024, 1024, 256, FIRST_WINDOW,
                  int.from_bytes(os.urandom(8), 'big'), int.from_bytes(os.urandom(8), 'big'), name)
        self.wait(lambda: self.hello, 6)

    def send(self, kind, *values, flags=0, payload=b''):
        self.raw(frame(kind, *values, flags=flags, payload=payload))

    def raw(self, data):
        if self.trace: print('>', data.hex(' '), file=sys.stderr)
        self.out += data

    def wait(self, until, seconds=None):
        """Runs the session until until() is true (then True), or the time is over (then False)."""
        end = time.monotonic() + seconds if seconds is not None else float('inf')
        while not until():
            now = time.monotonic()
            if now >= end: return False
            if now - self.heard > 25: raise LinkLost('nothing came for 25 seconds')
            if now - self.heard > 10 and self.pinged < self.heard: self.send(PING, 1); self.pinged = now
            if self.ended: raise LinkLost('the session has ended')
            r, w, _ = select.select([self.s], [self.s] if self.out else [], [], max(0, min(end - now, 1)))
            try:
                if w: self.out = self.out[self.s.send(self.out):]
                data = self.s.recv(1 << 16) if r else None
            except OSError as e: raise LinkLost(str(e))
            if data == b'': raise LinkLost('the stream ended without a goodbye')
            if data: self.heard = now; self.feed(data)
        return True

    def feed(self, data):
        self.buffer += data
        try:
            while len(self.buffer) >= 8:
                length, kind, flags, fl = struct.unpack_from('>IBBH', self.buffer)
                cap = 1024 if not self.hello else FRAME if kind & 0x40 else 4096
                if length > cap or fl > length: raise Violation('length')
                if len(self.buffer) < 8 + length: return
                whole, self.buffer = self.buffer[:8 + length], self.buffer[8 + length:]
                if self.trace: print('<', whole.hex(' '), file=sys.stderr)
                if not self.hello and kind not in (HELLO, GOODBYE): raise Violation('the first frame is no hello')
                if kind & 0x40: self.got_bulk += len(whole)
                if self.got_bulk > self.granted: raise Violation('more than the credit of the link')
                if kind in LAYOUT: self.handle(kind, flags, parse(kind, whole[8:8 + fl]), whole[8 + fl:])
                elif kind & 0x80: raise Violation('unknown kind')
                if self.got_bulk + FIRST_WINDOW - self.granted >= FIRST_WINDOW // 4 and not self.ended:
                    self.granted = self.got_bulk + FIRST_WINDOW
                    self.send(WINDOW, self.granted)
        except Violation as e:
            self.send(GOODBYE, 4, self.last_request, str(e)[:200]); self.flush(); raise

    def handle(self, kind, flags, f, payload):
        if flags & 0xf0: raise Violation('unknown flag')
        if kind == HELLO:
            if self.hello or f[0] != 0x756d7000 or not f[6]: raise Violation('hello')
            self.hello = dict(zip('frame topics subscriptions claims requests operations window'.split(), f[5:12]), name=f[14])
            if f[1] > 1 or f[2] < 1: return self.quit(2)
            if f[4]: return self.quit(3)
            self.window = f[11]
        elif kind == GOODBYE:
            if not self.leaving: self.send(GOODBYE, 0, self.last_request, ''); self.flush()
            self.ended = True
            self.events.append((kind, flags, f, payload))
            if f[0] not in (0, 1): print('goodbye of the peer, reason', *f, file=sys.stderr)
        elif kind == PING: self.send(PONG, *f)
        elif kind == TOPIC:
            if f[0] >= 1024: raise Violation('number of topic')
            self.peer_topics[f[0]] = f[1]
        elif kind == SUBSCRIBE: self.peer_subs[f[0]] = [f[3], f[1], f[2], 0, 0, 0]; self.send(SUBSCRIBED, f[0], 0, '')
        elif kind == UNSUBSCRIBE: self.peer_subs.pop(f[0], None)
        elif kind == CREDIT and f[0] in self.peer_subs:
            sub = self.peer_subs[f[0]]
            sub[1:3] = max(sub[1], f[1]), max(sub[2], f[2])
        elif kind == WINDOW: self.window = max(self.window, f[0])
        elif kind == SERVE: self.send(SERVED, f[0], 0, '')
        elif kind == SYNCED: self.synced = True
        elif kind in (PUBLISH, REQUEST):
            n = f[0] if kind == PUBLISH else f[1]
            if n not in self.peer_topics: raise Violation('topic without a definition')
            if kind == REQUEST: self.last_request = f[0]
            self.events.append((kind, flags, f + [self.peer_topics[n]], payload))
        else: self.events.append((kind, flags, f, payload))

    def topic(self, name):
        if name not in self.my_topics:
            number = self.my_topics[name] = len(self.my_topics) % self.hello['topics']
            self.send(TOPIC, number, name)
        return self.my_topics[name]

    def bulk(self, kind, *values, flags=0, payload=b''):
        data = frame(kind, *values, flags=flags, payload=payload)
        if len(data) - 8 > self.hello['frame']: raise ValueError('larger than a frame of the peer')
        if not self.wait(lambda: self.sent_bulk + len(data) <= self.window, 30): raise LinkLost('no credit of the link')
        self.sent_bulk += len(data)
        self.raw(data)

    def publish(self, name, value, flags=0):
        payload, to = dumps(value), []
        for id, sub in sorted(self.peer_subs.items()):
            if not matches(sub[0].split('/'), name.split('/')): continue
            if sub[3] >= sub[1] or sub[4] + len(payload) > sub[2]: sub[5] += 1; continue
            if sub[5]: self.send(GAP, id, sub[5]); sub[5] = 0
            sub[3] += 1; sub[4] += len(payload); to.append(id)
        if to: self.bulk(PUBLISH, self.topic(name), 0, to, flags=flags, payload=payload)
        if not self.out: self.gaps()
        return to

    def gaps(self):
        for id, sub in self.peer_subs.items():
            if sub[5]: self.send(GAP, id, sub[5]); sub[5] = 0

    def next(self, kinds, seconds=None):
        """The next event of one of the kinds, or None."""
        def found(): return next((e for e in self.events if e[0] in kinds), None)
        if not self.wait(found, seconds): return None
        e = found(); self.events.remove(e)
        return e

    def flush(self): 
        end = time.monotonic() + 5
        while self.out and time.monotonic() < end:
            select.select([], [self.s], [], 1)
            try: self.out = self.out[self.s.send(self.out):]
            except BlockingIOError: pass
            except OSError: return

    def quit(self, reason=0):
        if not self.ended and not self.leaving:
            self.leaving = True
            self.gaps()
            self.send(GOODBYE, reason, self.last_request, '')
            try: self.wait(lambda: self.ended, 5)
            except LinkLost as e: print(e, file=sys.stderr)
        self.s.close()


def pub(link, topic, text):
    link.send(SYNCED)
    link.wait(lambda: link.synced, 5)
    to = link.publish(topic, json.loads(text))
    print('published to', to if to else 'nobody'); return not to

def sub(link, pattern, count):
    count, seen, used, many, most = int(count), 0, 0, 16, 1 << 20
    link.send(SUBSCRIBE, 1, many, most, pattern, flags=1)
    link.send(SYNCED)
    while seen < count:
        kind, flags, f, payload = link.next((SUBSCRIBED, GAP, PUBLISH, GOODBYE))
        if kind == SUBSCRIBED and f[1]: print('refused:', (STATUSES + ['?'] * 256)[f[1]], f[2]); return 1
        elif kind == GAP: print('gap: missed', f[1], flush=True)
        elif kind == PUBLISH:
            seen, used = seen + 1, used + len(payload)
            print('retained' if flags & 2 else '', f[3], show(f[1], payload), flush=True)
            if seen + 8 >= many or used + (1 << 19) >= most:
                many, most = seen + 16, used + (1 << 20)
                link.send(CREDIT, 1, many, most)
        elif kind == GOODBYE: return 1

def req(link, topic, text, seconds=None):
    link.send(SYNCED)
    link.wait(lambda: link.synced, 5)
    remaining = (1 << 64) - 1 if seconds is None else int(float(seconds) * 1e6)
    link.bulk(REQUEST, 1, link.topic(topic), remaining, 0, payload=dumps(json.loads(text)))
    answer = link.next((REPLY, OUTCOME, GOODBYE), None if seconds is None else float(seconds) + 0.5)
    if not answer: link.send(CANCEL, 1, flags=1); answer = link.next((REPLY, OUTCOME, GOODBYE), 5)
    kind, flags, f, payload = answer or (0, 0, [], b'')
    if kind == REPLY: print('refused:' if flags & 1 else 'reply:', show(f[1], payload)); return flags & 1
    if kind == OUTCOME:
        print('failed:', (FAILURES + ['?'] * 256)[f[1]] + ', executed:', ['no', 'perhaps', 'yes'][f[2]] if f[2] < 3 else 'perhaps', f[3])
    else: print('failed: link lost, executed:', 'no' if kind == GOODBYE and f[1] < 1 else 'perhaps')
    return 1

def serve(link, topic, count):
    link.send(SERVE, 1, topic)
    link.send(SYNCED)
    count = int(count)
    while count:
        kind, flags, f, payload = link.next((SERVED, REQUEST, GOODBYE))
        if kind == SERVED:
            print('served:', (STATUSES + ['?'] * 256)[f[1]], f[2], flush=True)
            if f[1] > 1: return 1
        elif kind == REQUEST:
            id, count = f[0], count - 1
            try: text = loads(payload).upper() if f[3] == 0 else None
            except (ValueError, AttributeError): text = None
            print('request', f[4], show(f[3], payload), flush=True)
            if text is None: link.send(OUTCOME, id, 8, 0, 'a CBOR text is expected')
            else: link.bulk(REPLY, id, 0, payload=dumps(text))
        elif kind == GOODBYE: return 1

def main(args):
    address, args = (args or [''])[0], args[1:]
    commands = {'pub': (pub, 2, 2), 'sub': (sub, 2, 2), 'req': (req, 2, 3), 'serve': (serve, 2, 2)}
    f, least, most = commands.get(args[0] if args else '', (None, 9, 0))
    if not least <= len(args) - 1 <= most: sys.exit(__doc__)
    try:
        link = Session(address)
        code = f(link, *args[1:]) or 0
        link.quit()
        return code
    except (LinkLost, Violation, OSError, ValueError) as e: print('failed:', e or type(e).__name__, file=sys.stderr); return 1
    except KeyboardInterrupt: link.quit(); return 130

if __name__ == '__main__': sys.exit(main(sys.argv[1:]))
