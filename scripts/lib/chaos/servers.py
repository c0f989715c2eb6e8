"""The processes under test: broker, Redis, workers. Each is in a process group of its own, named in the file `groups`,
so that the script that started this can end them even when this could not."""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
from pathlib import Path

from history import History, now


class Groups:
    def __init__(self, path: Path):
        self.path = path
        # In the order in which they were started: what the brokers need (epmd) comes first, and would be started again by
        # a broker that misses it.
        self.alive = [int(line) for line in path.read_text().split()] if path.exists() else []

    def start(self, command: list[str], log: Path, environment: dict[str, str]) -> subprocess.Popen:
        with log.open("ab") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
            )
        self.alive.append(process.pid)
        self._write()
        return process

    def kill(self, group: int):
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.alive = [other for other in self.alive if other != group]
        self._write()

    def kill_all(self):
        for group in reversed(self.alive):
            self.kill(group)

    def _write(self):
        new = self.path.with_suffix(".new")
        new.write_text("".join(f"{group}\n" for group in self.alive))
        new.replace(self.path)


def free_port() -> int:
    """Below the range that the kernel gives to clients, as in scripts/lib/common.sh."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


async def answers(port: int, question: bytes, answer: bytes) -> bool:
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 2)
    except (OSError, asyncio.TimeoutError):
        return False
    try:
        writer.write(question)
        return await asyncio.wait_for(reader.readexactly(len(answer)), 2) == answer
    except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
        return False
    finally:
        writer.close()


async def until(condition, seconds: float, what: str):
    deadline = now() + seconds
    while not await condition():
        if now() > deadline:
            raise RuntimeError(f"waited {seconds:.0f} s for {what}")
        await asyncio.sleep(0.05)


async def ended(process: subprocess.Popen, seconds: float) -> bool:
    deadline = now() + seconds
    while process.poll() is None and now() < deadline:
        await asyncio.sleep(0.02)
    return process.poll() is not None


class Broker:
    """A RabbitMQ node that a shell script has set up and started: its environment, commands and process group."""

    def __init__(self, groups: Groups, folder: Path, port: int, group: int):
        self.groups, self.folder, self.port, self.group = groups, folder, port, group
        self.name, self.runs = folder.name, True
        lines = (folder / "environment").read_text().split("\0")
        self.environment = os.environ | dict(line.split("=", 1) for line in lines if line)
        self.server, self.control = (folder / "commands").read_text().split()
        self.process = None

    def kill(self):
        self.runs = False
        self.groups.kill(self.group)
        if self.process:
            self.process.wait()

    async def start(self):
        # The port is free a moment after the processes are gone.
        for _ in range(5):
            self.process = self.groups.start([self.server], self.folder / "server.log", self.environment)
            self.group = self.process.pid
            deadline = now() + 60
            while self.process.poll() is None and now() < deadline:
                # The first frame after the protocol header is a method frame, type 1.
                if await answers(self.port, b"AMQP\0\0\x09\x01", b"\x01"):
                    self.runs = True
                    return
                await asyncio.sleep(0.1)
            self.kill()
        raise RuntimeError("the broker does not start again")

    async def command(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            self.control, "-q", "--node", self.environment["RABBITMQ_NODENAME"], *arguments,
            env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        )
        output, errors = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"rabbitmqctl {arguments[0]}: {(errors or output).decode()[-500:]}")
        return output.decode()

    async def queues(self) -> dict[str, tuple[int, int]]:
        """By name: ready messages, unacknowledged ones."""
        columns = ("name", "messages_ready", "messages_unacknowledged")
        listed = json.loads(await self.command("list_queues", *columns, "--formatter", "json"))
        return {queue["name"]: (queue["messages_ready"], queue["messages_unacknowledged"]) for queue in listed}

    async def unacknowledged_by_channels(self) -> int:
        """How many messages all channels of the cluster say they hold."""
        listed = json.loads(await self.command("list_channels", "messages_unacknowledged", "--formatter", "json"))
        return sum(channel["messages_unacknowledged"] for channel in listed)


class Redis:
    """Every write is on the disk before it is answered, so that a restart keeps what was confirmed."""

    def __init__(self, groups: Groups, folder: Path):
        self.groups, self.folder = groups, folder
        self.port = free_port()
        self.process = None

    async def start(self):
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        command += ["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--daemonize", "no"]
        for _ in range(5):
            self.process = self.groups.start(command, self.folder / "redis.log", dict(os.environ))
            while self.process.poll() is None:
                if await answers(self.port, b"PING\r\n", b"+PONG"):
                    return
                await asyncio.sleep(0.02)
        raise RuntimeError("Redis does not start")

    def kill(self):
        self.groups.kill(self.process.pid)
        self.process.wait()


class Worker:
    def __init__(self, groups: Groups, number: int, binary: str, log: Path, settings: dict[str, str], history: History):
        self.groups, self.number, self.binary, self.log, self.history = groups, number, binary, log, history
        self.admin = free_port()
        self.environment = os.environ | settings | {"PARLEY_ADMIN_LISTEN": f"127.0.0.1:{self.admin}"}
        self.process = None
        self.counted: dict[str, float] = {}

    def start(self):
        self.counted = {}
        self.process = self.groups.start([self.binary, "worker"], self.log, self.environment)

    def kill(self):
        self.groups.kill(self.process.pid)
        self.process.wait()

    async def terminate(self, seconds: float):
        """SIGTERM, which must end it with status 0 in time."""
        began = now()
        self.process.terminate()
        if not await ended(self.process, seconds):
            self.history.wrongs.append(f"worker {self.number} was still there {seconds:.0f} s after SIGTERM")
        elif self.process.returncode != 0:
            self.history.wrongs.append(f"worker {self.number} ended with status {self.process.returncode} after SIGTERM")
        self.kill()
        return now() - began

    async def ready(self) -> bool:
        return await answers(self.admin, b"GET /readyz HTTP/1.1\r\nHost: chaos\r\n\r\n", b"HTTP/1.1 200")

    async def scrape(self):
        """Adds to the history what its counters say more than last time."""
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", self.admin), 2)
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: chaos\r\nConnection: close\r\n\r\n")
            text = (await asyncio.wait_for(reader.read(), 5)).decode("utf-8", "replace")
            writer.close()
        except (OSError, asyncio.TimeoutError):
            return
        for line in text.splitlines():
            name, _, value = line.rpartition(" ")
            if "_total" not in name or not name.startswith("parley_"):
                continue
            try:
                count = float(value)
            except ValueError:
                continue
            increase = count - self.counted.get(name, 0)
            if increase > 0:
                self.counted[name] = count
                self.history.counted.append((now(), name, increase))
