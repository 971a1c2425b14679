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

import tiny_models
import vectors

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
START_S_MAX = 60


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


def embed(url, text):
    body = json.dumps({"input": text, "encoding_format": "float"}).encode()
    request = urllib.request.Request(url + "/v1/embeddings", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        answer = json.load(reply)
    return answer["data"][0]["embedding"], answer["usage"]["prompt_tokens"]


def nomic_rows(folder, llama_source, llama_server):
    tiny_models.write_nomic(folder)
    gguf = folder / "tiny-nomic.gguf"
    convert = pathlib.Path(llama_source) / "convert_hf_to_gguf.py"
    subprocess.run([sys.executable, convert, folder, "--outtype", "f32", "--outfile", gguf], check=True)
    server, url = start_server(llama_server, str(gguf))
    try:
        answers = [embed(url, tiny_models.NOMIC_PROMPTS["search_document"] + text) for text in texts()]
    finally:
        server.terminate()
        server.wait()
    print("tokens", [tokens for _, tokens in answers])
    return normalized([row for row, _ in answers])


def main():
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        vectors.write(GOLDEN / "tiny-bert-cls.vectors", bert_rows(folder / "bert"), 32)
        if len(sys.argv) == 3:
            vectors.write(GOLDEN / "tiny-nomic.vectors", nomic_rows(folder / "nomic", *sys.argv[1:]), 32)


if __name__ == "__main__":
    main()
