"""The unmodified openai package for Python against the running server. Usage: openai_client.py BASE_URL"""

import sys

import openai
from checks import Checks, raises, same, unit_length

client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="any", max_retries=0, timeout=60)
check = Checks("openai (Python)")
MODEL = "all-minilm"
TEXTS = ["int main() { return 0; }", "def f(x):\n    return x + 1", "SELECT name FROM users", "größe 日本語 🙂"]


def embed(**arguments):
    return client.embeddings.create(model=MODEL, **arguments)


@check
def one_text_gives_one_unit_vector():
    reply = embed(input=TEXTS[0])
    assert reply.object == "list" and len(reply.data) == 1
    assert reply.data[0].object == "embedding" and reply.data[0].index == 0
    assert len(reply.data[0].embedding) == 384
    unit_length(reply.data[0].embedding)
    assert reply.usage.prompt_tokens == reply.usage.total_tokens > 2
    assert "minilm" in reply.model.lower()


@check
def a_list_keeps_its_order():
    reply = embed(input=TEXTS)
    assert [item.index for item in reply.data] == list(range(len(TEXTS)))
    for text, item in zip(TEXTS, reply.data):
        same(embed(input=text).data[0].embedding, item.embedding, 2e-2)


@check
def a_batch_counts_the_tokens_of_all_its_texts():
    single = sum(embed(input=text).usage.prompt_tokens for text in TEXTS)
    assert embed(input=TEXTS).usage.prompt_tokens == single


@check
def base64_and_float_carry_the_same_vector():
    # The client asks for base64 by itself and decodes it when no format is named.
    same(embed(input=TEXTS[0]).data[0].embedding, embed(input=TEXTS[0], encoding_format="float").data[0].embedding)
    raw = embed(input=TEXTS[0], encoding_format="base64").data[0].embedding
    assert isinstance(raw, str) and len(raw) == 384 * 4 * 4 // 3


@check.not_through(("ollama",), "Ollama has no words for token ids")
def token_ids_give_the_vector_of_their_text():
    # "hello world" in this model's vocabulary, special tokens added by the server.
    text = embed(input="hello world").data[0].embedding
    same(text, embed(input=[7592, 2088]).data[0].embedding)
    listed = embed(input=[[7592, 2088], [7592]])
    assert len(listed.data) == 2
    same(text, listed.data[0].embedding, 2e-2)


@check
def dimensions_cut_and_normalise_again():
    whole = embed(input=TEXTS[0]).data[0].embedding
    cut = embed(input=TEXTS[0], dimensions=128).data[0].embedding
    assert len(cut) == 128
    unit_length(cut)
    length = sum(value * value for value in whole[:128]) ** 0.5
    same([value / length for value in whole[:128]], cut)


@check.not_through(("ollama",), "errors of Ollama name no member")
def too_many_dimensions_are_a_bad_request():
    error = raises(openai.BadRequestError, lambda: embed(input=TEXTS[0], dimensions=385))
    assert error.param == "dimensions", error.body


@check
def an_unknown_model_is_not_found():
    error = raises(openai.NotFoundError, lambda: client.embeddings.create(model="no-such", input="x"))
    assert error.code == "model_not_found", error.body
    assert "no-such" in error.message


@check
def a_text_over_the_window_is_refused_with_both_counts():
    error = raises(openai.BadRequestError, lambda: embed(input=["short", "word " * 300]))
    assert error.code == "context_length_exceeded", error.body
    assert "256" in error.message and "302" in error.message, error.message


@check
def a_text_of_exactly_the_window_is_embedded():
    assert embed(input="word " * 254).usage.prompt_tokens == 256
    raises(openai.BadRequestError, lambda: embed(input="word " * 255))


@check
def two_thousand_and_forty_eight_texts_pass_and_one_more_does_not():
    reply = embed(input=["x"] * 2048)
    assert len(reply.data) == 2048
    raises(openai.BadRequestError, lambda: embed(input=["x"] * 2049))


@check.not_through(("ollama",), "Ollama has no words for token ids")
def more_than_three_hundred_thousand_tokens_are_refused():
    raises(openai.BadRequestError, lambda: embed(input=[[7592] * 200] * 1501))


@check
def an_empty_input_is_a_bad_request():
    raises(openai.BadRequestError, lambda: embed(input=[]))


@check.not_through(("ollama",), "Ollama has no words for token ids")
def a_token_outside_the_vocabulary_is_a_bad_request():
    raises(openai.BadRequestError, lambda: embed(input=[30522]))
    raises(openai.BadRequestError, lambda: embed(input=[-1]))


@check.not_through(("openai", "ollama", "anthropic"), "of models elsewhere no more than the name is known")
def models_are_listed_and_retrieved():
    models = client.models.list().data
    names = [model.id for model in models]
    assert any("all-minilm" in name for name in names), names
    one = client.models.retrieve(names[0])
    assert one.id == names[0] and one.object == "model" and one.created > 0


@check.not_through(("openai", "ollama", "anthropic"), "servers do not list their aliases")
def aliases_name_the_same_model():
    expected = embed(input=TEXTS[0]).data[0].embedding
    for name in ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", "all-minilm:latest"):
        same(expected, client.embeddings.create(model=name, input=TEXTS[0]).data[0].embedding)
        assert client.models.retrieve(name).object == "model"


@check
def an_unknown_model_cannot_be_retrieved():
    raises(openai.NotFoundError, lambda: client.models.retrieve("no-such"))


check.run()
