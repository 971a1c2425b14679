"""Writes tiny-bert-cls.vectors, and tiny-nomic.vectors when llama.cpp is given:

    make_tiny_models.py [LLAMA_SOURCE LLAMA_SERVER]

LLAMA_SOURCE holds convert_hf_to_gguf.py; LLAMA_SERVER is the program built from it.
"""

import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import numpy as np
from sentence_transformers import SentenceTransformer

import reference_tokenizer
import tiny_models
import vectors

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
START_S_MAX = 60
# The converter reads the configuration through transformers, which knows these sizes by other names.
CONVERTER_CONFIG = {
    "hidden_size": tiny_models.HIDDEN, "num_attention_heads": tiny_models.HEADS, "num_hidden_layers": tiny_models.LAYERS,
    "intermediate_size": tiny_models.INNER, "head_dim": tiny_models.HIDDEN // tiny_models.HEADS,
    "max_position_embeddings": 8192, "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0},
}


def texts():
    return (GOLDEN / "tiny_texts.txt").read_text("utf-8").splitlines()


def normalized(rows):
    rows = np.asarray(rows, dtype=np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def bert_rows(folder):
    tiny_models.write_bert(folder)
    model = SentenceTransformer(str(folder), device="cpu")
    return model.encode(texts(), normalize_embeddings=True, show_progress_bar=False)


def start_server(program, gguf):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [program, "-m", gguf, "--embedding", "--pooling", "mean", "-c", "2048", "-b", "2048", "-ub", "2048", "-np", "1",
         "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    for _ in range(START_S_MAX * 10):
        try:
            urllib.request.urlopen(url + "/health", timeout=1)
            return server, url
        except OSError:
            time.sleep(0.1)
    server.kill()
    raise SystemExit("llama-server did not start")


def embed(url, ids):
    body = json.dumps({"input": [ids], "encoding_format": "float"}).encode()
    request = urllib.request.Request(url + "/v1/embeddings", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        answer = json.load(reply)
    return answer["data"][0]["embedding"]


def nomic_ids(folder):
    """llama.cpp gets ids: its own tokenizer differs on Hangul."""
    tokenizer = reference_tokenizer.load(folder / "tokenizer.json")
    prompt = tiny_models.NOMIC_PROMPTS["search_document"]
    return [tokenizer.encode(prompt + text).ids for text in texts()]


def nomic_rows(folder, llama_source, llama_server):
    tiny_models.write_nomic(folder, CONVERTER_CONFIG)
    gguf = folder / "tiny-nomic.gguf"
    convert = pathlib.Path(llama_source) / "convert_hf_to_gguf.py"
    subprocess.run([sys.executable, convert, folder, "--outtype", "f32", "--outfile", gguf], check=True)
    server, url = start_server(llama_server, str(gguf))
    try:
        rows = [embed(url, ids) for ids in nomic_ids(folder)]
    finally:
        server.terminate()
        server.wait()
    return normalized(rows)


def main():
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        vectors.write(GOLDEN / "tiny-bert-cls.vectors", bert_rows(folder / "bert"), 32)
        if len(sys.argv) == 3:
            vectors.write(GOLDEN / "tiny-nomic.vectors", nomic_rows(folder / "nomic", *sys.argv[1:]), 32)


if __name__ == "__main__":
    main()
