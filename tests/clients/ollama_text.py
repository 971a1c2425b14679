"""The unmodified ollama package for Python generating text with the running server. Usage: ollama_text.py BASE_URL"""

import json
import os
import sys

import ollama
from checks import Checks, raises
from registry import Registry

client = ollama.Client(host=sys.argv[1], timeout=120)
check = Checks("ollama text (Python)")
HELLO = [{"role": "user", "content": "hello"}]
PNG = ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
OPTIONS = {"temperature": 0, "num_predict": 8}


def weather(city: str) -> str:
    """The weather of a city.

    Args:
        city: which one
    """
    return "sunny in " + city


@check
def a_chat_answers():
    reply = client.chat("tiny-text", HELLO, options=OPTIONS)
    assert reply.done and reply.done_reason == "length" and reply.message.content
    assert reply.eval_count == 8 and reply.prompt_eval_count > 0 and reply.total_duration > 0


@check
def a_stream_says_the_same():
    whole = client.chat("tiny-text", HELLO, options=OPTIONS).message.content
    assert "".join(part.message.content for part in client.chat("tiny-text", HELLO, options=OPTIONS, stream=True)) == whole
    generated = client.generate("tiny-text", "hello", options=OPTIONS)
    assert generated.response == whole
    assert "".join(part.response for part in client.generate("tiny-text", "hello", options=OPTIONS, stream=True)) == whole


@check
def a_tool_is_called_and_its_result_is_read():
    messages = list(HELLO)
    reply = client.chat("tiny-text", messages, tools=[weather], options={"temperature": 0, "num_predict": 64})
    call = reply.message.tool_calls[0]
    assert call.function.name == "weather" and isinstance(dict(call.function.arguments), dict)
    messages += [reply.message, {"role": "tool", "content": "sunny", "tool_name": "weather"}]
    assert client.chat("tiny-text", messages, tools=[weather], options=OPTIONS).message.content


@check
def a_schema_is_obeyed():
    schema = {"type": "object", "properties": {"answer": {"enum": ["yes", "no"]}}, "required": ["answer"]}
    reply = client.chat("tiny-text", HELLO, format=schema, options={"num_predict": 64})
    assert json.loads(reply.message.content)["answer"] in ("yes", "no")


@check
def an_image_is_seen():
    reply = client.chat("tiny-vision", [{"role": "user", "content": "what?", "images": [PNG]}], options=OPTIONS)
    assert reply.message.content


@check
def thinking_stands_apart_and_can_be_switched_off():
    reply = client.chat("tiny-thinking", HELLO, think=True, options={"temperature": 0})
    assert reply.message.thinking == "Let me think." and reply.message.content == "Done!", reply.message
    silent = client.chat("tiny-thinking", HELLO, think=False, options={"temperature": 0})
    assert not silent.message.thinking and silent.message.content == "Done!", silent.message


@check.not_through(("anthropic",), "Anthropic has no words for a bare text")
def a_suffix_is_filled_in():
    assert client.generate("tiny-fim", "int f(", suffix="}", options=OPTIONS).response
    error = raises(ollama.ResponseError, lambda: client.generate("tiny-text", "int f(", suffix="}"))
    # A server elsewhere says so itself.
    assert error.status_code in (400, 501), error


@check.not_through(("anthropic",), "Anthropic has no words for embeddings")
def a_gguf_model_embeds():
    assert len(client.embed("tiny-embedder", ["a", "b"]).embeddings) == 2


@check.not_through(("openai", "ollama", "anthropic"), "what is shown and what runs are models here")
def models_are_listed_shown_and_running():
    assert any(model.model.startswith("tiny-text") for model in client.list().models)
    shown = client.show("tiny-text")
    assert "tools" in shown.capabilities and shown.details.format == "gguf", shown
    assert any(model.model.startswith("tiny-text") for model in client.ps().models)


TINY = os.path.join(os.environ["HEARTH_CLIENT_MODELS"], "tiny-text-q8_0.gguf")


@check
def a_model_is_pulled_and_goes():
    registry = Registry(TINY)
    try:
        parts = list(client.pull(registry.name, insecure=True, stream=True))
    finally:
        registry.close()
    assert parts[0].status == "pulling manifest" and parts[-1].status == "success", parts
    assert any(part.total and part.completed == part.total for part in parts), parts
    assert client.chat(registry.name, HELLO, options=OPTIONS).message.content
    client.delete(registry.name)
    assert raises(ollama.ResponseError, lambda: client.show(registry.name)).status_code == 404


@check
def a_file_that_is_sent_becomes_a_model_is_copied_and_goes():
    digest = client.create_blob(TINY)
    assert client.create_blob(TINY) == digest
    assert client.create("sent", files={"model.gguf": digest}, system="You are a pirate.").status == "success"
    assert client.show("sent").modelinfo["general.architecture"]
    assert client.chat("sent", HELLO, options=OPTIONS).message.content
    client.copy("sent", "twice")
    client.delete("sent")
    assert client.chat("twice", HELLO, options=OPTIONS).message.content
    client.delete("twice")
    assert not any(model.model.startswith(("sent", "twice")) for model in client.list().models)


@check
def what_is_not_there_cannot_be_pulled_copied_or_deleted():
    assert raises(ollama.ResponseError, lambda: client.copy("nobody", "x")).status_code == 404
    assert raises(ollama.ResponseError, lambda: client.delete("nobody")).status_code == 404
    raises(ollama.ResponseError, lambda: client.pull("127.0.0.1:9/a/b:c", insecure=True))


check.run()
