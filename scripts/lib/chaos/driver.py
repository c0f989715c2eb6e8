"""Runs the load and the faults, waits for quiet, and checks the ledger. Started by scripts/chaos."""

import argparse
import asyncio
import ctypes
import os
import random
import signal
import sys
from collections import Counter
from pathlib import Path

from faults import FAULTS, Stage, faults_of, strike_all
from history import History, now
from ledger import Ledger
from model import Model
from proxy import Proxy
from resp import RedisReader
from servers import Broker, Groups, Redis, Worker, ended, until
from traffic import Producer, Subscriber, dead_letters, make_jobs

QUEUE, REPLIES = "chat.jobs", "chat.replies"
MODEL_TIMEOUT = 2
SHUTDOWN_GRACE = 5


def settings(options, number: int, brokers: list[Proxy], redis: Proxy, model: Model) -> dict[str, str]:
    hosts = ",".join(f"127.0.0.1:{broker.port}" for broker in brokers)
    values = {
        "rabbitmq.url": f"amqp://worker:worker@{hosts}/?heartbeat=2",
        "redis.url": f"redis://127.0.0.1:{redis.port}/0",
        "queue.name": QUEUE,
        "queue.type": options.queue_type,
        "worker.prefetch": "128",
        "worker.shutdown_grace": f"{SHUTDOWN_GRACE}s",
        "model.url": model.url(number),
        "model.name": "chaos",
        "model.timeout": f"{MODEL_TIMEOUT}s",
        "retrieval.mode": "never",
        "vectors.url": f"file:{options.work}/none.index",
        "retry.base": "500ms",
        "retry.max": "5s",
        "log.format": "json",
        "log.level": options.log_level,
    }
    return {"PARLEY_" + key.upper().replace(".", "_"): value for key, value in values.items()}


async def watch(stage: Stage, producer: Producer, subscriber: Subscriber):
    """Scrapes the workers, and notices those that end of their own accord."""
    while True:
        await asyncio.sleep(1)
        for worker in stage.workers:
            lock = stage.locks.setdefault("workers", asyncio.Lock())
            if not lock.locked() and worker.process.poll() is not None:
                stage.history.wrongs.append(f"worker {worker.number} ended by itself: {worker.process.returncode}")
                worker.kill()
                worker.start()
            await worker.scrape()
        if sys.stderr.isatty():
            answered = sum(1 for replies in list(stage.history.replies.values()) if replies)
            going_on = [incident.fault for incident in stage.history.incidents if incident.end is None]
            print(f"\r\033[K{producer.next} published, {answered} answered: {', '.join(going_on)}", end="", file=sys.stderr)


async def quiet(stage: Stage, jobs, bound: float) -> dict[str, tuple[int, int]]:
    """Waits until every job has its reply and no queue holds anything; returns what they hold at the end."""
    deadline = now() + bound

    def answered(job) -> bool:
        return any(reply.kind == "chat.reply" for reply in list(stage.history.replies.get(job.id, [])))

    while now() < deadline and not all(map(answered, jobs)):
        await asyncio.sleep(0.2)
    while True:
        queues = await stage.broker.queues()
        held = {name: count for name, count in queues.items() if name != f"{QUEUE}.dead" and count != (0, 0)}
        if not held or now() > deadline:
            return held
        await asyncio.sleep(0.5)


async def free_orphans(stage: Stage, held: dict[str, tuple[int, int]]) -> str:
    """A quorum queue may go on counting messages as delivered that no channel holds, after a leader's end (RabbitMQ issue
    15473): the next leader delivers them again. Restarts node by node, when it is that; returns what was done."""
    orphans = sum(unacknowledged for _, unacknowledged in held.values())
    if len(stage.nodes) < 2 or any(ready for ready, _ in held.values()):
        return ""
    if not orphans or await stage.broker.unacknowledged_by_channels():
        return ""
    for node in stage.nodes:
        node.kill()
        await node.start()
    return f"{orphans} that no channel held; delivered again after each node was restarted"


