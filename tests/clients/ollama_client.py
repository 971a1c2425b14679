"""The unmodified ollama package for Python against the running server. Usage: ollama_client.py BASE_URL"""

import sys

import ollama
from checks import Checks, raises, same, unit_length

client = ollama.Client(host=sys.argv[1], timeout=60)
check = Checks("ollama (Python)")
MODEL = "all-minilm"
TEXT = "int main() { return 0; }"


@check
def embed_takes_one_text():
    reply = client.embed(model=MODEL, input=TEXT)
    assert len(reply.embeddings) == 1 and len(reply.embeddings[0]) == 384
    unit_length(reply.embeddings[0])
    assert reply.model == MODEL and reply.prompt_eval_count > 2 and reply.total_duration > 0


@check
def embed_takes_a_list():
    reply = client.embed(model=MODEL, input=[TEXT, "second", "third"])
    assert len(reply.embeddings) == 3
    same(client.embed(model=MODEL, input=TEXT).embeddings[0], reply.embeddings[0], 2e-2)


@check.not_through(("openai",), "OpenAI has no words for cutting a text")
def a_long_text_is_cut_by_default():
    # Cut on the right at the window of 256 tokens: what follows changes nothing.
    cut = client.embed(model=MODEL, input="word " * 1000)
    assert cut.prompt_eval_count == 256
    same(client.embed(model=MODEL, input="word " * 254).embeddings[0], cut.embeddings[0])


@check
def a_long_text_is_refused_when_it_may_not_be_cut():
    error = raises(ollama.ResponseError, lambda: client.embed(model=MODEL, input="word " * 1000, truncate=False))
    assert error.status_code == 400, error


@check
def dimensions_cut_the_vector():
    vector = client.embed(model=MODEL, input=TEXT, dimensions=64).embeddings[0]
    assert len(vector) == 64
    unit_length(vector)


@check
def the_older_route_gives_the_same_direction():
    old = client.embeddings(model=MODEL, prompt=TEXT).embedding
    assert len(old) == 384
    same(client.embed(model=MODEL, input=TEXT).embeddings[0], list(old))


@check
def an_empty_list_loads_the_model():
    assert list(client.embed(model=MODEL, input=[]).embeddings) == []


@check
def an_unknown_model_is_not_found():
    error = raises(ollama.ResponseError, lambda: client.embed(model="no-such", input="x"))
    assert error.status_code == 404 and "no-such" in error.error, error


@check.not_through(("openai", "ollama", "anthropic"), "of models elsewhere no more than the name is known")
def models_are_listed():
    models = client.list().models
    assert any("all-minilm" in model.model for model in models), models
    one = models[0]
    assert one.size > 0 and len(one.digest) >= 64 and one.details.format == "safetensors"
    assert one.modified_at is not None


@check.not_through(("openai", "ollama", "anthropic"), "what is shown and what runs are models here")
def a_model_is_shown():
    shown = client.show(MODEL)
    assert "embedding" in shown.capabilities
    assert any(key.endswith(".embedding_length") and value == 384 for key, value in shown.modelinfo.items())


@check
def an_unknown_model_cannot_be_shown():
    error = raises(ollama.ResponseError, lambda: client.show("no-such"))
    assert error.status_code == 404


@check.not_through(("openai", "ollama", "anthropic"), "what is shown and what runs are models here")
def a_used_model_is_running():
    client.embed(model=MODEL, input=TEXT)
    running = client.ps().models
    assert any("all-minilm" in model.model for model in running), running


@check
def a_quoted_keep_alive_is_accepted():
    for keep_alive in ("5m", "1h30m", 300, -1):
        assert len(client.embed(model=MODEL, input=TEXT, keep_alive=keep_alive).embeddings) == 1


check.run()
