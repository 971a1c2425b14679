"""The unmodified openai package for Python speaking /v1/responses with the running server.
Usage: openai_responses.py BASE_URL"""

import json
import sys
from typing import Literal

import openai
from checks import Checks, raises
from pydantic import BaseModel

client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="any", max_retries=0, timeout=120)
check = Checks("openai responses (Python)")
PNG = ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
WEATHER = {"type": "function", "name": "weather", "description": "of a city", "strict": True,
           "parameters": {"type": "object", "properties": {"city": {"type": "string", "enum": ["Rome"]}},
                          "required": ["city"], "additionalProperties": False}}


class Answer(BaseModel):
    answer: Literal["yes", "no"]


def ask(text="hello", model="tiny-text", **arguments):
    arguments = {"temperature": 0, "max_output_tokens": 8} | arguments
    return client.responses.create(model=model, input=text, **arguments)


def chat(text):
    return client.chat.completions.create(model="tiny-text", messages=[{"role": "user", "content": text}],
                                          temperature=0, max_tokens=8)


def strictly(value):
    """The package does not check what it reads; this does."""
    type(value).model_validate(value.model_dump(mode="json", by_alias=True, exclude={"output_parsed"}))
    return value


@check
def a_response_says_what_a_chat_says():
    reply = ask(metadata={"a": "b"}, instructions=None)
    assert reply.output_text == chat("hello").choices[0].message.content
    assert reply.id.startswith("resp_") and reply.output[0].id.startswith("msg_")
    assert reply.status == "incomplete" and reply.incomplete_details.reason == "max_output_tokens"
    assert reply.usage.output_tokens == 8 and reply.usage.total_tokens == reply.usage.input_tokens + 8
    assert reply.metadata == {"a": "b"} and reply.error is None


@check
def a_stream_has_the_events_in_their_order():
    whole = ask("hello", "tiny-thinking", max_output_tokens=64)
    events = list(ask("hello", "tiny-thinking", max_output_tokens=64, stream=True))
    types = [event.type for event in events]
    assert types[:2] == ["response.created", "response.in_progress"], types
    assert types[-1] == "response.completed", types
    assert [event.sequence_number for event in events] == list(range(len(events)))
    order = ["response.reasoning_text.delta", "response.reasoning_text.done", "response.output_text.delta",
             "response.output_text.done", "response.completed"]
    assert [types.index(one) for one in order] == sorted(types.index(one) for one in order), types
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == whole.output_text == events[-1].response.output_text == "Done!"
    assert whole.output[0].type == "reasoning" and whole.output[0].content[0].text == "Let me think."


@check
def the_streams_helper_puts_the_final_response_together():
    with client.responses.stream(model="tiny-thinking", input="hello", temperature=0,
                                 max_output_tokens=64) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert snapshots[-1] == final.output_text == "Done!", snapshots
    assert final.usage.output_tokens > 0 and final.status == "completed"


@check.not_through(("ollama",), "Ollama has no words to make a model call a tool")
def a_tool_is_called_and_its_result_taken():
    question = {"role": "user", "content": "what is the weather?"}
    reply = ask([question], tools=[WEATHER], tool_choice="required", max_output_tokens=64)
    call = reply.output[-1]
    assert call.type == "function_call" and call.name == "weather" and call.call_id, reply
    assert json.loads(call.arguments)["city"] == "Rome"
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    told = ask([question, *reply.output, result], tools=[WEATHER])
    assert told.output_text, told


@check.not_through(("ollama",), "Ollama has no words to make a model call a tool")
def a_tool_is_called_in_a_stream():
    with client.responses.stream(model="tiny-text", input="what is the weather?", tools=[WEATHER], temperature=0,
                                 tool_choice="required", max_output_tokens=64) as stream:
        deltas = [event.delta for event in stream if event.type == "response.function_call_arguments.delta"]
        call = stream.get_final_response().output[-1]
    assert "".join(deltas) == call.arguments and json.loads(call.arguments)["city"] == "Rome"
    assert call.parsed_arguments == {"city": "Rome"}, call


@check
def a_schema_is_obeyed_and_parsed():
    reply = client.responses.parse(model="tiny-text", input="answer", text_format=Answer, temperature=0,
                                   max_output_tokens=64)
    assert reply.output_parsed.answer in ("yes", "no"), reply


@check
def an_image_is_seen():
    reply = ask([{"role": "user", "content": [
        {"type": "input_text", "text": "what is it?"},
        {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64," + PNG}]}], "tiny-vision")
    assert reply.output_text


@check.not_through(("anthropic",), "Anthropic has no words for probabilities")
def probabilities_are_given():
    reply = ask(include=["message.output_text.logprobs"], top_logprobs=2)
    logprobs = reply.output[0].content[0].logprobs
    assert len(logprobs) == 8 and len(logprobs[0].top_logprobs) == 2, logprobs


@check.not_through(("openai", "ollama", "anthropic"), "only who has the model can count its tokens")
def tokens_are_counted():
    counted = client.responses.input_tokens.count(model="tiny-text", input="hello")
    assert counted.object == "response.input_tokens"
    assert counted.input_tokens == ask().usage.input_tokens, counted


@check
def what_is_wrong_is_said():
    error = raises(openai.BadRequestError, lambda: ask([]))
    assert error.param == "input", error
    error = raises(openai.NotFoundError, lambda: ask(model="nobody"))
    assert error.code == "model_not_found", error
    error = raises(openai.BadRequestError, lambda: ask("word " * 5000))
    assert error.code == "context_length_exceeded" and "4096" in str(error), error
    error = raises(openai.APIStatusError, lambda: ask(previous_response_id="resp_1"))
    assert error.status_code == 501 and error.param == "previous_response_id", error
    error = raises(openai.APIStatusError, lambda: ask(tools=[{"type": "web_search"}]))
    assert error.status_code == 501 and error.param == "tools[0]", error


@check.not_through(("ollama",), "Ollama has no words to make a model call a tool")
def every_member_has_its_type():
    for reply in (ask(), ask("hello", "tiny-thinking", max_output_tokens=64),
                  ask(tools=[WEATHER], tool_choice="required", max_output_tokens=64)):
        strictly(reply)
    for event in ask("hello", "tiny-thinking", max_output_tokens=64, stream=True):
        strictly(event)


check.run()
