"""An OpenAI-compatible model that answers as badly as it is told, and remembers every call."""

import asyncio
import json
import random
import re

from history import Call, History, now

JOB_ID = re.compile(r"\[(job-[0-9a-z-]+)\]")
REASONS = {200: "OK", 404: "Not Found", 429: "Too Many Requests", 500: "Internal Server Error"}


def answer_for(job_id: str) -> str:
    return f"This is the answer to {job_id} and to no other."


class Model:
    """The behaviour, which a fault changes, and the listener. Each worker has a base URL of its own."""

    def __init__(self, history: History, seed: int):
        self.history = history
        self.random = random.Random(seed)
        self.port = 0
        self.connections: set[Connection] = set()
        self.server = None
        self.mode, self.share = "normal", 1.0
        # Calls since the last change that were not answered normally.
        self.mistreated = 0

    def url(self, worker: int) -> str:
        return f"http://127.0.0.1:{self.port}/{worker}/v1"

    async def open(self):
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: Connection(self), "127.0.0.1", self.port, backlog=1024)
        self.port = self.server.sockets[0].getsockname()[1]

    def close(self):
        """From here on connections are refused; those that are there are reset."""
        self.server.close()
        for connection in list(self.connections):
            connection.transport.abort()

    def behave(self, mode: str, share: float = 1.0):
        """Treats this share of the calls in this way: normal, 429, 500, garbage, slow, never."""
        self.mode, self.share = mode, share
        self.mistreated = 0

    def mode_of_next_call(self) -> str:
        return self.mode if self.random.random() < self.share else "normal"


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection with keep-alive; a request at a time, as every client of Parley's does it."""

    def __init__(self, model: Model):
        self.model = model
        self.buffer = bytearray()
        self.transport = None
        self.task = None

    def connection_made(self, transport):
        self.transport = transport
        self.model.connections.add(self)

    def connection_lost(self, error):
        self.model.connections.discard(self)
        if self.task:
            self.task.cancel()

    def data_received(self, data):
        self.buffer += data
        head, found, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        length = int(fields.get("content-length", 0))
        if len(rest) < length:
            return
        self.buffer = bytearray(rest[length:])
        self.task = asyncio.get_running_loop().create_task(self._answer(lines[0], rest[:length]))

    async def _answer(self, request_line: str, body: bytes):
        method, path, _ = request_line.split(" ", 2)
        mode = self.model.mode_of_next_call()
        if method == "GET" or not path.endswith("/chat/completions"):
            await self._list_models(mode, path)
            return
        request = json.loads(body)
        ids = JOB_ID.findall(request["messages"][-1]["content"])
        call = Call(ids[-1] if ids else "unknown", int(path.split("/")[1]), mode, now())
        self.model.history.calls[call.id].append(call)
        self.model.mistreated += mode != "normal"
        try:
            call.outcome = await self._complete(call, request.get("stream") is True)
        finally:
            call.end = now()

    async def _list_models(self, mode: str, path: str):
        if mode == "never":
            return
        if mode in ("429", "500"):
            self._send(int(mode), b'{"error":{"message":"not now"}}')
        elif path.endswith("/models"):
            self._send(200, b'{"object":"list","data":[{"id":"chaos","object":"model"}]}')
        else:
            self._send(404, b"{}")

    async def _complete(self, call: Call, streams: bool) -> str:
        rng = self.model.random
        if call.mode == "never":
            await asyncio.get_running_loop().create_future()
        latency = rng.uniform(0.5, 2.5) if call.mode == "slow" else rng.uniform(0.02, 0.12)
        if call.mode == "429":
            await asyncio.sleep(latency / 10)
            self._send(429, b'{"error":{"message":"slow down","type":"rate_limit"}}', {"Retry-After": "1"})
            return "429"
        if call.mode == "500":
            await asyncio.sleep(latency / 10)
            self._send(500, b'{"error":{"message":"the model fell over"}}')
            return "500"
        if call.mode == "garbage":
            await asyncio.sleep(latency)
            self._send(200, rng.choice([b"<html>it works</html>", b'{"choices":[{"mess', b'{"choices":[]}', b""]))
            return "garbage"
        if streams:
            await self._stream(answer_for(call.id), latency)
        else:
            await asyncio.sleep(latency)
            message = {"role": "assistant", "content": answer_for(call.id)}
            usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._send(200, json.dumps({"model": "chaos", "choices": [choice], "usage": usage}).encode())
        return "ok"

    async def _stream(self, text: str, latency: float):
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        cuts = [0, len(text) // 3, 2 * len(text) // 3, len(text)]
        for start, end in zip(cuts, cuts[1:]):
            await asyncio.sleep(latency / 3)
            self._event(json.dumps({"choices": [{"index": 0, "delta": {"content": text[start:end]}}]}))
        self._event('{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}')
        self._event('{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":9,"total_tokens":18}}')
        self._event("[DONE]")
        self.transport.write(b"0\r\n\r\n")

    def _event(self, data: str):
        event = f"data: {data}\n\n".encode()
        self.transport.write(b"%x\r\n%s\r\n" % (len(event), event))

    def _send(self, status: int, body: bytes, fields: dict[str, str] | None = None):
        head = f"HTTP/1.1 {status} {REASONS[status]}\r\ncontent-type: application/json\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in (fields or {}).items())
        self.transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
