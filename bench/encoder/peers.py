"""The encoders Hearth is measured beside: sentence-transformers and ONNX Runtime.

    peers.py prepare --model FOLDER --out FOLDER          export and quantise for ONNX Runtime
    peers.py tune SYSTEM ...                              print the fastest settings found
    peers.py run SYSTEM ... --label NAME                  print "NAME.metric<TAB>value" lines

Systems: st (sentence-transformers as shipped), ort-fp32, ort-int8. Texts are lines of
{"text", "tokens"}. ONNX Runtime gets every favour: fused graphs, pooling inside the graph, texts sorted by
length, the best of several batch sizes and of one session with all cores or one session per core; its rate
is also given without tokenizing ("model_texts_per_s").
"""

import argparse
import json
import os
import queue
import sys
import threading
import time
from pathlib import Path

TUNE_TEXTS = 256


def read_texts(path):
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [row["text"] for row in rows], sum(row["tokens"] for row in rows)


# ---- sentence-transformers, as shipped ----------------------------------------------------------------


class SentenceTransformers:
    candidates = [{"batch": batch, "sessions": 1} for batch in (8, 16, 32, 64, 128)]

    def __init__(self, options, cores):
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(cores)
        self.model = SentenceTransformer(options.model, device="cpu")

    def configure(self, settings):
        self.batch = settings["batch"]

    def encode(self, texts):
        return self.model.encode(texts, batch_size=self.batch, show_progress_bar=False)

    def close(self):
        pass


# ---- ONNX Runtime, tuned ------------------------------------------------------------------------------


