"""Holds what came out against what went in."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from faults import FAULTS
from history import Call, History
from model import answer_for
from traffic import Job

# A reconnect, and what the worker does after it, may come so much later than the end of the fault.
AFTERMATH = 5.0
# From the model's answer to the acknowledgement, when nothing is wrong.
SETTLING = 2.0


@dataclass
class Ledger:
    history: History
    jobs: list[Job]
    results: list[bytes | None]
    dead: list[tuple[object, bytes]]
    model_timeout: float
    # Told at the end: what fails the run, and the ids in question.
    wrongs: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    numbers: Counter = field(default_factory=Counter)
    dead_codes: Counter = field(default_factory=Counter)
    again: Counter = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)

    def check(self):
        dead = defaultdict(list)
        for properties, _ in self.dead:
            dead[properties.message_id].append((properties.headers or {}).get("x-parley-error-code", "none"))
        known = {job.id for job in self.jobs} | {job.topic for job in self.jobs}
        for id in (set(dead) | set(self.history.replies) | set(self.history.calls)) - known:
            self.wrongs["an id that nobody published"].append(str(id))
        for job, stored in zip(self.jobs, self.results):
            self._check_job(job, stored, dead[job.id])
        for asked in {job.asked: job for job in self.jobs}.values():
            self._check_calls(asked)
        allowed = len(self.jobs) * 0.02
        if len(self.unexplained) > allowed:
            self.wrongs[f"more than {allowed:.0f} calls of the model that no fault explains"] = self.unexplained
        for wrong in self.history.wrongs:
            self.wrongs[wrong] = []

    def _check_job(self, job: Job, stored: bytes | None, codes: list[str]):
        replies = self.history.replies.get(job.id, [])
        finals = [reply for reply in replies if reply.kind == "chat.reply"]
        failed = [reply for reply in finals if json.loads(reply.body).get("status") == "failed"]
        self.numbers["replies"] += len(finals)
        self.numbers["chunks"] += len(replies) - len(finals)
        self.numbers["replies again"] += max(0, len(finals) - 1)
        if job.id not in self.history.confirmed:
            self._wrong("never published", job)
        if not finals:
            self._wrong("no reply", job)
        if stored is None:
            self._wrong("no stored result", job)
        if any(reply.message_id != job.id for reply in finals):
            self._wrong("a reply with another message_id", job)
        if codes:
            self.numbers["dead letters"] += 1
            self.dead_codes.update(codes)
            if not failed:
                self._wrong("a dead letter without its failed reply", job)
            for code in codes:
                if not self._was_injected(job, code):
                    self._wrong(f"a dead letter ({code}) that no fault explains", job)
            # A copy of the job, or the same one redelivered, may have fared better.
            finals = [reply for reply in finals if reply not in failed]
        else:
            self.numbers["answered"] += 1
        if stored is not None and not (codes and not finals):
            self._check_stored(job, stored)
            if any(reply.body != stored for reply in finals):
                self._wrong("a reply that differs from the stored result", job)

    def _check_stored(self, job: Job, stored: bytes):
        result = json.loads(stored)
        if result.get("status") != "succeeded":
            self._wrong(f"a result '{result.get('status')}' without a dead letter", job)
        elif result.get("answer") != answer_for(job.asked) or result.get("id") != job.id:
            self._wrong("another job's answer", job)
        elif result.get("metadata") != {"of": job.id}:
            self._wrong("metadata that were not echoed", job)

    def _check_calls(self, job: Job):
        calls = self.history.calls.get(job.asked, [])
        self.numbers["calls"] += len(calls)
        if not job.topic and job.due and any(call.start < job.due - 0.05 for call in calls):
            self._wrong("the model was called before not_before", job)
        for earlier, later in zip(calls, calls[1:]):
            reason = self._why_again(earlier) or (job.topic and self._why_not_shared(earlier, later)) or None
            self.again[reason or "unexplained"] += 1
            if reason is None:
                self.unexplained.append(job.id)

    def _why_again(self, call: Call) -> str | None:
        """Why the model was called again after this call."""
        if call.outcome not in ("ok", "aborted"):
            return "the model failed"
        if call.outcome == "aborted" and call.mode in ("never", "slow"):
            return "the model failed"
        if call.end is not None and call.end - call.start > 0.9 * self.model_timeout:
            return "the model failed"
        until = (call.end or call.start + self.model_timeout) + SETTLING
        for incident in self.history.incidents:
            loses = FAULTS[incident.fault].loses_answers or call.outcome == "aborted"
            if loses and incident.hits(call.worker, call.start, until, AFTERMATH):
                return "an answer was lost"
        return None

    def _why_not_shared(self, earlier: Call, later: Call) -> str | None:
        """Why one who asked the same as another was not given that one's answer."""
        for incident in self.history.incidents:
            # Of the one that was to keep it, or of the one that looked.
            if incident.fault.startswith("redis") and any(
                incident.hits(call.worker, earlier.start, later.start, AFTERMATH) for call in (earlier, later)
            ):
                return "the cache was away"
        return None

    def _was_injected(self, job: Job, code: str) -> bool:
        since = min(self.history.confirmed[job.id] + self.history.unconfirmed.get(job.id, []), default=0)
        until = max((reply.time for reply in self.history.replies.get(job.id, [])), default=float("inf"))
        return any(
            code in FAULTS[incident.fault].codes and incident.start <= until and (incident.end or until) + AFTERMATH >= since
            for incident in self.history.incidents
        )

    def _wrong(self, what: str, job: Job):
        self.wrongs[what].append(job.id)

    # --- what is printed ----------------------------------------------------------------------------------------------

    def story(self, id: str) -> str:
        """Everything that is known of one job, in order."""
        history, lines = self.history, []
        for moment in history.confirmed.get(id, []):
            lines.append((moment, "published, confirmed"))
        for moment in history.unconfirmed.get(id, []):
            lines.append((moment, "published, not confirmed"))
        asked = next((job.asked for job in self.jobs if job.id == id), id)
        for call in history.calls.get(asked, []):
            lines.append((call.start, f"call at worker {call.worker} ({call.mode}): {call.outcome}, {history.at(call.end)}"))
        for reply in history.replies.get(id, []):
            lines.append((reply.time, f"{reply.kind} {reply.body.decode('utf-8', 'replace')[:300]}"))
        lines.sort(key=lambda line: line[0])
        first, last = (lines[0][0], lines[-1][0]) if lines else (0, 0)
        for incident in history.incidents:
            if incident.start <= last + 1 and (incident.end or last) + AFTERMATH >= first:
                lines.append((incident.start, f"    ({history.tell(incident).strip()})"))
        for properties, _ in self.dead:
            if properties.message_id == id:
                lines.append((float("inf"), f"dead: {properties.headers}"))
        lines.sort(key=lambda line: line[0])
        return "\n".join([f"  {id}"] + [f"    {history.at(t) if t < float('inf') else 'end':>8}  {what}" for t, what in lines])

    def print_faults(self):
        history = self.history
        columns = ("fault", "times", "reconnects", "redelivered", "failed calls", "calls again", "published again", "replies again")
        print(("{:<18}" + "{:>7}" + "{:>14}" * 6).format(*columns))
        calls = [(call.start, call, number) for of_id in history.calls.values() for number, call in enumerate(of_id)]
        replies = [
            reply.time for of_id in history.replies.values()
            for reply in [reply for reply in of_id if reply.kind == "chat.reply"][1:]
        ]
        again = [moment for moments in history.unconfirmed.values() for moment in moments]
        for name in FAULTS:
            spans = [(i.start, (i.end or i.start) + AFTERMATH) for i in history.incidents if i.fault == name]
            if not spans:
                continue

            def within(moments):
                return sum(any(start <= moment <= end for start, end in spans) for moment in moments)

            redelivered = sum(
                increase for moment, metric, increase in history.counted
                if metric.startswith("parley_redeliveries_total") and within([moment])
            )
            row = [
                within(moment for moment, _ in history.connections), int(redelivered),
                within(start for start, call, _ in calls if call.outcome != "ok"),
                within(start for start, _, number in calls if number), within(again), within(replies),
            ]
            print(("{:<18}{:>7}" + "{:>14}" * 6).format(name, len(spans), *row))
        print(f"(effects: from the fault's beginning to {AFTERMATH:.0f} s after its end; faults overlap)")

    def print_numbers(self):
        numbers, jobs = self.numbers, len(self.jobs)
        extra = sum(self.again.values())
        print(f"jobs                  {jobs:>8}   answered {numbers['answered']}, dead letters {numbers['dead letters']}"
              + "".join(f", {code} {count}" for code, count in self.dead_codes.items()))
        print(f"published             {sum(map(len, self.history.confirmed.values())):>8}   besides, "
              f"{sum(map(len, self.history.unconfirmed.values()))} whose confirm did not come")
        print(f"replies               {numbers['replies']:>8}   {numbers['replies again']} of them again, "
              f"{numbers['chunks']} chunks beside them")
        print(f"model calls           {numbers['calls']:>8}   {extra} more than one for a job"
              + "".join(f"; {why}: {count}" for why, count in self.again.items()))
        print(f"unexplained calls     {len(self.unexplained) / jobs:>8.2%}   at most 2 %")
