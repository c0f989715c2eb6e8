"""The ledger must find what is wrong: each test takes a run in which all is well and spoils one thing."""

import json
import unittest
from types import SimpleNamespace

from history import Call, History, Incident, Reply
from ledger import Ledger
from model import answer_for
from traffic import Job


def reply(id: str, **fields) -> bytes:
    return json.dumps({"id": id, "status": "succeeded", "answer": answer_for(id), "metadata": {"of": id}} | fields).encode()


class LedgerTest(unittest.TestCase):
    def setUp(self):
        self.history = History(started=0)
        self.jobs, self.results, self.dead = [], [], []
        for number in range(10):
            job = Job(f"job-0-{number}", priority=4, streams=False, not_before=None, deadline=None, copies=1, lane="")
            body = reply(job.id)
            self.jobs.append(job)
            self.results.append(body)
            self.history.confirmed[job.id].append(1.0)
            self.history.calls[job.id].append(Call(job.id, 0, "normal", 2.0, 2.1, "ok"))
            self.history.replies[job.id].append(Reply("chat.reply", body, 2.2, job.id, None))

    def wrongs(self) -> list[str]:
        ledger = Ledger(self.history, self.jobs, self.results, self.dead, model_timeout=2)
        ledger.check()
        return list(ledger.wrongs)

    def die(self, code: str):
        self.dead.append((SimpleNamespace(message_id="job-0-0", headers={"x-parley-error-code": code}), b""))
        self.results[0] = reply("job-0-0", status="failed", answer=None)
        self.history.replies["job-0-0"][0].body = self.results[0]

    def test_all_is_well(self):
        self.assertEqual(self.wrongs(), [])

    def test_missing_reply(self):
        self.history.replies["job-0-0"].clear()
        self.assertEqual(self.wrongs(), ["no reply"])

    def test_chunks_are_no_reply(self):
        self.history.replies["job-0-0"][0].kind = "chat.chunk"
        self.assertEqual(self.wrongs(), ["no reply"])

    def test_missing_result(self):
        self.results[0] = None
        self.assertIn("no stored result", self.wrongs())

    def test_two_different_replies(self):
        other = reply("job-0-0", attempts=2)
        self.history.replies["job-0-0"].append(Reply("chat.reply", other, 2.3, "job-0-0", None))
        self.assertEqual(self.wrongs(), ["a reply that differs from the stored result"])

    def test_answers_mixed_up(self):
        self.results[0] = reply("job-0-0", answer=answer_for("job-0-1"))
        self.history.replies["job-0-0"][0].body = self.results[0]
        self.assertEqual(self.wrongs(), ["another job's answer"])

    def test_failure_without_a_dead_letter(self):
        self.die("model_timeout")
        self.dead.clear()
        self.assertEqual(self.wrongs(), ["a result 'failed' without a dead letter"])

    def test_dead_letter_without_a_fault(self):
        self.die("model_timeout")
        self.history.incidents.append(Incident("model-429", 1.5, 3.0))
        self.assertEqual(self.wrongs(), ["a dead letter (model_timeout) that no fault explains"])

    def test_dead_letter_with_its_fault(self):
        self.die("model_timeout")
        self.history.incidents.append(Incident("model-never", 1.5, 3.0))
        self.assertEqual(self.wrongs(), [])

    def test_dead_letter_and_no_reply(self):
        self.die("model_timeout")
        self.history.incidents.append(Incident("model-never", 1.5, 3.0))
        self.history.replies["job-0-0"].clear()
        self.assertIn("no reply", self.wrongs())

    def test_unknown_id(self):
        self.history.calls["unknown"].append(Call("unknown", 0, "normal", 2.0, 2.1, "ok"))
        self.assertEqual(self.wrongs(), ["an id that nobody published"])

    def test_called_too_early(self):
        self.jobs[0].due = 5.0
        self.assertEqual(self.wrongs(), ["the model was called before not_before"])

    def called_again(self, outcome: str):
        self.history.calls["job-0-0"][0].outcome = outcome
        self.history.calls["job-0-0"].append(Call("job-0-0", 0, "normal", 3.0, 3.1, "ok"))

    def test_called_again_for_nothing(self):
        self.called_again("ok")
        self.assertEqual(self.wrongs(), ["more than 0 calls of the model that no fault explains"])

    def test_called_again_after_a_failure(self):
        self.called_again("500")
        self.assertEqual(self.wrongs(), [])

    def test_called_again_after_a_crash(self):
        self.called_again("ok")
        self.history.incidents.append(Incident("worker-kill", 2.05, 2.5, worker=0))
        self.assertEqual(self.wrongs(), [])

    def test_called_again_after_another_workers_crash(self):
        self.called_again("ok")
        self.history.incidents.append(Incident("worker-kill", 2.05, 2.5, worker=1))
        self.assertEqual(self.wrongs(), ["more than 0 calls of the model that no fault explains"])

    def test_called_again_after_a_model_fault_that_spared_the_call(self):
        self.called_again("ok")
        self.history.incidents.append(Incident("model-500", 1.0, 4.0))
        self.assertEqual(self.wrongs(), ["more than 0 calls of the model that no fault explains"])

    def share(self):
        """Two jobs ask the same."""
        for number in (0, 1):
            job = self.jobs[number]
            job.topic = "job-0-topic-0"
            body = reply(job.id, answer=answer_for(job.topic))
            self.results[number] = body
            self.history.replies[job.id][0].body = body
            del self.history.calls[job.id]
        self.history.calls["job-0-topic-0"].append(Call("job-0-topic-0", 0, "normal", 2.0, 2.1, "ok"))

    def test_equal_questions_have_one_call(self):
        self.share()
        self.assertEqual(self.wrongs(), [])

    def test_equal_questions_that_were_asked_twice(self):
        self.share()
        self.history.calls["job-0-topic-0"].append(Call("job-0-topic-0", 1, "normal", 3.0, 3.1, "ok"))
        self.assertEqual(self.wrongs(), ["more than 0 calls of the model that no fault explains"])
        self.history.incidents.append(Incident("redis-cut", 2.05, 2.5, worker=1))
        self.assertEqual(self.wrongs(), [])

    def test_an_equal_question_with_an_answer_of_its_own(self):
        self.share()
        self.results[0] = reply("job-0-0")
        self.history.replies["job-0-0"][0].body = self.results[0]
        self.assertEqual(self.wrongs(), ["another job's answer"])


if __name__ == "__main__":
    unittest.main()