class OnnxRuntime:
    def __init__(self, options, cores):
        from tokenizers import Tokenizer

        self.path = str(Path(options.onnx) / ("int8.onnx" if options.system == "ort-int8" else "fp32.onnx"))
        self.cores = cores
        self.tokenizer = Tokenizer.from_file(str(Path(options.model) / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(256)
        self.candidates = [
            {"batch": batch, "sessions": sessions}
            for sessions in sorted({1, cores})
            for batch in (1, 4, 8, 16, 32)
        ]
        self.sessions = {}

    def configure(self, settings):
        self.batch = settings["batch"]
        count = settings["sessions"]
        if count not in self.sessions:
            self.sessions = {count: [self.open(max(1, self.cores // count)) for _ in range(count)]}
        self.active = self.sessions[count]

    def open(self, threads):
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        return ort.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])

    def tokenize(self, texts):
        return [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]

    def encode(self, texts):
        return self.encode_ids(self.tokenize(texts))

    def encode_ids(self, ids):
        import numpy as np

        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        batches = queue.SimpleQueue()
        for begin in range(0, len(order), self.batch):
            batches.put(order[begin : begin + self.batch])
        out = np.empty((len(ids), 384), dtype=np.float32)
        failures = []

        def work(session):
            try:
                while True:
                    rows = batches.get_nowait()
                    width = max(len(ids[i]) for i in rows)
                    input_ids = np.zeros((len(rows), width), dtype=np.int64)
                    mask = np.zeros((len(rows), width), dtype=np.int64)
                    for row, i in enumerate(rows):
                        input_ids[row, : len(ids[i])] = ids[i]
                        mask[row, : len(ids[i])] = 1
                    feed = {"input_ids": input_ids, "attention_mask": mask}
                    out[rows] = session.run(None, feed)[0]
            except queue.Empty:
                pass
            except Exception as error:  # noqa: BLE001 - reported by the caller
                failures.append(error)

        threads = [threading.Thread(target=work, args=(session,)) for session in self.active]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return out

    def close(self):
        self.sessions = {}


def prepare(options):
    import numpy as np
    import onnx
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer
    from transformers import AutoModel

    out = Path(options.out)
    if (out / "int8.onnx").exists():
        return
    out.mkdir(parents=True, exist_ok=True)
    base = AutoModel.from_pretrained(options.model, attn_implementation="eager").eval()

    class Embedder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.base = base

        def forward(self, input_ids, attention_mask):
            hidden = self.base(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * mask).sum(1) / mask.sum(1)
            return torch.nn.functional.normalize(pooled, dim=-1)

    embedder = Embedder().eval()
    ids = torch.randint(1000, 2000, (2, 16))
    mask = torch.ones_like(ids)
    mask[1, 10:] = 0
    with torch.no_grad():
        expected = embedder(ids, mask).numpy()
    raw, fused, int8 = (str(out / name) for name in ("raw.onnx", "fp32.onnx", "int8.part.onnx"))
    axes = {"input_ids": {0: "batch", 1: "length"}, "attention_mask": {0: "batch", 1: "length"}}
    torch.onnx.export(
        embedder, (ids, mask), raw, input_names=["input_ids", "attention_mask"], output_names=["vectors"],
        dynamic_axes=axes, opset_version=17, dynamo=False)
    model = optimizer.optimize_model(raw, model_type="bert", num_heads=12, hidden_size=384, opt_level=0)
    model.save_model_to_file(fused)
    kinds = {}
    for node in onnx.load(fused).graph.node:
        kinds[node.op_type] = kinds.get(node.op_type, 0) + 1
    print("fused graph:", {k: v for k, v in sorted(kinds.items(), key=lambda kv: -kv[1])[:10]}, file=sys.stderr)
    quantize_dynamic(
        fused, int8, per_channel=True, reduce_range=False, weight_type=QuantType.QInt8,
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})

    import onnxruntime as ort

    for path, least in ((fused, 0.9999), (int8, 0.9)):
        session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        got = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]
        cosine = float(np.min(np.sum(got * expected, axis=1)))
        print(f"{Path(path).name}: cosine {cosine:.6f}", file=sys.stderr)
        if cosine < least:
            raise SystemExit(f"{path} does not compute the model")
    os.rename(int8, out / "int8.onnx")


# ---- measuring ----------------------------------------------------------------------------------------


def timed(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def tune(system, texts):
    best = None
    for settings in system.candidates:
        system.configure(settings)
        system.encode(texts[:32])
        rate = len(texts) / timed(lambda: system.encode(texts))
        print(f"{settings}: {rate:.1f} texts/s", file=sys.stderr)
        if best is None or rate > best[0]:
            best = (rate, settings)
    return best[1]


def run(system, options):
    texts, tokens = read_texts(options.texts)
    system.configure({"batch": options.batch, "sessions": options.sessions})
    system.encode(texts[:TUNE_TEXTS])
    cpu = time.process_time()
    wall = timed(lambda: system.encode(texts))
    cpu = time.process_time() - cpu
    metrics = {
        "texts_per_s": len(texts) / wall,
        "tokens_per_s": tokens / wall,
        "cpu_ms_per_text": 1000 * cpu / len(texts),
    }
    if isinstance(system, OnnxRuntime):
        ids = system.tokenize(texts)
        wall = timed(lambda: system.encode_ids(ids))
        metrics |= {"model_texts_per_s": len(texts) / wall, "model_tokens_per_s": tokens / wall}
    for name, value in metrics.items():
        print(f"{options.label}.{name}\t{value:.6g}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["prepare", "tune", "run"])
    parser.add_argument("system", nargs="?", choices=["st", "ort-fp32", "ort-int8"])
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", help="prepare: where the ONNX files go")
    parser.add_argument("--onnx", help="where they are")
    parser.add_argument("--texts")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--label", default="")
    options = parser.parse_args()
    if options.verb == "prepare":
        return prepare(options)
    cores = len(os.sched_getaffinity(0))
    system = (SentenceTransformers if options.system == "st" else OnnxRuntime)(options, cores)
    if options.verb == "tune":
        best = tune(system, read_texts(options.texts)[0][:TUNE_TEXTS])
        print(f"--batch {best['batch']} --sessions {best['sessions']}")
    else:
        run(system, options)
    return system.close()


if __name__ == "__main__":
    main()
