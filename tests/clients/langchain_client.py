"""A conversation through each of LangChain's unmodified packages for OpenAI, Anthropic and Ollama: turns, a stream, a tool
and its result, and texts found again by their vectors. Usage: langchain_client.py BASE_URL"""

import sys
from typing import Literal

from checks import Checks
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_ollama import ChatOllama, OllamaEmbeddings
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

base = sys.argv[1]
check = Checks("LangChain")
NOTES = ["The retry limit of uploads is five.", "Cats sleep most of the day.", "The database listens on port 5432."]
QUESTION = "how often is an upload tried again?"


def models(name, tokens):
    return (
        ChatOpenAI(model=name, base_url=base + "/v1", api_key="any", max_retries=0, temperature=0, max_tokens=tokens),
        # Its package has no parameter for sampling any more; models here do.
        ChatAnthropic(model=name, base_url=base, api_key="any", max_retries=0, max_tokens=tokens,
                      model_kwargs={"extra_body": {"temperature": 0}}),
        ChatOllama(model=name, base_url=base, temperature=0, num_predict=tokens),
    )


@tool
def weather(city: Literal["Rome"]) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


@check
def a_conversation_of_several_turns_goes_on():
    for model in models("tiny-text", 8):
        talk = [SystemMessage("Be brief.")]
        prompts = []
        for question in ("hello", "and then?", "why?"):
            talk.append(HumanMessage(question))
            talk.append(model.invoke(talk))
            assert isinstance(talk[-1], AIMessage) and talk[-1].text, (type(model), talk[-1])
            assert talk[-1].usage_metadata["output_tokens"] == 8, (type(model), talk[-1])
            prompts.append(talk[-1].usage_metadata["input_tokens"])
        assert prompts == sorted(set(prompts)), f"{type(model)}: each prompt has the turns before it, {prompts}"


@check
def a_stream_says_what_the_whole_says():
    for model in (models("tiny-text", 8)[0], models("tiny-text", 8)[2]):
        whole = model.invoke("hello").text
        parts = list(model.stream("hello"))
        assert "".join(part.text for part in parts) == whole, (type(model), parts)
    for model in models("tiny-thinking", 64):
        parts = list(model.stream("hello"))
        assert len(parts) > 2 and "".join(part.text for part in parts) == "Done!", (type(model), parts)


@check
def a_tool_is_called_and_its_result_answered():
    for model in models("tiny-thinking", 128):
        armed = model.bind_tools([weather])
        for ask in (lambda talk, armed=armed: armed.invoke(talk), lambda talk, armed=armed: add_up(armed.stream(talk))):
            talk = [HumanMessage("what is the weather?")]
            called = ask(talk)
            assert [call["name"] for call in called.tool_calls] == ["weather"], (type(model), called)
            talk += [called]
            talk += [ToolMessage(weather.invoke({"city": "Rome"}), tool_call_id=call["id"]) for call in called.tool_calls]
            answer = ask(talk)
            assert not answer.tool_calls and answer.text == "Done!", (type(model), answer)


def add_up(parts):
    parts = list(parts)
    whole = parts[0]
    for part in parts[1:]:
        whole += part
    return AIMessage(content=whole.content, tool_calls=whole.tool_calls)


@check
def a_note_is_found_by_its_meaning():
    for embeddings in (
        OpenAIEmbeddings(model="all-minilm", base_url=base + "/v1", api_key="any", check_embedding_ctx_length=False),
        OllamaEmbeddings(model="all-minilm", base_url=base),
    ):
        store = InMemoryVectorStore.from_texts(NOTES, embeddings)
        found = store.similarity_search_with_score(QUESTION, k=3)
        assert found[0][0].page_content == NOTES[0] and found[0][1] > found[1][1] + 0.1, (type(embeddings), found)


check.run()
