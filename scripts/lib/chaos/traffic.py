"""Producer and subscriber: a thread each, on connections of their own to the broker."""

import json
import random
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import pika
from pika.exceptions import AMQPError, UnroutableError

from history import History, Reply, now


@dataclass
class Job:
    id: str
    priority: int
    streams: bool
    # Seconds after its publishing.
    not_before: float | None
    deadline: float | None
    # Published as often; under the same id all are one job.
    copies: int
    lane: str
    # What it asks: nothing but itself, or what others ask, too.
    topic: str = ""
    body: bytes | None = None
    # When it may be worked on at the earliest.
    due: float | None = None

    @property
    def asked(self) -> str:
        return self.topic or self.id

    def encoded(self) -> bytes:
        if self.body is None:
            wall = datetime.now(timezone.utc)
            self.due = now() + self.not_before if self.not_before else None
            fields = {"query": f"Where is my parcel? [{self.asked}]", "stream": self.streams, "metadata": {"of": self.id}}
            if self.not_before:
                fields["not_before"] = (wall + timedelta(seconds=self.not_before)).isoformat(timespec="milliseconds")
            if self.deadline:
                fields["deadline"] = (wall + timedelta(seconds=self.deadline)).isoformat(timespec="milliseconds")
            self.body = json.dumps(fields).replace("+00:00", "Z").encode()
        return self.body


# This share of the jobs asks one of a few questions: their answers are shared.
EQUAL = 0.2


def make_jobs(count: int, seed: int, longest_wait: float) -> list[Job]:
    rng = random.Random(seed)
    run = f"{rng.randrange(1 << 32):08x}"
    return [
        Job(
            id=f"job-{run}-{number}",
            priority=rng.choice([0, 1, 4, 4, 4, 4, 7, 9]),
            streams=rng.random() < 0.1,
            not_before=rng.uniform(1, longest_wait) if rng.random() < 0.03 else None,
            deadline=3600 if rng.random() < 0.03 else None,
            copies=2 if rng.random() < 0.08 else 1,
            lane="",
            topic=f"job-{run}-topic-{rng.randrange(max(1, count // 100))}" if rng.random() < EQUAL else "",
        )
        for number in range(count)
    ]


class Connected(threading.Thread):
    """Connects again for as long as it has something to do."""

    def __init__(self, urls: list[str], history: History):
        super().__init__(daemon=True)
        # Tried in turn.
        self.parameters = [pika.URLParameters(f"{url}?heartbeat=10") for url in urls]
        self.history = history
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            try:
                connection = pika.BlockingConnection(self.parameters)
                try:
                    if self.work(connection):
                        return
                finally:
                    if connection.is_open:
                        connection.close()
            except (AMQPError, OSError):
                self.stopping.wait(0.2)

    def work(self, connection) -> bool:
        raise NotImplementedError


class Producer(Connected):
    """Publishes each job at its time, and again until the broker has confirmed it."""

    def __init__(self, urls: list[str], history: History, queue: str, replies: str, jobs: list[Job], rate: float, seed: int):
        super().__init__(urls, history)
        self.queue, self.replies = queue, replies
        rng = random.Random(seed)
        plan = []
        for number, job in enumerate(jobs):
            plan.append((number / rate, job))
            # Half of the copies come at once: two workers have the same id at the same time.
            plan += [(number / rate + rng.choice([0, rng.uniform(0, 5)]), job) for _ in range(job.copies - 1)]
        self.plan = sorted(plan, key=lambda item: item[0])
        self.next = 0
        self.began = None

    @property
    def done(self) -> bool:
        return self.next == len(self.plan)

    def work(self, connection) -> bool:
        channel = connection.channel()
        channel.confirm_delivery()
        self.began = self.began or now()
        while not self.done and not self.stopping.is_set():
            at, job = self.plan[self.next]
            wait = self.began + at - now()
            if wait > 0:
                connection.sleep(wait)
            properties = pika.BasicProperties(
                content_type="application/json", delivery_mode=2, message_id=job.id, priority=job.priority,
                reply_to=self.replies, correlation_id=f"for-{job.id}",
            )
            try:
                channel.basic_publish("", self.queue + job.lane, job.encoded(), properties, mandatory=True)
            except UnroutableError:
                connection.sleep(0.2)
                continue
            except (AMQPError, OSError):
                self.history.unconfirmed[job.id].append(now())
                raise
            self.history.confirmed[job.id].append(now())
            self.next += 1
        return self.done


class Subscriber(Connected):
    """Keeps every reply that came."""

    def __init__(self, urls: list[str], history: History, queue: str):
        super().__init__(urls, history)
        self.queue = queue

    def work(self, connection) -> bool:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=500)
        for method, properties, body in channel.consume(self.queue, inactivity_timeout=0.5):
            if self.stopping.is_set():
                return True
            if method is None:
                continue
            id = (properties.correlation_id or "").removeprefix("for-")
            reply = Reply(properties.type, body, now(), properties.message_id, properties.correlation_id)
            self.history.replies[id].append(reply)
            channel.basic_ack(method.delivery_tag)
        return True


def dead_letters(urls: list[str], queue: str):
    """Takes all of them out: (properties, body)."""
    connection = pika.BlockingConnection([pika.URLParameters(url) for url in urls])
    channel = connection.channel()
    found = []
    while True:
        method, properties, body = channel.basic_get(queue)
        if method is None:
            break
        found.append((properties, body))
        channel.basic_ack(method.delivery_tag)
    connection.close()
    return found
