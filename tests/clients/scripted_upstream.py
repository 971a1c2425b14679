"""A server elsewhere that says exactly what a script has, in the dialects of OpenAI, Ollama and Anthropic, and keeps what
it was asked. The name of a model is that of a script. Usage: scripted_upstream.py FILE (its address is written there)"""

import http.server
import json
import pathlib
import sys

CALLS = [("weather", {"city": "Rome", "days": [1, 2], "note": "größe \"x\" 🙂"}), ("time", {})]
SCRIPTS = {
    "plain": {"text": ["Hello", ", wor", "ld 🙂", " ünï\n\n\"x\""], "end": "stop"},
    "short": {"text": ["cut of"], "end": "length"},
    "thinker": {"thinking": ["Let me", " see."], "text": ["Done."], "end": "stop"},
    "caller": {"text": ["One moment."], "calls": CALLS, "end": "tool_calls"},
    "silent-caller": {"calls": CALLS[:1], "end": "tool_calls"},
}
# Status, what OpenAI calls it, what Anthropic calls it, the words, and seconds to wait.
FAILURES = {
    "overflow": (400, "invalid_request_error", "invalid_request_error", "prompt is too long: 5000 tokens > 4096 maximum", None),
    "limited": (429, "rate_limit_error", "rate_limit_error", "slow down", 7),
    "broken": (500, "server_error", "api_error", "out of order", None),
}
PROMPT, ANSWER = 11, 5  # tokens
SEEN = []


def pieces(text, size=4):
    return [text[i : i + size] for i in range(0, len(text), size)]


def openai_calls(script):
    return [{"id": f"call_{i}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for i, (name, arguments) in enumerate(script.get("calls", []))]


def openai_whole(script):
    message = {"role": "assistant", "content": "".join(script.get("text", [])) or None}
    if "thinking" in script:
        message["reasoning_content"] = "".join(script["thinking"])
    if "calls" in script:
        message["tool_calls"] = openai_calls(script)
    usage = {"prompt_tokens": PROMPT, "completion_tokens": ANSWER, "total_tokens": PROMPT + ANSWER}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
            "choices": [{"index": 0, "message": message, "finish_reason": script["end"]}]}


def openai_events(script, wants_usage):
    deltas = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": text} for text in script.get("thinking", [])]
    deltas += [{"content": text} for text in script.get("text", [])]
    for i, call in enumerate(openai_calls(script)):
        function = call["function"]
        deltas.append({"tool_calls": [call | {"index": i, "function": {"name": function["name"], "arguments": ""}}]})
        deltas += [{"tool_calls": [{"index": i, "function": {"arguments": piece}}]} for piece in pieces(function["arguments"])]
    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    events = [frame | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    events.append(frame | {"choices": [{"index": 0, "delta": {}, "finish_reason": script["end"]}]})
    if wants_usage:
        events.append(frame | {"choices": [], "usage": openai_whole(script)["usage"]})
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"


def ollama_lines(script, stream):
    frame = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "done": False}
    calls = [{"function": {"name": name, "arguments": arguments}} for name, arguments in script.get("calls", [])]
    messages = [{"content": "", "thinking": text} for text in script.get("thinking", [])]
    messages += [{"content": text} for text in script.get("text", [])]
    messages += [{"content": "", "tool_calls": [call]} for call in calls]
    end = {"done": True, "done_reason": "length" if script["end"] == "length" else "stop", "prompt_eval_count": PROMPT,
           "eval_count": ANSWER, "total_duration": 9, "load_duration": 1, "prompt_eval_duration": 1, "eval_duration": 1}
    if not stream:
        message = {"role": "assistant", "content": "".join(script.get("text", []))}
        if "thinking" in script:
            message["thinking"] = "".join(script["thinking"])
        return json.dumps(frame | end | {"message": message | ({"tool_calls": calls} if calls else {})})
    lines = [frame | {"message": {"role": "assistant"} | message} for message in messages]
    lines.append(frame | end | {"message": {"role": "assistant", "content": ""}})
    return "".join(json.dumps(line) + "\n" for line in lines)


def anthropic_blocks(script):
    blocks = []
    if "thinking" in script:
        blocks.append({"type": "thinking", "thinking": "".join(script["thinking"]), "signature": "c2lnbmVk"})
    if "text" in script:
        blocks.append({"type": "text", "text": "".join(script["text"])})
    return blocks + [{"type": "tool_use", "id": f"toolu_{i}", "name": name, "input": arguments}
                     for i, (name, arguments) in enumerate(script.get("calls", []))]


def anthropic_message(script):
    reason = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}[script["end"]]
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": anthropic_blocks(script),
            "stop_reason": reason, "stop_sequence": None, "usage": {"input_tokens": PROMPT, "output_tokens": ANSWER}}


