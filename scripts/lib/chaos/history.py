"""What happened during a run, told by everyone who saw it. Times are seconds of time.monotonic()."""

import time
from collections import defaultdict
from dataclasses import dataclass, field

now = time.monotonic


@dataclass
class Call:
    """One call of the model."""

    id: str
    worker: int
    mode: str
    start: float
    end: float | None = None
    # ok, 429, 500, garbage, or aborted: the worker gave up, or died, before it had the answer.
    outcome: str = "aborted"


@dataclass
class Reply:
    kind: str
    body: bytes
    time: float
    message_id: str | None
    correlation_id: str | None


@dataclass
class Incident:
    """One fault while it lasted."""

    fault: str
    start: float
    end: float | None = None
    # Whose connections or process it hit; None: everybody's.
    worker: int | None = None
    note: str = ""

    def hits(self, worker: int, since: float, until: float, grace: float) -> bool:
        """Whether it hit this worker between two times; its effects last `grace` longer than itself."""
        if self.worker is not None and self.worker != worker:
            return False
        return self.start <= until and (self.end is None or self.end + grace >= since)


@dataclass
class History:
    started: float = field(default_factory=now)
    calls: dict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))
    replies: dict[str, list[Reply]] = field(default_factory=lambda: defaultdict(list))
    # By id, when the broker confirmed it.
    confirmed: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    # By id, when a publish failed before its confirm: the broker may have it all the same.
    unconfirmed: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    incidents: list[Incident] = field(default_factory=list)
    # (time, proxy's name): the connections that workers made.
    connections: list[tuple[float, str]] = field(default_factory=list)
    # (time, metric, increase): what the workers counted.
    counted: list[tuple[float, str, float]] = field(default_factory=list)
    # What must not happen, whatever the fault.
    wrongs: list[str] = field(default_factory=list)

    def at(self, moment: float | None) -> str:
        """A time as seconds since the beginning."""
        return "…" if moment is None else f"{moment - self.started:.3f}"

    def tell(self, incident: Incident) -> str:
        whose = "" if incident.worker is None else f" of worker {incident.worker}"
        return f"{self.at(incident.start):>8}  {incident.fault}{whose} until {self.at(incident.end)} {incident.note}".rstrip()
