"""Writes tokenizer.jsonl: texts of every awkward kind, with the ids and byte offsets of the Hugging Face tokenizers.

    make_tokenizer_golden.py [random-texts-per-model] [output]

The committed file has 90 random texts per model; more can be made at will.
"""

import hashlib
import json
import pathlib
import random
import struct
import sys

from tokenizers import Tokenizer

import reference_tokenizer

HERE = pathlib.Path(__file__).resolve()
GOLDEN = HERE.parent.parent / "golden"
ROOT = HERE.parent.parent.parent
IDS_MAX = 200  # longer lists are hashed

ADDED = [
    {"id": 30522, "content": "<FIM>", "single_word": True, "lstrip": True, "rstrip": True, "normalized": False},
    {"id": 30523, "content": "Stra\u00dfe \u6771", "single_word": False, "lstrip": False, "rstrip": True, "normalized": True},
    {"id": 30524, "content": "<FIM>[SEP]", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False},
    {"id": 30525, "content": "caf\u00e9", "single_word": True, "lstrip": True, "rstrip": False, "normalized": True},
]

# How each model differs from the default one: replacements in the text of its tokenizer.json.
MODELS = {
    "default": [],
    "cased": [['"lowercase":true', '"lowercase":false']],
    "accented": [['"strip_accents":null', '"strip_accents":false']],
    "cased-stripped": [['"strip_accents":null', '"strip_accents":true'], ['"lowercase":true', '"lowercase":false']],
    "unclean": [['"clean_text":true', '"clean_text":false']],
    "unspaced": [['"handle_chinese_chars":true', '"handle_chinese_chars":false']],
    "short-words": [['"max_input_chars_per_word":100', '"max_input_chars_per_word":4']],
    "added": [['"added_tokens":[', '"added_tokens":' + json.dumps([dict(t, special=False) for t in ADDED])[:-1] + ","]],
}

FIXED = {
    "empty": "",
    "spaces": " \t\r\n\u00a0\u2003\u3000\u2028 ",
    "prose": "The quick brown fox jumps over the lazy dog, didn't it? Unbelievably so: 3.14159 times!",
    "french": "L'\u00e9t\u00e9, o\u00f9 est le g\u00e2teau pr\u00e9f\u00e9r\u00e9 d'\u00c9lise\u202f? \u00ab Na\u00efvet\u00e9 \u00bb, c\u0153ur, \u0178.",
    "german": "STRASSE Stra\u00dfe \u1e9e GR\u00d6\u00dfE caf\u00e9 CAFE\u0301",
    "turkish": "\u0130stanbul I\u0131\u0130i \u0130\u0307",
    "greek": "\u1f08\u03c1\u03c7\u03b9\u03bc\u03ae\u03b4\u03b7\u03c2 \u039f\u0394\u039f\u03a3 \u03a3\u03c2\u03c3 \u1fb3 \u037e \u1fef",
    "vietnamese": "Ti\u1ebfng Vi\u1ec7t c\u00f3 d\u1ea5u thanh \u0110\u1ea1i",
    "cjk": "\u6771\u4eac\u90fd\u306b\u5165\u308b\u3002\u4e2d\u6587ABC\u6df7\u5408\uff01\U00020000\U0002b820\U0002f800\uf900 \u3007",
    "hangul": "\ud55c\uad6d\uc5b4 \uac00\ud7a3 \u1112\u1161\u11ab \uac01b",
    "hebrew": "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd \u202bworld\u202c \u200fabc",
    "arabic": "\u0627\u0644\u0633\u0651\u064e\u0644\u0627\u0645\u064f \u0639\u0644\u064a\u0643\u0645\u060c \u0662\u0663",
    "hindi": "\u0939\u093f\u0928\u094d\u0926\u0940 \u0915\u094d\u0937\u0964 \u0958",
    "thai": "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01",
    "emoji": "ok \U0001f600\U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \u2764\ufe0f \U0001f1e9\U0001f1ea x\u20e3",
    "marks": "e\u0301a\u0323\u0308 \u0344\u0301 a\u302e\U0001d165\u0334b \U0001d160\U0001d16d \u0958\u0f73",
    "marks reordered": "x\u302e\U0001d165\U0001d16d\u302fy \U0001d1c0\U0001d165",
    "many marks": "Z" + "\u0341\u0316\u0334\u302e" * 40 + "algo",
    "controls": "a\x00b\x01c\x7fd\x80e\x85f\u00adg\u200bh\ufeffi\x1bj \x0b\x0c\x1c\x1f ok",
    "replacement": "a\ufffdb \ufffe \U0010ffff \ue000z",
    "special": "[CLS] x [SEP][SEP] [MASK]ing [UNK] [PAD] [cls] [ MASK ] [MASK",
    "wordpieces": "##ing ##s un##able #hash",
    "long word": "pneumonoultramicroscopicsilicovolcanoconiosis" + "a" * 100,
    "hundred": "a" * 100 + " " + "b" * 101 + " " + "\u00e9" * 100 + " " + "\u00e9" * 101,
    "added": "x <FIM> y<FIM>z <FIM>\u3000<FIM>  [SEP] <FIM>[SEP] stra\u00dfe \u6771  STRASSE Stra\u00dfe\u6771 Stra\u00dfe \u6771 caf\u00e9 Cafe\u0301s cafe  CAFE",
    "snake": "def __init__(self, max_tokens_per_batch=4096): self._cache_hits += 0x7fff_ffff",
    "camel": "std::unordered_map<std::string_view, HTTPServerConnection*> getHTTPResponseCode2XX;",
}

