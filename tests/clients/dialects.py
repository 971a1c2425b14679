"""One text through every dialect must give one vector. Usage: dialects.py BASE_URL"""

import sys

import ollama
import openai
from checks import Checks, same

check = Checks("dialects")
base = sys.argv[1]
openai_client = openai.OpenAI(base_url=base + "/v1", api_key="any", max_retries=0, timeout=60)
ollama_client = ollama.Client(host=base, timeout=60)
TEXTS = ["int main() { return 0; }", "naïve café 日本語 \u0301", "word " * 200]
MODEL = "all-minilm"


def tei(inputs):
    # No package exists for this dialect: its users send plain JSON.
    return ollama_client._client.post("/embed", json={"inputs": inputs}).raise_for_status().json()


def openai_vector(text):
    return openai_client.embeddings.create(model=MODEL, input=text).data[0].embedding


@check
def vectors_agree_to_one_millionth():
    for text in TEXTS:
        reference = openai_vector(text)
        same(reference, list(ollama_client.embed(model=MODEL, input=text).embeddings[0]))
        same(reference, list(ollama_client.embeddings(model=MODEL, prompt=text).embedding))
        same(reference, tei(text)[0])


@check
def info_names_the_model():
    info = ollama_client._client.get("/info").raise_for_status().json()
    assert "minilm" in info["model_id"].lower() and info["max_input_length"] == 256, info


check.run()
