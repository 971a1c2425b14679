"""What schemathesis must know of the server and cannot read in docs/openapi.yaml: names of models that are there, how long
an answer may get, and how streams are held against the document, line by line and event by event. Environment:
HEARTH_SCHEMATHESIS_WEIGHTS, a GGUF file that /api/pull may download."""

import json
import os
import pathlib
import sys

import jsonschema_rs
import schemathesis

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "clients"))
from registry import Registry  # noqa: E402

REGISTRY = Registry(os.environ["HEARTH_SCHEMATHESIS_WEIGHTS"])
EMBEDDER, FILLER, RERANKER, WRITER = "tiny-embedder", "tiny-fim", "tiny-reranker", "tiny-text"
MODELS = {
    "/v1/embeddings": EMBEDDER,
    "/api/embed": EMBEDDER,
    "/api/embeddings": EMBEDDER,
    "/v1/fim/completions": FILLER,
    "/infill": FILLER,
    "/v1/rerank": RERANKER,
    "/v1/reranking": RERANKER,
    "/rerank": RERANKER,
    "/reranking": RERANKER,
    "/v2/rerank": RERANKER,
    "/api/pull": REGISTRY.name,
    "/api/delete": REGISTRY.name,
}
# The document sets no upper bound, and -1 asks for all that fits; what is asked for is generated.
LENGTHS = ("max_tokens", "max_completion_tokens", "n_predict", "max_output_tokens", "num_predict")
LENGTH_MAX = 8


def is_whole(value):
    return isinstance(value, int) and not isinstance(value, bool)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Wherever any text may name a model, it names one that can do it; what is no text stays as it is."""
    model = MODELS.get(case.operation.path, WRITER)
    if isinstance((case.query or {}).get("model"), str):
        case.query["model"] = model
    if not isinstance(case.body, dict):
        return
    for member in ("model", "name", "source", "from"):
        if isinstance(case.body.get(member), str):
            case.body[member] = model
    if isinstance(case.body.get("model"), str) and case.operation.path == "/api/create":
        case.body["model"] = "made"
    # Where one model is meant and none is named, its defaults do not stand under its short name.
    if case.operation.path == "/v1/fim/completions":
        case.body.setdefault("max_tokens", LENGTH_MAX)
    for holder in (case.body, case.body.get("options")):
        for member in LENGTHS:
            if isinstance(holder, dict) and is_whole(holder.get(member)) and (holder[member] > LENGTH_MAX or holder[member] < 0):
                holder[member] = LENGTH_MAX


@schemathesis.deserializer("text/event-stream")
def events(context, response):
    """What each event carries: the document describes that. OpenAI's streams end with a word that is none."""
    found = []
    for block in response.content.decode().split("\n\n"):
        data = "\n".join(line[5:].lstrip(" ") for line in block.split("\n") if line.startswith("data:"))
        if data and data != "[DONE]":
            found.append(json.loads(data))
    return found


@schemathesis.check
def every_line_conforms(ctx, response, case):
    """The document describes one line of a stream of lines; schemathesis would hold the whole stream against it."""
    kind = "application/x-ndjson"
    if not response.headers.get("content-type", [""])[0].startswith(kind):
        return
    schema = case.operation.responses.find_by_status_code(response.status_code).get_schema(kind).schema
    validator = jsonschema_rs.validator_for(schema)
    error = case.operation.schema.raw_schema["components"]["schemas"]["OllamaError"]
    lines = [json.loads(line) for line in response.content.splitlines()]
    assert lines, "a stream without a line"
    for line in lines:
        wrong = next(iter(validator.iter_errors(line)), None)
        # After the first byte of a stream an error is a line, its last.
        if wrong and not (line is lines[-1] and jsonschema_rs.is_valid(error, line)):
            raise AssertionError(f"the line {json.dumps(line)[:300]}: {wrong.message}")


@schemathesis.check
def server_errors_are_documented(ctx, response, case):
    """500 never; another one only where the operation names it."""
    status = response.status_code
    if status < 500:
        return
    documented = str(status) in case.operation.definition.raw["responses"]
    assert status != 500 and documented, f"status {status}, which this operation does not name: {response.text[:300]}"