def anthropic_deltas(script, block):
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": text} for text in script["thinking"]]
        return {"thinking": "", "signature": ""}, deltas + [{"type": "signature_delta", "signature": block["signature"]}]
    if block["type"] == "text":
        return {"text": ""}, [{"type": "text_delta", "text": text} for text in script["text"]]
    return {"input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(json.dumps(block["input"]))]


def anthropic_events(script):
    message = anthropic_message(script)
    start = message | {"content": [], "stop_reason": None, "usage": message["usage"] | {"output_tokens": 1}}
    events = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for i, block in enumerate(message["content"]):
        empty, deltas = anthropic_deltas(script, block)
        events.append({"type": "content_block_start", "index": i, "content_block": block | empty})
        events += [{"type": "content_block_delta", "index": i, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": i})
    end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    events += [{"type": "message_delta", "delta": end, "usage": {"output_tokens": ANSWER}}, {"type": "message_stop"}]
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        names = [*SCRIPTS, *FAILURES]
        if self.path == "/seen":
            self.answer(200, json.dumps(SEEN))
            SEEN.clear()
        elif self.path == "/api/tags":
            self.answer(200, json.dumps({"models": [{"name": name, "model": name} for name in names]}))
        elif self.path.startswith("/v1/models"):
            models = [{"id": name, "object": "model", "type": "model", "display_name": name, "created": 1, "owned_by": "me",
                       "created_at": "2026-01-01T00:00:00Z"} for name in names]
            self.answer(200, json.dumps({"object": "list", "data": models, "has_more": False, "first_id": None, "last_id": None}))
        else:
            self.answer(404, "{}")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        SEEN.append({"path": self.path, "body": body})
        name = body["model"].removesuffix(":latest")
        if name in FAILURES:
            return self.fail(FAILURES[name])
        script = SCRIPTS[name]
        if self.path == "/v1/chat/completions":
            if body.get("stream"):
                usage = (body.get("stream_options") or {}).get("include_usage")
                return self.answer(200, openai_events(script, usage), "text/event-stream")
            return self.answer(200, json.dumps(openai_whole(script)))
        if self.path == "/api/chat":
            stream = body.get("stream", True)
            return self.answer(200, ollama_lines(script, stream), "application/x-ndjson" if stream else "application/json")
        if self.path == "/v1/messages":
            if body.get("stream"):
                return self.answer(200, anthropic_events(script), "text/event-stream")
            return self.answer(200, json.dumps(anthropic_message(script)))
        self.answer(404, "{}")

    def fail(self, failure):
        status, openai_word, anthropic_word, message, wait = failure
        error = {"type": openai_word, "code": None, "param": None, "message": message}
        words = {"/api/chat": {"error": message},
                 "/v1/messages": {"type": "error", "error": {"type": anthropic_word, "message": message}}}
        fields = {"Retry-After": str(wait)} if wait else {}
        self.answer(status, json.dumps(words.get(self.path, {"error": error})), more=fields)

    def answer(self, status, text, kind="application/json", more=None):
        body = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    place = pathlib.Path(sys.argv[1])
    place.with_suffix(".part").write_text(f"http://127.0.0.1:{server.server_port}")
    place.with_suffix(".part").rename(place)
    server.serve_forever()


if __name__ == "__main__":
    main()
