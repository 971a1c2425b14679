"""Unmodified packages through the gateway to a scripted server of each kind: what it says must arrive as it was said, in
each client's own dialect. Usage: exact.py BASE_URL, with the server's address in HEARTH_SCRIPTED_UPSTREAM"""

import base64
import json
import os
import sys
import urllib.request

import anthropic
import ollama
import openai
from checks import Checks, raises
from scripted_upstream import ANSWER, CALLS, PROMPT, SCRIPTS

base = sys.argv[1]
check = Checks("exact contents")
openai_client = openai.OpenAI(base_url=base + "/v1", api_key="any", max_retries=0, timeout=60)
anthropic_client = anthropic.Anthropic(base_url=base, api_key="any", max_retries=0, timeout=60)
ollama_client = ollama.Client(host=base, timeout=60)
KINDS = ("openai", "ollama", "anthropic")
PNG = ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
HELLO = [{"role": "user", "content": "hello"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
OPENAI_TOOLS = [{"type": "function", "function": {"name": name, "description": name, "parameters": SCHEMA}} for name, _ in CALLS]
ANTHROPIC_TOOLS = [{"name": name, "description": name, "input_schema": SCHEMA} for name, _ in CALLS]


def seen():
    """What the server was asked since the last time."""
    with urllib.request.urlopen(os.environ["HEARTH_SCRIPTED_UPSTREAM"] + "/seen") as reply:
        return json.load(reply)


# Each gives (text, thinking, calls, end, prompt tokens, answer tokens).
def openai_whole(model, messages=HELLO, tools=OPENAI_TOOLS):
    reply = openai_client.chat.completions.create(model=model, messages=messages, tools=tools)
    message = reply.choices[0].message
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []]
    return (message.content or "", getattr(message, "reasoning_content", None) or "", calls, reply.choices[0].finish_reason,
            reply.usage.prompt_tokens, reply.usage.completion_tokens)


def openai_stream(model, messages=HELLO, tools=OPENAI_TOOLS):
    text, thinking, calls, end, usage = "", "", {}, None, None
    for event in openai_client.chat.completions.create(model=model, messages=messages, tools=tools, stream=True,
                                                       stream_options={"include_usage": True}):
        usage = event.usage or usage
        for choice in event.choices:
            text += choice.delta.content or ""
            thinking += getattr(choice.delta, "reasoning_content", None) or ""
            end = choice.finish_reason or end
            for call in choice.delta.tool_calls or []:
                name, arguments = calls.get(call.index, ("", ""))
                calls[call.index] = (name + (call.function.name or ""), arguments + (call.function.arguments or ""))
    calls = [(name, json.loads(arguments)) for _, (name, arguments) in sorted(calls.items())]
    return text, thinking, calls, end, usage.prompt_tokens, usage.completion_tokens


def anthropic_read(message):
    ends = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
    text = "".join(block.text for block in message.content if block.type == "text")
    thinking = "".join(block.thinking for block in message.content if block.type == "thinking")
    calls = [(block.name, block.input) for block in message.content if block.type == "tool_use"]
    return text, thinking, calls, ends[message.stop_reason], message.usage.input_tokens, message.usage.output_tokens


def anthropic_whole(model, messages=HELLO):
    return anthropic_read(anthropic_client.messages.create(model=model, messages=messages, tools=ANTHROPIC_TOOLS, max_tokens=9))


def anthropic_stream(model, messages=HELLO):
    with anthropic_client.messages.stream(model=model, messages=messages, tools=ANTHROPIC_TOOLS, max_tokens=9) as stream:
        return anthropic_read(stream.get_final_message())


def ollama_read(parts):
    text = "".join(part.message.content or "" for part in parts)
    thinking = "".join(part.message.thinking or "" for part in parts)
    calls = [(call.function.name, dict(call.function.arguments)) for part in parts for call in part.message.tool_calls or []]
    last = parts[-1]
    end = "tool_calls" if calls and last.done_reason == "stop" else last.done_reason
    return text, thinking, calls, end, last.prompt_eval_count, last.eval_count


def ollama_whole(model, messages=HELLO):
    return ollama_read([ollama_client.chat(model, messages, tools=OPENAI_TOOLS)])


def ollama_stream(model, messages=HELLO):
    return ollama_read(list(ollama_client.chat(model, messages, tools=OPENAI_TOOLS, stream=True)))


ASKS = (openai_whole, openai_stream, anthropic_whole, anthropic_stream, ollama_whole, ollama_stream)


def said(name):
    script = SCRIPTS[name]
    return ("".join(script.get("text", [])), "".join(script.get("thinking", [])), list(script.get("calls", [])), script["end"],
            PROMPT, ANSWER)


def arrives(name):
    for kind in KINDS:
        for ask in ASKS:
            got = ask(f"{kind}/{name}")
            assert got == said(name), f"{ask.__name__} through {kind}: {got}, not {said(name)}"


@check
def text_and_usage_arrive():
    arrives("plain")


@check
def an_answer_that_was_cut_says_so():
    arrives("short")


@check
def reasoning_arrives_apart():
    arrives("thinker")


@check
def calls_of_tools_arrive_whole():
    arrives("caller")
    arrives("silent-caller")


RESULT = "sunny, 31 °C"
OPENAI_TALK = HELLO + [
    {"role": "assistant", "content": None, "tool_calls": [{"id": "call_7", "type": "function", "function": {
        "name": "weather", "arguments": '{"city":"Rome"}'}}]},
    {"role": "tool", "tool_call_id": "call_7", "content": RESULT}]
ANTHROPIC_TALK = HELLO + [
    {"role": "assistant", "content": [{"type": "tool_use", "id": "call_7", "name": "weather", "input": {"city": "Rome"}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_7", "content": RESULT}]}]
OLLAMA_TALK = HELLO + [
    {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Rome"}}}]},
    {"role": "tool", "tool_name": "weather", "content": RESULT}]


def told_tool(kind, body):
    """The call and its result, as the server was told of them."""
    messages = body["messages"]
    if kind == "anthropic":
        call = next(block for message in messages if isinstance(message["content"], list)
                    for block in message["content"] if block["type"] == "tool_use")
        result = next(block for message in messages if isinstance(message["content"], list)
                      for block in message["content"] if block["type"] == "tool_result")
        assert call["id"] == result["tool_use_id"], messages
        content = result["content"]
        return call["name"], call["input"], content if isinstance(content, str) else content[0]["text"]
    call = next(message["tool_calls"][0] for message in messages if message.get("tool_calls"))
    result = next(message for message in messages if message["role"] == "tool")
    arguments = call["function"]["arguments"]
    if kind == "openai":
        assert call["id"] == result["tool_call_id"], messages
        arguments = json.loads(arguments)
    return call["function"]["name"], arguments, result["content"]


@check
def results_of_tools_reach_the_server():
    for kind in KINDS:
        for ask, talk in ((openai_whole, OPENAI_TALK), (anthropic_whole, ANTHROPIC_TALK), (ollama_whole, OLLAMA_TALK)):
            seen()
            assert ask(f"{kind}/plain", talk)[0] == said("plain")[0]
            asked = seen()[-1]
            told = told_tool(kind, asked["body"])
            assert told == ("weather", {"city": "Rome"}, RESULT), f"{ask.__name__} through {kind}: {asked}"


def shown_image(kind, body):
    content = body["messages"][-1]["content"]
    if kind == "ollama":
        return body["messages"][-1]["images"][0]
    if kind == "anthropic":
        return next(block["source"]["data"] for block in content if block["type"] == "image")
    return next(part["image_url"]["url"] for part in content if part["type"] == "image_url").removeprefix("data:image/png;base64,")


@check
def images_reach_the_server():
    looks = (
        (openai_whole, [{"type": "text", "text": "what?"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PNG}}], {}),
        (anthropic_whole, [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                           {"type": "text", "text": "what?"}], {}),
        (ollama_whole, "what?", {"images": [PNG]}))
    for kind in KINDS:
        for ask, content, more in looks:
            seen()
            ask(f"{kind}/plain", [{"role": "user", "content": content, **more}])
            asked = seen()[-1]["body"]
            assert base64.b64decode(shown_image(kind, asked)) == base64.b64decode(PNG), f"{ask.__name__} through {kind}: {asked}"


@check
def a_prompt_over_the_context_is_said_in_each_dialect():
    for kind in KINDS:
        for stream in (False, True):
            error = raises(openai.BadRequestError, lambda: openai_client.chat.completions.create(
                model=f"{kind}/overflow", messages=HELLO, stream=stream))
            assert "5000" in str(error) and "4096" in str(error), (kind, error)
            error = raises(anthropic.BadRequestError, lambda: anthropic_client.messages.create(
                model=f"{kind}/overflow", messages=HELLO, max_tokens=9, stream=stream))
            assert error.type == "invalid_request_error" and "5000" in str(error), (kind, error)
            error = raises(ollama.ResponseError, lambda: list(ollama_client.chat(
                f"{kind}/overflow", HELLO, stream=stream)))
            assert error.status_code == 400 and "5000" in error.error, (kind, error)


@check
def a_server_that_limits_is_said_to_with_its_time():
    for kind in KINDS:
        error = raises(openai.RateLimitError, lambda: openai_client.chat.completions.create(
            model=f"{kind}-limits/limited", messages=HELLO))
        assert 1 <= int(error.response.headers["retry-after"]) <= 7, (kind, error.response.headers)
        error = raises(anthropic.RateLimitError, lambda: anthropic_client.messages.create(
            model=f"{kind}-limits/limited", messages=HELLO, max_tokens=9))
        assert error.type == "rate_limit_error", (kind, error)
        error = raises(ollama.ResponseError, lambda: ollama_client.chat(f"{kind}-limits/limited", HELLO))
        assert error.status_code == 429, (kind, error)


@check
def a_server_that_breaks_is_said_to():
    for kind in KINDS:
        model = f"{kind}-breaks/broken"
        error = raises(openai.APIStatusError, lambda: openai_client.chat.completions.create(model=model, messages=HELLO))
        assert error.status_code in (502, 503) and error.type == "server_error", (kind, error.status_code, error.body)
        raises(anthropic.APIStatusError, lambda: anthropic_client.messages.create(model=model, messages=HELLO, max_tokens=9))
        assert raises(ollama.ResponseError, lambda: ollama_client.chat(model, HELLO)).status_code in (502, 503)


check.run()
