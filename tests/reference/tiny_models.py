"""The tiny random models of README.md, "Tiny models": weights are a function of the tensor's name."""

import json
import pathlib
import shutil

import numpy as np
from safetensors.numpy import save_file

import reference_tokenizer

LAYERS = 2
HIDDEN = 128
HEADS = 4
INNER = 256

NOMIC_CONFIG = {
    "architectures": ["NomicBertModel"], "model_type": "nomic_bert", "activation_function": "swiglu",
    "n_embd": HIDDEN, "n_head": HEADS, "n_inner": INNER, "n_layer": LAYERS, "n_positions": 8192,
    "max_trained_positions": 2048, "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None, "rotary_scaling_factor": None, "qkv_proj_bias": False, "mlp_fc1_bias": False,
    "mlp_fc2_bias": False, "prenorm": False, "causal": False, "parallel_block": False, "use_rms_norm": False,
    "layer_norm_epsilon": 1e-12, "type_vocab_size": 2, "vocab_size": 30528, "pad_vocab_size_multiple": 64,
    "pad_token_id": 0, "torch_dtype": "float32",
}
BERT_CONFIG = {
    "architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", "hidden_size": HIDDEN,
    "intermediate_size": INNER, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS, "max_position_embeddings": 512,
    "position_embedding_type": "absolute", "layer_norm_eps": 1e-12, "type_vocab_size": 2, "vocab_size": 30522,
    "pad_token_id": 0, "initializer_range": 0.02, "attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.0,
    "torch_dtype": "float32",
}
NOMIC_PROMPTS = {
    "search_query": "search_query: ", "search_document": "search_document: ",
    "classification": "classification: ", "clustering": "clustering: ",
}


def nomic_tensors():
    yield "embeddings.word_embeddings.weight", (30528, HIDDEN)
    yield "embeddings.token_type_embeddings.weight", (2, HIDDEN)
    yield from norm("emb_ln")
    for i in range(LAYERS):
        layer = f"encoder.layers.{i}."
        yield layer + "attn.Wqkv.weight", (3 * HIDDEN, HIDDEN)
        yield layer + "attn.out_proj.weight", (HIDDEN, HIDDEN)
        yield layer + "mlp.fc11.weight", (INNER, HIDDEN)
        yield layer + "mlp.fc12.weight", (INNER, HIDDEN)
        yield layer + "mlp.fc2.weight", (HIDDEN, INNER)
        yield from norm(layer + "norm1")
        yield from norm(layer + "norm2")


def bert_tensors():
    yield "embeddings.word_embeddings.weight", (30522, HIDDEN)
    yield "embeddings.position_embeddings.weight", (512, HIDDEN)
    yield "embeddings.token_type_embeddings.weight", (2, HIDDEN)
    yield from norm("embeddings.LayerNorm")
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}."
        for part in ("query", "key", "value"):
            yield from linear(layer + "attention.self." + part, HIDDEN, HIDDEN)
        yield from linear(layer + "attention.output.dense", HIDDEN, HIDDEN)
        yield from norm(layer + "attention.output.LayerNorm")
        yield from linear(layer + "intermediate.dense", INNER, HIDDEN)
        yield from linear(layer + "output.dense", HIDDEN, INNER)
        yield from norm(layer + "output.LayerNorm")


def norm(name):
    yield name + ".weight", (HIDDEN,)
    yield name + ".bias", (HIDDEN,)


def linear(name, out, inner):
    yield name + ".weight", (out, inner)
    yield name + ".bias", (out,)


def values(name, shape):
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.arange(1, np.prod(shape) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    u = (z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
    scale = 2.0**-3
    if name.endswith("embeddings.weight"):
        scale = 1.0
    elif len(shape) == 2 and any(part in name for part in ("Wqkv", "query", "key")):
        scale = 2.0**-2
    base = 1.0 if len(shape) == 1 and name.endswith("weight") else 0.0
    return (np.float32(base) + np.float32(scale) * u).reshape(shape)


def write_folder(folder, config, tensors, pooling, prompts, tokens_max):
    folder = pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "1_Pooling").mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        shutil.copy(reference_tokenizer.MINILM / name, folder / name)

    def write(name, value):
        (folder / name).write_text(json.dumps(value, indent=2) + "\n")

    write("config.json", config)
    kinds = ["sentence_transformers.models." + kind for kind in ("Transformer", "Pooling", "Normalize")]
    write("modules.json", [
        {"idx": 0, "name": "0", "path": "", "type": kinds[0]},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": kinds[1]},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": kinds[2]},
    ])
    write("1_Pooling/config.json", {
        "word_embedding_dimension": HIDDEN, "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean", "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    })
    write("sentence_bert_config.json", {"max_seq_length": tokens_max, "do_lower_case": False})
    write("config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": None})
    save_file({name: values(name, shape) for name, shape in tensors}, folder / "model.safetensors", {"format": "pt"})


def write_nomic(folder, more_config=None):
    write_folder(folder, NOMIC_CONFIG | (more_config or {}), nomic_tensors(), "mean", NOMIC_PROMPTS, 8192)


def write_bert(folder):
    write_folder(folder, BERT_CONFIG, bert_tensors(), "cls", {}, 512)
