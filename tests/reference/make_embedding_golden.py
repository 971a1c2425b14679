"""Writes texts.jsonl.gz and all-minilm.vectors: real texts and sentence-transformers' fp32 vectors.

The texts are pieces of permissively licensed packages pinned in requirements.txt: functions as code, docstrings as
prose, cut at a token boundary so that lengths are spread evenly from 1 to 512 tokens.
"""

import ast
import gzip
import importlib.util
import inspect
import json
import pathlib
import random

import torch
from sentence_transformers import SentenceTransformer

import reference_tokenizer
import vectors

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
COUNT = 1056
TOKENS_MAX = 512
SOURCES = ["numpy", "scipy", "sklearn", "sympy", "networkx"]  # all BSD-3-Clause
HEADERS = "torch"  # BSD-3-Clause C++


def package_files(name, suffix):
    root = pathlib.Path(importlib.util.find_spec(name).submodule_search_locations[0])
    for path in sorted(root.rglob("*" + suffix)):
        if path.stat().st_size < 200_000 and "test" not in path.name:
            yield name + "/" + path.relative_to(root).as_posix(), path


def python_pieces(source, path):
    try:
        text = path.read_text("utf-8")
        tree = ast.parse(text)
    except (UnicodeDecodeError, SyntaxError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            continue
        doc = ast.get_docstring(node)
        if doc and len(doc) > 80:
            yield "prose", source, inspect.cleandoc(doc)
        code = ast.get_source_segment(text, node)
        if code and len(code) > 80:
            yield "code", source, code


def header_pieces(source, path):
    lines = path.read_text("utf-8", "ignore").splitlines(keepends=True)
    for first in range(0, len(lines), 60):
        yield "code", source, "".join(lines[first : first + 60])


def collect(rng):
    pieces = {"code": [], "prose": []}
    for name in SOURCES:
        files = list(package_files(name, ".py"))
        for source, path in rng.sample(files, min(120, len(files))):
            for kind, where, text in python_pieces(source, path):
                pieces[kind].append((where, text))
    files = list(package_files(HEADERS, ".h"))
    for source, path in rng.sample(files, 150):
        for kind, where, text in header_pieces(source, path):
            pieces[kind].append((where, text))
    return pieces


def choose(tokenizer, rng):
    """Texts with exactly the token counts 1, 2, ... 512, again and again."""
    pieces = collect(rng)
    texts = [{"kind": "prose", "source": "hand", "tokens": 2, "text": " "}]
    for i in range(1, COUNT):
        wanted = 3 + (i * 241) % (TOKENS_MAX - 2)
        kind = "prose" if i % 3 == 0 else "code"
        while True:
            source, text = rng.choice(pieces[kind])
            encoding = tokenizer.encode(text[:6000], add_special_tokens=False)
            if len(encoding) >= wanted - 2:
                break
        text = text[: encoding.offsets[wanted - 3][1]]
        tokens = len(tokenizer.encode(text).ids)
        assert 3 <= tokens <= TOKENS_MAX
        texts.append({"kind": kind, "source": source, "tokens": tokens, "text": text})
    return texts


def main():
    tokenizer = reference_tokenizer.load(reference_tokenizer.MINILM / "tokenizer.json")
    texts = choose(tokenizer, random.Random(20240607))
    lines = "".join(json.dumps(text, ensure_ascii=False) + "\n" for text in texts)
    with open(GOLDEN / "texts.jsonl.gz", "wb") as raw:
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=9) as out:
            out.write(lines.encode())
    torch.manual_seed(0)
    model = SentenceTransformer(str(reference_tokenizer.MINILM), device="cpu")
    model.max_seq_length = TOKENS_MAX
    rows = model.encode(
        [text["text"] for text in texts],
        batch_size=16,
        normalize_embeddings=True,
        show_progress_bar=False,
    )
    vectors.write(GOLDEN / "all-minilm.vectors", rows, 16)


if __name__ == "__main__":
    main()
