"""The faults, and when they strike."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from history import History, Incident, now
from model import Model
from proxy import Proxy
from servers import Broker, Redis, Worker


@dataclass
class Stage:
    """Everything that can be made to fail."""

    history: History
    random: random.Random
    # The nodes of the cluster; one when there is none.
    nodes: list[Broker]
    redis: Redis
    model: Model
    workers: list[Worker]
    # By worker: a link to each node.
    broker_links: list[list[Proxy]]
    redis_links: list[list[Proxy]]
    # How long things last, as a fraction of the long form's times.
    scale: float
    # The longest that SIGTERM may take.
    grace: float
    load_is_over: Callable[[], bool]
    # What two faults may not work on at the same time.
    locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def lasts(self, least: float, most: float):
        await asyncio.sleep(self.random.uniform(least, most) * self.scale)

    @property
    def broker(self) -> Broker:
        """A node that runs."""
        return next((node for node in self.nodes if node.runs), self.nodes[0])

    def some(self, links: list[list[Proxy]], incident: Incident) -> list[Proxy]:
        """One worker's links or everybody's."""
        if self.random.random() < 0.5:
            incident.note = "all"
            return [link for of_worker in links for link in of_worker]
        incident.worker = self.random.randrange(len(links))
        return links[incident.worker]


async def worker_kill(stage: Stage, incident: Incident):
    worker = stage.random.choice(stage.workers)
    incident.worker = worker.number
    worker.kill()
    await stage.lasts(0, 2)
    worker.start()


async def worker_term(stage: Stage, incident: Incident):
    worker = stage.random.choice(stage.workers)
    incident.worker = worker.number
    took = await worker.terminate(stage.grace)
    incident.note = f"{took:.1f} s"
    await stage.lasts(0, 2)
    worker.start()


async def broker_restart(stage: Stage, _: Incident):
    stage.broker.kill()
    await stage.lasts(0, 3)
    await stage.broker.start()


async def node_kill(stage: Stage, incident: Incident):
    node = stage.random.choice(stage.nodes)
    incident.note = f"node {node.name}"
    node.kill()
    await stage.lasts(4, 12)
    await node.start()


async def broker_close(stage: Stage, _: Incident):
    for node in stage.nodes:
        await node.command("close_all_user_connections", "worker", "chaos")


async def memory_alarm(stage: Stage, _: Incident):
    # One node's alarm blocks the publishers of all.
    node = stage.random.choice(stage.nodes)
    try:
        await node.command("set_vm_memory_high_watermark", "0")
        await stage.lasts(4, 8)
    finally:
        await node.command("set_vm_memory_high_watermark", "0.4")


async def redis_restart(stage: Stage, _: Incident):
    stage.redis.kill()
    await stage.redis.start()


async def redis_absent(stage: Stage, _: Incident):
    stage.redis.kill()
    await asyncio.sleep(20 * stage.scale)
    await stage.redis.start()


def cut(links_of):
    async def fault(stage: Stage, incident: Incident):
        links = stage.some(links_of(stage), incident)
        for link in links:
            link.close()
        await stage.lasts(0, 3)
        for link in links:
            await link.open()

    return fault


def stall(links_of):
    async def fault(stage: Stage, incident: Incident):
        links = stage.some(links_of(stage), incident)
        for link in links:
            link.stall()
        await stage.lasts(2, 12)
        for link in links:
            link.resume()

    return fault


def half_open(links_of):
    async def fault(stage: Stage, incident: Incident):
        survivor = stage.random.choice(["client", "server"])
        began = now()
        hit = [link for proxy in stage.some(links_of(stage), incident) for link in proxy.half_open(survivor)]
        # Redis has no reason to notice that an idle client is gone.
        patience = 15 if survivor == "client" or links_of is broker_links else 0
        while any(link.is_open for link in hit) and now() < began + patience:
            await asyncio.sleep(0.05)
        deaf = sum(link.is_open for link in hit)
        incident.note = f"{survivor} left, " + (f"{deaf} of {len(hit)} never noticed" if deaf else f"{now() - began:.1f} s")
        for link in hit:
            link.abort()

    return fault


def misbehave(mode: str):
    async def fault(stage: Stage, incident: Incident):
        share = stage.random.choice([1.0, 0.4])
        stage.model.behave(mode, share)
        await stage.lasts(3, 10)
        # While the broker or Redis is away, nobody calls: that would be no fault.
        patience = now() + 10
        while stage.model.mistreated < 3 and now() < patience and not stage.load_is_over():
            await asyncio.sleep(0.05)
        incident.note = f"{share:.0%} of calls, {stage.model.mistreated} of them"
        stage.model.behave("normal")

    return fault


async def model_refused(stage: Stage, _: Incident):
    stage.model.close()
    await stage.lasts(3, 10)
    await stage.model.open()


def broker_links(stage: Stage) -> list[list[Proxy]]:
    return stage.broker_links


def redis_links(stage: Stage) -> list[list[Proxy]]:
    return stage.redis_links


@dataclass
class Fault:
    perform: Callable[[Stage, Incident], Awaitable[None]]
    # Faults with the same one wait for each other.
    lock: str
    # Whether an answer may be lost by it, and the model be called again.
    loses_answers: bool
    # The error codes of jobs that it may kill.
    codes: tuple[str, ...] = ()


FAULTS = {
    "worker-kill": Fault(worker_kill, "workers", True, ("worker_lost",)),
    "worker-term": Fault(worker_term, "workers", False),
    "broker-restart": Fault(broker_restart, "broker", True),
    "node-kill": Fault(node_kill, "broker", True),
    "broker-close": Fault(broker_close, "broker", True),
    "broker-cut": Fault(cut(broker_links), "broker", True),
    "broker-stall": Fault(stall(broker_links), "broker", True),
    "broker-half-open": Fault(half_open(broker_links), "broker", True),
    "memory-alarm": Fault(memory_alarm, "broker", False),
    "redis-restart": Fault(redis_restart, "redis", True),
    "redis-absent": Fault(redis_absent, "redis", True),
    "redis-cut": Fault(cut(redis_links), "redis", True),
    "redis-stall": Fault(stall(redis_links), "redis", True),
    "redis-half-open": Fault(half_open(redis_links), "redis", True),
    "model-429": Fault(misbehave("429"), "model", False, ("rate_limited", "model_unavailable")),
    "model-500": Fault(misbehave("500"), "model", False, ("model_unavailable",)),
    "model-garbage": Fault(misbehave("garbage"), "model", False, ("model_unavailable",)),
    "model-slow": Fault(misbehave("slow"), "model", False, ("model_timeout",)),
    "model-never": Fault(misbehave("never"), "model", False, ("model_timeout",)),
    "model-refused": Fault(model_refused, "model", False, ("model_unavailable",)),
}


def faults_of(nodes: int) -> list[str]:
    """A cluster loses one node at a time; a single broker is restarted."""
    return [name for name in FAULTS if name != ("broker-restart" if nodes > 1 else "node-kill")]


async def strike(stage: Stage, name: str):
    fault = FAULTS[name]
    async with stage.locks.setdefault(fault.lock, asyncio.Lock()):
        incident = Incident(name, now())
        stage.history.incidents.append(incident)
        try:
            await fault.perform(stage, incident)
        except Exception as error:  # the run goes on, and fails for it
            stage.history.wrongs.append(f"{name} could not be done: {error!r}")
        incident.end = now()


async def strike_all(stage: Stage, names: list[str], gap: tuple[float, float]):
    """Each fault once, in random order, and then more of them until the load is over. They may overlap."""
    waiting = stage.random.sample(names, len(names))
    tasks = []
    while waiting or not stage.load_is_over():
        await asyncio.sleep(stage.random.uniform(*gap))
        name = waiting.pop() if waiting else stage.random.choice(names)
        tasks.append(asyncio.create_task(strike(stage, name)))
        # A slow machine must not pile them up.
        while sum(not task.done() for task in tasks) > 2:
            await asyncio.sleep(0.1)
    await asyncio.gather(*tasks)
