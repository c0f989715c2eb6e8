"""The few words of the Redis protocol that the ledger needs."""

import socket


class RedisReader:
    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.file = self.socket.makefile("rb")

    def send(self, *words: str):
        command = b"*%d\r\n" % len(words)
        for word in words:
            data = word.encode()
            command += b"$%d\r\n%s\r\n" % (len(data), data)
        self.socket.sendall(command)
        return self._read()

    def _read(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:].strip()
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self._read() for _ in range(int(rest))]
        if kind == b":":
            return int(rest)
        if kind == b"+":
            return rest.decode()
        raise RuntimeError(f"Redis answered {line!r}")

    def values(self, keys: list[str]) -> list[bytes | None]:
        found = []
        for start in range(0, len(keys), 500):
            found += self.send("MGET", *keys[start : start + 500])
        return found

    def keys(self, pattern: str) -> list[str]:
        cursor, found = "0", []
        while True:
            cursor, batch = self.send("SCAN", cursor, "MATCH", pattern, "COUNT", "1000")
            found += [key.decode() for key in batch]
            cursor = cursor.decode()
            if cursor == "0":
                return found
