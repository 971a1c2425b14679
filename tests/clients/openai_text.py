"""The unmodified openai package for Python generating text with the running server. Usage: openai_text.py BASE_URL"""

import json
import sys

import openai
from checks import Checks, raises

client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="any", max_retries=0, timeout=120)
check = Checks("openai text (Python)")
HELLO = [{"role": "user", "content": "hello"}]
PNG = ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
WEATHER = {"type": "function", "function": {
    "name": "weather", "description": "of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
ANSWER = {"type": "object", "properties": {"answer": {"enum": ["yes", "no"]}}, "required": ["answer"],
          "additionalProperties": False}


def chat(model="tiny-text", messages=HELLO, **arguments):
    arguments = {"temperature": 0, "max_tokens": 8} | arguments
    return client.chat.completions.create(model=model, messages=messages, **arguments)


@check
def a_chat_answers():
    reply = chat()
    choice = reply.choices[0]
    assert choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason == "length"
    assert reply.usage.completion_tokens == 8
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + 8


@check
def a_stream_says_the_same():
    whole = chat().choices[0].message.content
    stream = chat(stream=True, stream_options={"include_usage": True})
    text, usage = "", None
    for event in stream:
        usage = event.usage or usage
        for choice in event.choices:
            text += choice.delta.content or ""
    assert text == whole, (text, whole)
    assert usage.completion_tokens == 8


@check.not_through(("ollama",), "Ollama has no words to make a model call a tool")
def a_tool_is_called():
    choice = chat(max_tokens=64, tools=[WEATHER], tool_choice="required").choices[0]
    assert choice.finish_reason == "tool_calls", choice
    call = choice.message.tool_calls[0]
    assert call.id and call.function.name == "weather"
    assert isinstance(json.loads(call.function.arguments), dict)


@check.not_through(("ollama",), "Ollama has no words to make a model call a tool")
def a_tool_is_called_in_a_stream():
    name, arguments = "", ""
    for event in chat(max_tokens=64, tools=[WEATHER], tool_choice="required", stream=True):
        for choice in event.choices:
            for call in choice.delta.tool_calls or []:
                name += call.function.name or ""
                arguments += call.function.arguments or ""
    assert name == "weather" and isinstance(json.loads(arguments), dict), (name, arguments)


@check
def a_schema_is_obeyed():
    reply = chat(max_tokens=64, response_format={
        "type": "json_schema", "json_schema": {"name": "answer", "schema": ANSWER, "strict": True}})
    assert json.loads(reply.choices[0].message.content)["answer"] in ("yes", "no")


@check
def an_image_is_seen():
    reply = chat("tiny-vision", [{"role": "user", "content": [
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PNG}}]}])
    assert reply.choices[0].message.content


@check
def reasoning_stands_apart():
    message = chat("tiny-thinking", max_tokens=64).choices[0].message
    assert message.reasoning_content == "Let me think." and message.content == "Done!", message


@check.not_through(("ollama", "anthropic"), "neither has words for several choices")
def probabilities_and_several_choices_are_given():
    reply = chat(logprobs=True, top_logprobs=2, n=2, temperature=1, seed=1)
    assert len(reply.choices) == 2
    assert len(reply.choices[1].logprobs.content) == 8
    assert len(reply.choices[0].logprobs.content[0].top_logprobs) == 2


@check.not_through(("anthropic",), "Anthropic has no words for a bare text")
def a_prompt_is_completed():
    reply = client.completions.create(model="tiny-text", prompt="int main(", max_tokens=4, temperature=0)
    assert reply.object == "text_completion" and reply.choices[0].text
    stream = client.completions.create(model="tiny-text", prompt="int main(", max_tokens=4, temperature=0, stream=True)
    assert "".join(event.choices[0].text for event in stream) == reply.choices[0].text


@check.not_through(("anthropic",), "Anthropic has no words for a bare text")
def a_suffix_is_filled_in():
    reply = client.completions.create(model="tiny-fim", prompt="int f(", suffix="}", max_tokens=4)
    assert reply.choices[0].text


@check
def what_is_wrong_is_said():
    error = raises(openai.BadRequestError, lambda: chat(messages=[]))
    assert error.param == "messages", error
    error = raises(openai.NotFoundError, lambda: chat("nobody"))
    assert error.code == "model_not_found", error
    error = raises(openai.BadRequestError, lambda: chat(messages=[{"role": "user", "content": "word " * 5000}]))
    assert error.code == "context_length_exceeded" and "4096" in str(error), error


check.run()
