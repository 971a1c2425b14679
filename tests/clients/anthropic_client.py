"""The unmodified anthropic package for Python against the running server. Usage: anthropic_client.py BASE_URL"""

import json
import sys

import anthropic
from checks import Checks, raises

client = anthropic.Anthropic(base_url=sys.argv[1], api_key="any", max_retries=0, timeout=120)
check = Checks("anthropic (Python)")
HELLO = [{"role": "user", "content": "hello"}]
PNG = ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
WEATHER = {"name": "weather", "description": "of a city", "input_schema": {
    "type": "object", "properties": {"city": {"type": "string", "enum": ["Rome"]}}, "required": ["city"]}}
LOOK = [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "text", "text": "what is it?"}]


# The newest clients have no parameters for sampling; models here do.
def arguments_of(model, messages, arguments):
    return {"model": model, "messages": messages, "max_tokens": 8, "extra_body": {"temperature": 0}} | arguments


def ask(model="tiny-text", messages=HELLO, **arguments):
    return client.messages.create(**arguments_of(model, messages, arguments))


def stream(model="tiny-text", messages=HELLO, **arguments):
    with client.messages.stream(**arguments_of(model, messages, arguments)) as events:
        text = "".join(events.text_stream)
        return text, events.get_final_message()


@check
def a_message_is_answered():
    message = ask(system="be brief", metadata={"user_id": "u"})
    assert message.type == "message" and message.role == "assistant", message
    assert message.content[0].type == "text" and message.content[0].text
    assert message.stop_reason == "max_tokens" and message.stop_sequence is None
    assert message.usage.output_tokens == 8 and message.usage.input_tokens > 0
    assert message._request_id.startswith("req_"), message._request_id


@check
def a_stream_says_the_same():
    whole = ask()
    text, message = stream()
    assert text == message.content[0].text == whole.content[0].text, (text, message)
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 8
    events = [event.type for event in ask(stream=True)]
    assert events[0] == "message_start" and events[-1] == "message_stop", events
    assert events.count("message_stop") == 1


@check.not_through(("ollama",), "Ollama has no words to make a model call a tool")
def a_tool_is_called_and_its_result_read():
    question = [{"role": "user", "content": "what is the weather?"}]
    message = ask(messages=question, max_tokens=64, tools=[WEATHER], tool_choice={"type": "any"})
    assert message.stop_reason == "tool_use", message
    use = message.content[-1]
    assert use.type == "tool_use" and use.id and use.name == "weather" and use.input == {"city": "Rome"}, use
    result = {"type": "tool_result", "tool_use_id": use.id, "content": [{"type": "text", "text": "sunny"}]}
    answer = ask(messages=question + [{"role": "assistant", "content": message.content},
                                      {"role": "user", "content": [result]}], tools=[WEATHER])
    assert answer.content[0].type == "text", answer


@check.not_through(("ollama",), "Ollama has no words to make a model call a tool")
def a_tool_is_called_in_a_stream():
    pieces = []
    with client.messages.stream(**arguments_of("tiny-text", HELLO, {
            "max_tokens": 64, "tools": [WEATHER], "tool_choice": {"type": "tool", "name": "weather"}})) as events:
        for event in events:
            if event.type == "input_json":
                pieces.append(event.partial_json)
        message = events.get_final_message()
    assert json.loads("".join(pieces)) == message.content[-1].input == {"city": "Rome"}, (pieces, message)
    assert message.stop_reason == "tool_use"


@check.not_through(("ollama",), "Ollama has no words for a budget of thinking")
def thinking_stands_apart():
    message = ask("tiny-thinking", max_tokens=2048, thinking={"type": "enabled", "budget_tokens": 1024})
    assert [block.type for block in message.content] == ["thinking", "text"], message
    assert message.content[0].thinking == "Let me think." and message.content[0].signature
    assert message.content[1].text == "Done!" and message.stop_reason == "end_turn"
    text, streamed = stream("tiny-thinking", max_tokens=2048, thinking={"type": "enabled", "budget_tokens": 1024})
    assert text == "Done!" and streamed.content[0].thinking == "Let me think.", streamed
    assert streamed.content[0].signature == message.content[0].signature
    # Its own words may come back to it.
    assert ask("tiny-thinking", HELLO + [{"role": "assistant", "content": message.content}] + HELLO).content


@check
def an_image_is_seen():
    assert ask("tiny-vision", [{"role": "user", "content": LOOK}]).content
    error = raises(anthropic.BadRequestError, lambda: ask(messages=[{"role": "user", "content": LOOK}]))
    # Who notices it first says it, in words of its own.
    assert "does not support images" in str(error) or "takes texts alone" in str(error), error


@check.not_through(("openai", "ollama"), "their servers do not say which word it was")
def a_stop_sequence_is_named():
    word = ask().content[0].text[-3:]
    message = ask(stop_sequences=["never said", word])
    assert message.stop_reason == "stop_sequence" and message.stop_sequence == word, message


@check.not_through(("openai", "ollama", "anthropic"), "only who has the model can count its tokens")
def tokens_are_counted():
    counted = client.messages.count_tokens(model="tiny-text", messages=HELLO, system="be brief", tools=[WEATHER])
    usage = ask(system="be brief", tools=[WEATHER]).usage
    assert counted.input_tokens == usage.input_tokens + usage.cache_read_input_tokens, (counted, usage)
    assert counted.input_tokens > client.messages.count_tokens(model="tiny-text", messages=HELLO).input_tokens


@check
def what_is_wrong_is_said():
    error = raises(anthropic.NotFoundError, lambda: ask("nobody"))
    assert error.type == "not_found_error" and error.request_id.startswith("req_"), error
    error = raises(anthropic.BadRequestError, lambda: ask(messages=[{"role": "user", "content": "word " * 5000}]))
    assert error.type == "invalid_request_error" and "prompt is too long" in str(error), error
    error = raises(anthropic.BadRequestError, lambda: ask(max_tokens=-1))
    assert "max_tokens" in str(error), error
    tool = {"type": "web_search_20250305", "name": "web_search"}
    error = raises(anthropic.BadRequestError, lambda: ask(tools=[tool]))
    assert "tools[0].type" in str(error), error


@check.not_through(("openai", "ollama", "anthropic"), "of models elsewhere no more than the name is known")
def models_are_listed_and_retrieved():
    names = [model.id for model in client.models.list()]
    assert any(name.startswith("tiny-text") for name in names), names
    assert [model.id for model in client.models.list(limit=1)] == names, "page by page"
    one = client.models.retrieve(names[0])
    assert one.type == "model" and one.id == names[0] and one.created_at.year > 2000, one
    raises(anthropic.NotFoundError, lambda: client.models.retrieve("nobody"))


check.run()
