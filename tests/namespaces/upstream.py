"""A quick server of one model in the dialect of OpenAI, for many calls. Usage: upstream.py ADDRESS PORT"""

import asyncio
import json
import sys

PAUSE = 0.01  # before an answer, and between the pieces of a stream
PIECES = 4


def json_reply(value):
    body = json.dumps(value).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def chunk_of(delta, reason=None):
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    event = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    text = b"data: " + json.dumps(event).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(text), text)


async def stream(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(PIECES):
        writer.write(chunk_of({"role": "assistant", "content": "word "}))
        await writer.drain()
        await asyncio.sleep(PAUSE)
    writer.write(chunk_of({}, "stop") + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")


def whole(target):
    if target == "/v1/models":
        return {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "test"}]}
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    if target == "/v1/embeddings":
        item = {"object": "embedding", "index": 0, "embedding": [1.0, 0.0]}
        return {"object": "list", "model": "m", "data": [item], "usage": usage}
    message = {"role": "assistant", "content": "word " * PIECES}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice],
            "usage": usage | {"completion_tokens": PIECES}}


async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = [line for line in head.lower().split("\r\n") if line.startswith("content-length:")]
            body = await reader.readexactly(int(length[0].split(":")[1])) if length else b""
            target = head.split(" ")[1]
            if target != "/v1/models":
                await asyncio.sleep(PAUSE)
            if target == "/v1/chat/completions" and json.loads(body).get("stream"):
                await stream(writer)
            else:
                writer.write(json_reply(whole(target)))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError, TimeoutError, OSError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, sys.argv[1], int(sys.argv[2]))
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
