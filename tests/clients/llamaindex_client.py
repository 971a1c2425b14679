"""A conversation through LlamaIndex's unmodified packages: turns, a stream, a tool and its result, and texts found again by
their vectors. Usage: llamaindex_client.py BASE_URL"""

import sys
from typing import Literal

from checks import Checks
from llama_index.core import VectorStoreIndex
from llama_index.core.llms import ChatMessage, MessageRole
from llama_index.core.schema import TextNode
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.ollama import OllamaEmbedding
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike

base = sys.argv[1]
check = Checks("LlamaIndex")
NOTES = ["The retry limit of uploads is five.", "Cats sleep most of the day.", "The database listens on port 5432."]
QUESTION = "how often is an upload tried again?"


def model(name="tiny-text", tokens=8):
    return OpenAILike(model=name, api_base=base + "/v1", api_key="any", is_chat_model=True, is_function_calling_model=True,
                      context_window=4096, max_tokens=tokens, temperature=0, max_retries=0)


def user(text):
    return ChatMessage(role=MessageRole.USER, content=text)


def weather(city: Literal["Rome"]) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


@check
def a_conversation_of_several_turns_goes_on():
    talk, prompts = [ChatMessage(role=MessageRole.SYSTEM, content="Be brief.")], []
    for question in ("hello", "and then?", "why?"):
        talk.append(user(question))
        reply = model().chat(talk)
        talk.append(reply.message)
        assert reply.message.content and reply.raw.usage.completion_tokens == 8, reply
        prompts.append(reply.raw.usage.prompt_tokens)
    assert prompts == sorted(set(prompts)), prompts


@check
def a_stream_says_what_the_whole_says():
    whole = model().chat([user("hello")]).message.content
    parts = list(model().stream_chat([user("hello")]))
    assert len(parts) > 2 and parts[-1].message.content == whole == "".join(part.delta or "" for part in parts), parts


@check
def a_prompt_is_completed():
    completer = OpenAILike(model="tiny-text", api_base=base + "/v1", api_key="any", is_chat_model=False, max_tokens=4,
                           temperature=0, max_retries=0)
    whole = completer.complete("int main(").text
    assert whole and "".join(part.delta or "" for part in completer.stream_complete("int main(")) == whole


@check
def a_tool_is_called_and_its_result_answered():
    tool, llm = FunctionTool.from_defaults(weather), model("tiny-thinking", 128)
    talk = [user("what is the weather?")]
    called = llm.chat_with_tools([tool], chat_history=talk)
    calls = llm.get_tool_calls_from_response(called)
    assert [call.tool_name for call in calls] == ["weather"], called
    talk.append(called.message)
    for call in calls:
        talk.append(ChatMessage(role=MessageRole.TOOL, content=str(tool(city="Rome")),
                                additional_kwargs={"tool_call_id": call.tool_id}))
    answer = llm.chat_with_tools([tool], chat_history=talk)
    assert answer.message.content == "Done!", answer
    assert not llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False), answer


@check
def a_note_is_found_by_its_meaning():
    for embedder in (
        OpenAILikeEmbedding(model_name="all-minilm", api_base=base + "/v1", api_key="any"),
        OllamaEmbedding(model_name="all-minilm", base_url=base),
    ):
        index = VectorStoreIndex([TextNode(text=note) for note in NOTES], embed_model=embedder)
        found = index.as_retriever(similarity_top_k=3).retrieve(QUESTION)
        assert found[0].text == NOTES[0] and found[0].score > found[1].score + 0.1, (type(embedder), found)


check.run()
