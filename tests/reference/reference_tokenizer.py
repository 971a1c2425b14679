"""Token ids and byte offsets as the Hugging Face tokenizers give them, for any bytes."""

import codecs
import json
import os
import pathlib

from tokenizers import Tokenizer

PREFIX = pathlib.Path(
    os.environ.get("HEARTH_PREFIX") or pathlib.Path.home() / ".cache/hearth/prefix"
)
MINILM = PREFIX / "models/all-minilm"


def decode(data):
    """The text with U+FFFD per ill-formed maximal subpart, and the byte position of each character."""
    bad = {}

    def replace(error):
        bad[error.start] = error.end
        return "\ufffd", error.end

    codecs.register_error("reference", replace)
    text = data.decode("utf-8", "reference")
    positions = [0]
    for c in text:
        at = positions[-1]
        positions.append(bad[at] if at in bad else at + len(c.encode()))
    assert positions[-1] == len(data)
    return text, positions


def load(path, change=None):
    """A tokenizer that neither cuts nor pads; `change` may edit its tokenizer.json first."""
    spec = json.loads(pathlib.Path(path).read_text())
    if change is not None:
        change(spec)
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def encode(tokenizer, datas):
    """For each bytes: its ids, and its offsets in bytes as one flat list."""
    decoded = [decode(data) for data in datas]
    encodings = tokenizer.encode_batch([text for text, _ in decoded])
    result = []
    for (_, positions), encoding in zip(decoded, encodings):
        offsets = [positions[edge] for pair in encoding.offsets for edge in pair]
        result.append((encoding.ids, offsets))
    return result