async def rehearse(options, groups: Groups) -> bool:
    work, history = Path(options.work), History()
    chance = random.Random(options.seed)
    nodes = []
    for node in options.node:
        folder, port, group = node.rsplit(":", 2)
        nodes.append(Broker(groups, Path(folder), int(port), int(group)))
    redis = Redis(groups, work)
    model = Model(history, options.seed)
    await redis.start()
    await model.open()
    numbers = range(options.workers)
    broker_links = [[Proxy(f"{node.name} {n}", node.port, history) for node in nodes] for n in numbers]
    redis_links = [[Proxy(f"redis {n}", redis.port, history)] for n in numbers]
    for link in sum(broker_links + redis_links, []):
        await link.open()
    workers = [
        Worker(groups, n, options.binary, work / f"worker-{n}.log",
               settings(options, n, broker_links[n], redis_links[n][0], model), history)
        for n in numbers
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        await until(worker.ready, 60, f"worker {worker.number}")

    jobs = make_jobs(options.jobs, options.seed, longest_wait=5 if options.short else 15)
    urls = [f"amqp://guest:guest@127.0.0.1:{node.port}/" for node in nodes]
    subscriber = Subscriber(urls, history, REPLIES)
    producer = Producer(urls, history, QUEUE, REPLIES, jobs, options.rate, options.seed)
    stage = Stage(
        history, chance, nodes, redis, model, workers, broker_links, redis_links,
        scale=0.25 if options.short else 1.0,
        grace=SHUTDOWN_GRACE + 5,
        load_is_over=lambda: producer.done or not producer.is_alive(),
    )
    subscriber.start()
    producer.start()
    watching = asyncio.create_task(watch(stage, producer, subscriber))
    gap = (1.0, 2.6) if options.short else (3.0, 9.0)
    await strike_all(stage, options.only, gap)
    while producer.is_alive():
        await asyncio.sleep(0.1)
    over = now()
    held = await quiet(stage, jobs, 40 if options.short else 120)
    orphans = await free_orphans(stage, held) if held else ""
    if orphans:
        held = await quiet(stage, jobs, 60)
    settled = now()
    for worker in workers:
        await worker.scrape()
    watching.cancel()
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        if not await ended(worker.process, SHUTDOWN_GRACE + 5) or worker.process.returncode != 0:
            history.wrongs.append(f"worker {worker.number} did not end well after SIGTERM: {worker.process.poll()}")
    subscriber.stopping.set()
    subscriber.join(5)

    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    stored = RedisReader(redis.port)
    results = stored.values([f"chat:result:{job.id}" for job in jobs])
    ledger = Ledger(history, jobs, results, dead_letters(urls, f"{QUEUE}.dead"), MODEL_TIMEOUT)
    for name, (ready, unacknowledged) in held.items():
        history.wrongs.append(f"{name} still holds {ready} messages, and {unacknowledged} unacknowledged")
    ledger.check()
    (work / "incidents").write_text("".join(f"{history.tell(incident)}\n" for incident in history.incidents))
    ledger.print_faults()
    print()
    ledger.print_numbers()
    print(f"time                  {settled - history.started:>7.0f}s   quiet {settled - over:.1f} s after the last fault and publish")
    levels = Counter(line.partition('"level":"')[2].partition('"')[0] for worker in workers for line in worker.log.open())
    if orphans:
        print(f"the broker's orphans  {orphans}")
    print(f"log lines             {sum(levels.values()):>8}   " + ", ".join(f"{level} {n}" for level, n in levels.items()))
    claims = stored.keys("chat:claim:*")
    print(f"claims left in Redis  {len(claims):>8}   they expire; none protects a job any more")
    (work / "claims").write_text("".join(f"{key}\n" for key in claims))
    for what, ids in ledger.wrongs.items():
        print(f"\nWRONG: {what}" + (f": {len(ids)}" if ids else ""))
        for id in ids[: options.stories]:
            print(ledger.story(id))
    print(f"\n{'FAIL' if ledger.wrongs else 'PASS'} (seed {options.seed})")
    return not ledger.wrongs


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", required=True)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--node", action="append", required=True, help="a broker's folder:port:process group")
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--except", dest="excluded", default="")
    parser.add_argument("--queue-type", default="classic")
    parser.add_argument("--log-level", default="info")
    parser.add_argument("--stories", type=int, default=5)
    options = parser.parse_args()
    for name in filter(None, f"{options.only},{options.excluded}".split(",")):
        if name not in FAULTS:
            print(f"no fault is called '{name}'; there are: {' '.join(FAULTS)}", file=sys.stderr)
            sys.exit(2)
    options.only = options.only.split(",") if options.only else faults_of(len(options.node))
    options.only = [name for name in options.only if name not in options.excluded.split(",")]

    groups = Groups(Path(options.work) / "groups")

    def leave(number, _):
        groups.kill_all()
        os._exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    # PR_SET_PDEATHSIG: ends with the script that started it, even if that was killed.
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    try:
        passed = asyncio.run(rehearse(options, groups))
    finally:
        groups.kill_all()
    sys.exit(0 if passed else 1)


main()
