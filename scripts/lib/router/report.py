"""What docs/routing.md says of the weights, measured, and texts with what must come of them, for the tests."""

import json

from features import hashes

BEGIN = "<!-- measured by scripts/train-router -->"
END = "<!-- end -->"
# The mixed traffic: what a conversation consists of, one in four having an outburst or an order to the model.
TRAFFIC = {"greeting": 1, "question": 1, "followup": 1, "chitchat": 1, "thanks": 1, "complaint": 0.25, "prompt": 0.25}


def percent(part, whole):
    return f"{100 * part / whole:.1f} %" if whole else "–"


def decided(weights, examples):
    return [(example, *weights.decision(example.text)) for example in examples]


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def precision_and_recall(names, pairs):
    rows = []
    for name in names:
        hits = sum(truth == name and said == name for truth, said in pairs)
        said = sum(said == name for _, said in pairs)
        there = sum(truth == name for truth, _ in pairs)
        rows.append((name, there, percent(hits, said), percent(hits, there)))
    return table(("", "questions", "precision", "recall"), rows)


def agents_table(weights, examples):
    names = weights.agents
    pairs = [(example.agent, agent) for example, _, agent in decided(weights, examples)]
    rows = [(truth, *(sum(pair == (truth, said) for pair in pairs) for said in names)) for truth in names]
    right = sum(truth == said for truth, said in pairs)
    return (
        table(("is ↓ taken for →", *names), rows)
        + "\n\n"
        + precision_and_recall(names, pairs)
        + f"\n\nRight: {right} of {len(pairs)}, {percent(right, len(pairs))}."
    )


def needs_table(weights, examples):
    names = ["passages", "none"]
    pairs = [("passages" if e.retrieve else "none", "passages" if need else "none") for e, need, _ in decided(weights, examples)]
    rows = [(truth, *(sum(pair == (truth, said) for pair in pairs) for said in names)) for truth in names]
    return table(("needs ↓ gets →", *names), rows) + "\n\n" + precision_and_recall(names, pairs)


def kinds_table(weights, examples):
    rows = []
    for kind in sorted({e.kind for e in examples}, key=lambda kind: (kind not in ("question", "followup"), kind)):
        for lang in ("en", "zh"):
            those = decided(weights, [e for e in examples if e.kind == kind and e.lang == lang])
            without = sum(not need for _, need, _ in those)
            wanted = "should be 0" if those and those[0][0].retrieve else "should be all"
            rows.append((kind, lang, len(those), f"{without} ({percent(without, len(those))})", wanted))
    return table(("kind", "language", "messages", "without retrieval", ""), rows)


def without(weights, examples, kind):
    """Which part of the messages of a kind gets no passages."""
    those = [need for e, need, _ in decided(weights, examples) if e.kind == kind]
    return sum(not need for need in those) / len(those) if those else 0


def markdown(weights, learnt, heldout, sentences, sample, digest):
    lost = [e for e, need, _ in decided(weights, [e for e in heldout if e.retrieve]) if not need]
    needing = sum(e.retrieve for e in heldout)
    spared = sum(not need for e, need, _ in decided(weights, heldout) if not e.retrieve)
    idle = len(heldout) - needing
    mixed = sum(count * without(weights, heldout, kind) for kind, count in TRAFFIC.items()) / sum(TRAFFIC.values())
    asking = (TRAFFIC["question"] + TRAFFIC["followup"]) / sum(TRAFFIC.values())
    parts = [
        f"Version `{digest[:16]}`. Learnt from {len(learnt):,} questions and {len(sentences):,} sentences of articles; "
        f"measured on the {len(heldout)} questions held out, and on the sample's {len(sample)}, neither of which it has seen.",
        f"**Lost**: of the {needing} held-out questions that need passages {len(lost)} are answered without "
        f"({percent(len(lost), needing)}). **Spared**: of {idle} messages that need none, {spared} ({percent(spared, idle)}). "
        f"In mixed traffic {100 * mixed:.0f} % of the retrievals are spared: a conversation there is a greeting, a question, a "
        "follow-up, a remark and thanks, and in one of four somebody is angry, or gives the model an order "
        f"({100 * asking:.0f} % of the messages need passages).",
        "### Whether passages are needed (held out)\n\n" + needs_table(weights, heldout),
        "By kind:\n\n" + kinds_table(weights, heldout),
        "### Which agent (held out)\n\nQuestions that are one agent's, by themselves; a follow-up goes to the agent of what it follows up.\n\n"
        + agents_table(weights, [e for e in heldout if e.agent in weights.agents]),
    ]
    if sample:
        missed = sum(not need for _, need, _ in decided(weights, sample))
        parts.append(
            f"### The sample's questions\n\nAll {len(sample)} of `config/sample/questions.jsonl` need passages; {missed} "
            f"lose them ({percent(missed, len(sample))}).\n\n" + agents_table(weights, sample)
        )
    return "\n\n".join(parts)


def replace(path, text):
    """Puts the text between the two marks of a document."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


# What no sensible question looks like, and what the two sides might read differently.
ODD = [
    "", " ", "\n\t", "a", "？", "ＬＴ２５０９ １１８８３４　到哪了", "Where’s “my” parcel…", "ÀÉÎÕÜ ß ẞ İstanbul ΑΣ Σ", "e\u0301 é",
    "a\u200bb\ufeffc\u00add", "👍🏽👩‍👩‍👧", "1234567 12 1", "退貨 ﾊﾟｿｺﾝ ① ﬁn", "\u0000\u0007", "Привет", "한국어 배송", "x" * 600, "长" * 300 + "短" * 300,
]


def golden(weights, heldout):
    """A line for the tests: a text, its hashes (the first, the last, their number, their sum) and what the weights say."""
    lines = []
    for text in ODD + [example.text for example in heldout[:: max(1, len(heldout) // 80)]]:
        found = hashes(text)
        need, agents = weights.scores(text)
        line = {"text": text, "count": len(found), "first": found[0], "last": found[-1], "sum": sum(found)}
        lines.append(json.dumps(line | {"need": need, "agents": agents}, ensure_ascii=False))
    return "\n".join(lines) + "\n"
