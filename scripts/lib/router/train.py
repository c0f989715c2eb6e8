"""Trains the router from labelled questions. Run by scripts/train-router; the standard library is enough."""

import argparse
import base64
import hashlib
import json
import math
import pathlib
import re
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import report
from features import Table, folded, hashes
from weights import Weights, quantised, rounded

BITS = 16
FOLDS = 4
EPOCHS = 10
# What a sentence of an agent's own articles counts for, beside a question's 1.
ARTICLE = 0.3
# Of the questions that need passages, how many may lose them in cross-validation. The goal is 2 %, also for questions of
# another kind than these.
MAY_LOSE = 0.015


class Example:
    def __init__(self, text, agent, retrieve=None, kind="article", lang=None):
        self.text, self.agent, self.retrieve, self.kind, self.lang = text, agent, retrieve, kind, lang
        found = hashes(text)
        self.hashes = set(found)
        self.counts = sorted(Counter(found).items())
        self.total = len(found)

    def row(self, table):
        """Slots, each with its share of the text."""
        row = Counter()
        for value, count in self.counts:
            slot = table.find(value)
            if slot is not None:
                row[slot] += count / math.sqrt(self.total)
        return list(row.items())

    def part(self, parts):
        """Texts that differ in punctuation or case alone are in one part: none is asked after having been learnt."""
        letters = "".join(chr(value) for value in folded(self.text) if chr(value).isalnum())
        return int.from_bytes(hashlib.sha256((letters or self.text).encode()).digest()[:4], "big") % parts


