"""A registry of models on a free port of the loopback address, as far as a pull needs one: one model of one file."""

import hashlib
import http.server
import json
import pathlib
import re
import threading


class Registry(http.server.ThreadingHTTPServer):
    """`name` is what a pull is told. Serves until close()."""

    def __init__(self, path):
        super().__init__(("127.0.0.1", 0), Handler)
        weights = pathlib.Path(path).read_bytes()
        config = b'{"model_format":"gguf"}'
        self.blobs = {"sha256:" + hashlib.sha256(blob).hexdigest(): blob for blob in (weights, config)}
        kinds = ("application/vnd.ollama.image.model", "application/vnd.docker.container.image.v1+json")
        layers = [
            {"mediaType": kind, "digest": digest, "size": len(blob)}
            for kind, (digest, blob) in zip(kinds, self.blobs.items())
        ]
        self.manifest = json.dumps({"schemaVersion": 2, "layers": layers[:1], "config": layers[1]}).encode()
        self.name = f"http://127.0.0.1:{self.server_port}/me/pulled:q8"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/v2/me/pulled/manifests/q8":
            return self.answer(200, self.server.manifest)
        blob = self.server.blobs.get(self.path.rsplit("/", 1)[-1])
        if blob is None:
            return self.answer(404, b"{}")
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not wanted:
            return self.answer(200, blob)
        first, last = map(int, wanted.groups())
        self.answer(206, blob[first : last + 1], f"bytes {first}-{last}/{len(blob)}")

    def answer(self, status, body, content_range=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
