"""A plain zenoh program in the mesh of a domain: see KEYS.md. CBOR of numbers below 24 is one byte."""

import sys
import time

import zenoh

domain, group = sys.argv[1:]
config = zenoh.Config()
config.insert_json5("namespace", f'"ump/{domain}"')
config.insert_json5("scouting/multicast/address", f'"{group}"')
config.insert_json5("scouting/multicast/interface", '"127.0.0.1"')
config.insert_json5("listen/endpoints", '["tcp/127.0.0.1:0"]')
session = zenoh.open(config)

# A request: the topic with the prefix of its type.
reply = None
end = time.monotonic() + 30
while reply is None and time.monotonic() < end:
    for one in session.get("double/a", payload=bytes([4]), encoding=zenoh.Encoding.APPLICATION_CBOR):
        reply = one.ok.payload.to_bytes()
    time.sleep(0.01)
print("reply", reply[0], flush=True)

# A message.
session.put("price/eth/eur", bytes([3]), encoding=zenoh.Encoding.APPLICATION_CBOR)

# A subscription, and the token that tells it.
subscriber = session.declare_subscriber("price/*")
token = session.liveliness().declare_token(f"@ump/1/s/{session.info.zid()}/1/=price/=%2a")
print("listening", flush=True)
sample = subscriber.recv()
print("got", sample.key_expr, sample.payload.to_bytes()[0], flush=True)
token.undeclare()
session.close()