def questions(path):
    examples = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            fields = json.loads(line)
            retrieve = fields["retrieve"]
            if not isinstance(retrieve, bool) or not fields["text"].strip():
                raise ValueError("text must not be blank, retrieve must be true or false")
            examples.append(Example(fields["text"], fields["agent"], retrieve, fields["kind"], fields["lang"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            sys.exit(f"{path}:{number}: {error!r}; a line is an object with text, lang, agent, retrieve, kind")
    return examples


def articles(folder, agents):
    """Sentences of articles that lie in a folder named after an agent."""
    examples = []
    for path in sorted(folder.rglob("*.md")) if folder else []:
        agent = next((part for part in path.relative_to(folder).parts if part in agents), None)
        for line in path.read_text(encoding="utf-8").splitlines() if agent else []:
            line = re.sub(r"^[#\-\d.| *]+", "", line).strip()
            examples += [Example(text, agent) for text in re.split(r"(?<=[.。;；?？])\s*", line) if len(text) > 3]
    return examples


def table(examples, sentences):
    """The sequences of the questions, the most frequent first, then those of the articles alone."""
    asked = Counter(value for example in examples for value in example.hashes)
    told = Counter(value for example in sentences for value in example.hashes)
    found = Table(BITS)
    for value in sorted(asked | told, key=lambda value: (-2 * asked[value] - told[value] * (value in asked), value)):
        found.insert(value)
    return found


def fitted(rows, signs, costs, importance):
    """Weights and bias of a linear support vector machine: dual coordinate descent for the squared hinge loss (Hsieh et
    al., ICML 2008). Features are scaled by `importance`, which the weights that come back contain."""
    weights = [0.0] * (1 << BITS)
    bias = 0.0
    states = []
    for row, sign, cost in zip(rows, signs, costs):
        row = [(slot, value * importance[slot]) for slot, value in row]
        states.append([row, sign, 0.0, 1 / (2 * cost), sum(value * value for _, value in row) + 1 + 1 / (2 * cost)])
    for epoch in range(EPOCHS):
        # Shuffled anew each time, or the bias never settles; and the same way in every run.
        for place in sorted(range(len(states)), key=lambda place: hashlib.md5(b"%d %d" % (epoch, place)).digest()):
            row, sign, alpha, slack, norm = states[place]
            gradient = sign * (bias + sum([weights[slot] * value for slot, value in row])) - 1 + alpha * slack
            new = max(0.0, alpha - gradient / norm)
            if new == alpha:
                continue
            states[place][2] = new
            step = (new - alpha) * sign
            bias += step
            for slot, value in row:
                weights[slot] += step * value
    return [weight * scale for weight, scale in zip(weights, importance)], bias


def trained(job):
    """Without a threshold. `job`: labelled examples, sentences of articles, the agents' names."""
    examples, sentences, agents = job
    both = examples + sentences
    slots = table(examples, sentences)
    rows = [example.row(slots) for example in both]
    seen = Counter(slot for row in rows for slot, _ in row)
    # What many texts have says little; of agents more so, since their questions share their phrases.
    importance = [math.log(1 + len(both) / (seen[slot] + 1)) / 4 for slot in range(1 << BITS)]
    needs = [1 if example.retrieve else -1 for example in examples]
    outputs = [fitted(rows[: len(examples)], needs, [1] * len(examples), importance)]
    # Agents are told from each other alone; what is none of theirs has no part in it.
    theirs = [(row, example) for row, example in zip(rows, both) if example.agent in agents]
    costs = [ARTICLE if example.retrieve is None else 1 for _, example in theirs]
    for agent in agents:
        signs = [1 if example.agent == agent else -1 for _, example in theirs]
        outputs.append(fitted([row for row, _ in theirs], signs, costs, [value * value for value in importance]))
    codes, scales, biases = zip(*(fitting(rows[: len(examples)], *output) for output in outputs))
    return Weights(slots, agents, list(codes), list(scales), list(biases), 0.0)


def fitting(rows, weights, bias):
    """Codes with the scale and the bias that bring the rows' sums nearest to what the weights say (least squares): rounding
    moves all of an output's sums alike, which would favour one agent."""
    codes, _ = quantised(weights)
    wanted = [sum([weights[slot] * value for slot, value in row]) for row in rows]
    sums = [sum([codes[slot] * value for slot, value in row]) for row in rows]
    mean, middle = sum(wanted) / len(rows), sum(sums) / len(rows)
    spread = sum((found - middle) ** 2 for found in sums)
    scale = sum((found - middle) * (wish - mean) for found, wish in zip(sums, wanted)) / spread if spread else 1.0
    return codes, rounded(scale), rounded(bias + mean - scale * middle)


def calibrate(weights, examples, sentences):
    """The threshold, from what models say of questions that they have not seen (cross-validation)."""
    jobs = []
    for fold in range(FOLDS):
        jobs.append(([e for e in examples if e.part(FOLDS) != fold], sentences, weights.agents))
    with ProcessPoolExecutor() as pool:
        models = list(pool.map(trained, jobs))
    needs = sorted(models[e.part(FOLDS)].scores(e.text)[0] for e in examples if e.retrieve)
    weights.threshold = rounded(needs[int(len(needs) * MAY_LOSE)])


def main():
    parser = argparse.ArgumentParser()
    for name in ("--questions", "--output", "--knowledge", "--sample", "--report", "--source", "--golden"):
        parser.add_argument(name, type=pathlib.Path)
    options = parser.parse_args()
    began = time.monotonic()
    examples = questions(options.questions)
    agents = sorted({e.agent for e in examples} - {"none"})
    if not 1 <= len(agents) <= 15 or not all(re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", agent) for agent in agents):
        sys.exit(f"{options.questions}: its agents are {agents}; needed: 1 to 15, named as in the settings (a-z, 0-9, - and _)")
    for retrieve in (True, False):
        if sum(example.retrieve == retrieve for example in examples) < 50:
            sys.exit(f"{options.questions}: too few lines with retrieve {str(retrieve).lower()}; needed: 50 and more")
    sentences = articles(options.knowledge, agents)
    # Another division than that of the folds.
    held = {id(e) for e in examples if e.part(5 * FOLDS) // FOLDS == 0}
    learnt = [e for e in examples if id(e) not in held]
    heldout = [e for e in examples if id(e) in held]
    weights = trained((learnt, sentences, agents))
    calibrate(weights, learnt, sentences)
    data = weights.data()
    options.output.write_bytes(data)
    text = report.markdown(weights, learnt, heldout, sentences, sample(options.sample), hashlib.sha256(data).hexdigest())
    print(text)
    if options.report:
        report.replace(options.report, text)
    if options.source:
        options.source.write_text(source(data), encoding="utf-8")
    if options.golden:
        options.golden.write_text(report.golden(weights, heldout), encoding="utf-8")
    print(f"{options.output}: {len(data):,} bytes, {time.monotonic() - began:.0f} s", file=sys.stderr)


def sample(path):
    """Questions that were never looked at for training: they all need passages."""
    if not path:
        return []
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [Example(line["query"], line["agent"], True, "question", line["lang"]) for line in lines]


def source(data):
    return (
        "// swift-format-ignore-file\n"
        "// Made by scripts/train-router from config/routing/questions.jsonl: the bytes of config/routing/weights.\n\n"
        "extension RouterWeights {\n"
        "    /// In base64, since a literal of an array takes minutes to compile.\n"
        f'    static let builtinText: StaticString = "{base64.b64encode(data).decode()}"\n'
        "}\n"
    )


if __name__ == "__main__":
    main()
