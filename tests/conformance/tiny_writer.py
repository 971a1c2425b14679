"""A model that writes: random weights of the llama architecture with a vocabulary of 512 pieces, as small as the
stories260K of llama.cpp's tests. Those of hearth_make_gguf have 151,936 pieces, a second to load for every test.
"""

import array
import os
import random
import struct

LAYERS = 2
WIDTH = 64
INNER = 128
HEADS = 4
PIECES = 512
CONTEXT = 8192

SPECIAL = ["<unk>", "<s>", "</s>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
SINGLE = ["\u2581", *(chr(code) for code in range(33, 127))]
# A schema allows spaces and a fence around its JSON. The tests leave no room for them.
RARE = ["\u2581", "`"]
# Their beginnings become pieces: each is the longest piece before it and a letter.
WORDS = (
    "the of and to in is was for that with on as are this be have from which one you were all her there can an they "
    "would what book time little girl day said little mom happy park very friend play big house small tree dog cat "
    "wanted went saw little water old found some them like then"
).split()

# Types of tokens, of values and of tensors. Source: ggml docs/gguf.md.
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
UINT32, INT32, FLOAT32, STRING, ARRAY = 4, 5, 6, 8, 9
ALIGNMENT = 32


def pieces():
    found = SPECIAL + BYTES + SINGLE
    for word in WORDS:
        for end in range(1, len(word) + 1):
            piece = "\u2581" + word[:end]
            if piece not in found and len(found) < PIECES:
                found.append(piece)
    return found + [f"<unused{i}>" for i in range(PIECES - len(found))]


def type_of(piece):
    if piece == "<unk>":
        return UNKNOWN
    if piece in SPECIAL or piece.startswith("<unused"):
        return CONTROL
    return BYTE if piece in BYTES else NORMAL


def text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def entry(key, kind, value):
    packed = {UINT32: lambda v: struct.pack("<I", v), FLOAT32: lambda v: struct.pack("<f", v),
              INT32: lambda v: struct.pack("<i", v), STRING: text}
    head = text(key)
    if isinstance(value, list):
        return head + struct.pack("<IIQ", ARRAY, kind, len(value)) + b"".join(map(packed[kind], value))
    return head + struct.pack("<I", kind) + packed[kind](value)


def entries(vocabulary):
    llama = {"context_length": CONTEXT, "embedding_length": WIDTH, "block_count": LAYERS, "feed_forward_length": INNER,
             "attention.head_count": HEADS, "attention.head_count_kv": HEADS, "rope.dimension_count": WIDTH // HEADS,
             "vocab_size": PIECES}
    special = {"unknown": 0, "bos": 1, "eos": 2, "fim_pre": 3, "fim_suf": 4, "fim_mid": 5}
    return [
        entry("general.architecture", STRING, "llama"),
        entry("general.name", STRING, "tiny writer"),
        *(entry(f"llama.{key}", UINT32, value) for key, value in llama.items()),
        entry("llama.attention.layer_norm_rms_epsilon", FLOAT32, 1e-5),
        entry("tokenizer.ggml.model", STRING, "llama"),
        entry("tokenizer.ggml.tokens", STRING, vocabulary),
        entry("tokenizer.ggml.scores", FLOAT32, [float(-i) for i in range(len(vocabulary))]),
        entry("tokenizer.ggml.token_type", INT32, [type_of(piece) for piece in vocabulary]),
        *(entry(f"tokenizer.ggml.{key}_token_id", UINT32, value) for key, value in special.items()),
    ]


def shapes():
    yield "token_embd", PIECES, WIDTH
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"blk.{layer}.{name}", WIDTH, WIDTH
        yield f"blk.{layer}.attn_norm", 1, WIDTH
        yield f"blk.{layer}.ffn_norm", 1, WIDTH
        yield f"blk.{layer}.ffn_gate", INNER, WIDTH
        yield f"blk.{layer}.ffn_up", INNER, WIDTH
        yield f"blk.{layer}.ffn_down", WIDTH, INNER
    yield "output_norm", 1, WIDTH
    yield "output", PIECES, WIDTH


def dislike(piece):
    if type_of(piece) != NORMAL:
        return -20.0
    return -4.0 if piece in RARE else 0.0


# The first value of the hidden state is the same everywhere, and no layer writes to it: so it can rule out what
# is not to be written, first of all what is no normal piece.
def values(name, rows, columns, vocabulary, source):
    if rows == 1:
        return array.array("f", [1.0] * columns)
    spread = {"token_embd": 1.0, "output": 0.15}.get(name, 1.5 / columns**0.5)
    out = array.array("f", [source.gauss(0, spread) for _ in range(rows * columns)])
    for row in range(rows):
        if name == "token_embd":
            out[row * columns] = 3.0
        elif name == "output":
            out[row * columns] = dislike(vocabulary[row])
    if name.endswith(("attn_output", "ffn_down")):
        out[:columns] = array.array("f", bytes(4 * columns))
    return out


def padded(raw):
    return raw + bytes(-len(raw) % ALIGNMENT)


def model():
    vocabulary = pieces()
    source = random.Random(7)
    infos, data = [], b""
    for name, rows, columns in shapes():
        size = (columns,) if rows == 1 else (columns, rows)
        infos.append(text(name + ".weight") + struct.pack(f"<I{len(size)}QIQ", len(size), *size, 0, len(data)))
        data += padded(values(name, rows, columns, vocabulary, source).tobytes())
    described = entries(vocabulary)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(described))
    return padded(head + b"".join(described) + b"".join(infos)) + data


def make(file):
    """Writes `file` unless it is there, and returns it. Any number of programs may ask at once."""
    if file.exists():
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_suffix(f".{os.getpid()}")
    scratch.write_bytes(model())
    return scratch.rename(file)