LONG = {
    "ten thousand letters": ("a", 10_000),
    "ten thousand accents": ("\u00e9", 5_000),
    "ten thousand ideographs": ("\u6771", 3_334),
    "many words": ("word ", 4_000),
    "many marks": ("\u0301\u302e", 3_000),
    "many brackets": ("[CLS", 3_000),
    "many specials": ("[CLS]", 2_000),
}

ILL_FORMED = [
    b"ab\x80cd", b"\xc3", b"\xc3(", b"\xe2\x82", b"\xe2\x82 x", b"\xe2(\xa1", b"\xf0\x9f\x98", b"\xf0\x9f\x98\x80\x80",
    b"\xf4\x90\x80\x80", b"\xed\xa0\x80\xed\xb0\x80", b"\xc0\xaf", b"\xf8\x88\x80\x80\x80", b"\xff\xfe", b"caf\xe9 latin-1 \xfcber",
    b"\xe0\x80\x80 \xe0\xa0", b"x\xf1\x80\x80y\xf1\x80z", b"[CLS\x80] [CLS]\x80[SEP\xe2", b"a\xccb e\xcc\x81\xcc",
]


def random_text(rng):
    pools = [
        (0x20, 0x7F), (0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x530), (0x590, 0x700), (0x900, 0xE00),
        (0x1E00, 0x2070), (0x2070, 0x2C00), (0x3000, 0x3200), (0x4E00, 0x9FFF), (0xA640, 0xAC00), (0xAC00, 0xD7A4),
        (0xF900, 0x10000), (0x10000, 0x11000), (0x11000, 0x12000), (0x1D100, 0x1D200), (0x1F300, 0x1FA00), (0, 0x20),
    ]
    text = ""
    for _ in range(rng.randrange(1, 25)):
        kind = rng.randrange(8)
        if kind < 4:
            first, last = rng.choice(pools)
            text += "".join(chr(rng.randrange(first, last)) for _ in range(rng.randrange(1, 4)))
        elif kind == 4:
            text += rng.choice(["[CLS]", "[SEP]", "<FIM>", "Stra\u00dfe \u6771", "caf\u00e9", " ", "\u3000", "[", "##"])
        else:
            text += rng.choice([" ", "_", ""]) + rng.choice(["return", "Tokenizer", "int", "na\u00efve", "HTTP", "x1", "unhappily"])
    data = text.encode()
    if rng.random() < 0.25:
        cut = rng.randrange(len(data) + 1)
        data = data[:cut] + bytes([rng.randrange(256)]) + data[cut + rng.randrange(2) :]
    return data


def numbers(ids, offsets):
    def digest(values):
        return hashlib.sha256(struct.pack(f"<{len(values)}i", *values)).hexdigest()

    if len(ids) <= IDS_MAX:
        return {"ids": ids, "offsets": offsets}
    return {"count": len(ids), "ids_sha256": digest(ids), "offsets_sha256": digest(offsets)}


def as_text(data):
    try:
        text = data.decode()
        if text.isprintable():
            return {"text": text}
    except UnicodeDecodeError:
        pass
    return {"hex": data.hex()}


def cases(rng, random_count, with_sources):
    for name, text in FIXED.items():
        yield name, text.encode(), as_text(text.encode())
    for i, data in enumerate(ILL_FORMED):
        yield f"ill-formed {i}", data, as_text(data)
    for name, (text, times) in LONG.items():
        yield name, text.encode() * times, {"repeat": [text, times]}
    for i in range(random_count):
        data = random_text(rng)
        yield f"random {i}", data, as_text(data)
    if with_sources:
        for path in ["src/base/error.h", "src/tokens/tokenizer.h", "CMakePresets.json", "LICENSE"]:
            data = (ROOT / path).read_bytes()[:2500]
            yield path, data, as_text(data)


def main():
    random_count = int(sys.argv[1]) if len(sys.argv) > 1 else 90
    output = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else GOLDEN / "tokenizer.jsonl"
    source = (reference_tokenizer.MINILM / "tokenizer.json").read_text()
    with open(output, "w") as out:
        out.write(json.dumps({"models": MODELS}, ensure_ascii=False) + "\n")
        for model, changes in MODELS.items():
            changed = source
            for old, new in changes:
                assert changed.count(old) == 1, old
                changed = changed.replace(old, new)
            tokenizer = Tokenizer.from_str(changed)
            tokenizer.no_truncation()
            tokenizer.no_padding()
            listed = list(cases(random.Random(model), random_count, model == "default"))
            encoded = reference_tokenizer.encode(tokenizer, [data for _, data, _ in listed])
            for (name, _, text), (ids, offsets) in zip(listed, encoded):
                line = {"name": name, "model": model, **text, **numbers(ids, offsets)}
                out.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(output, output.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
