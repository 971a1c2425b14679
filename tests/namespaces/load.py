"""Asks a gateway again and again until it is told to end by a signal, and writes one line of JSON per answered call.
Usage: load.py ADDRESS PORT FILE"""

import asyncio
import itertools
import json
import random
import signal
import sys
import time

CALLERS = 12
PAUSE = 0.04  # of a caller, between two calls
PATIENCE = 90.0  # for an answer; a call that takes longer has failed

NUMBERS = itertools.count()


def request_of(number):
    kind = ("whole", "stream", "embed")[number % 3]
    # No two prompts begin alike: none belongs to the server that has seen the last one.
    text = f"{random.random()} {number}"
    if kind == "embed":
        return kind, "/v1/embeddings", {"model": "m", "input": text}
    messages = [{"role": "user", "content": text}]
    return kind, "/v1/chat/completions", {"model": "m", "messages": messages, "stream": kind == "stream",
                                          "max_tokens": 4}


async def exchange(address, port, target, body):
    """The head and the body of the answer, and whether the body had begun."""
    reader, writer = await asyncio.open_connection(address, port)
    try:
        text = json.dumps(body).encode()
        writer.write(b"POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
                     b"Content-Length: %d\r\n\r\n%s" % (target.encode(), len(text), text))
        head, _, rest = (await reader.read(-1)).partition(b"\r\n\r\n")
        return head.decode("latin-1"), rest.decode("utf-8", "replace")
    finally:
        writer.close()


def verdict(kind, head, body):
    if not head.startswith("HTTP/1.1 200 "):
        return "failed"
    if kind != "stream":
        return "ok" if '"word ' in body or '"embedding":[' in body else "failed"
    if body.count('"word "') == 4 and "data: [DONE]" in body:
        return "ok"
    return "cut" if '"word "' in body else "failed"


async def call(address, port, out):
    kind, target, body = request_of(next(NUMBERS))
    begun = time.time()
    try:
        head, text = await asyncio.wait_for(exchange(address, port, target, body), PATIENCE)
    except (OSError, TimeoutError) as error:
        head, text = repr(error), ""
    fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:])
    record = {"kind": kind, "begun": begun, "ended": time.time(), "how": verdict(kind, head, text),
              "backend": fields.get("x-hearth-backend")}
    if record["how"] != "ok":
        record["said"] = (head.split("\r\n")[0] + " " + text)[-600:]
    out.write(json.dumps(record) + "\n")
    out.flush()


async def caller(address, port, out, stop):
    while not stop.is_set():
        await call(address, port, out)
        await asyncio.sleep(PAUSE * random.uniform(0.5, 1.5))


async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with open(sys.argv[3], "w", encoding="utf-8") as out:
        await asyncio.gather(*(caller(sys.argv[1], int(sys.argv[2]), out, stop) for _ in range(CALLERS)))


asyncio.run(main())
