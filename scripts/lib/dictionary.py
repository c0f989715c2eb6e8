"""Kept answers as workers write them (KeptAnswer.encoded), made of articles: to train a dictionary for compressing them."""

import base64
import json
import random
import re
import sys
from pathlib import Path


def passages(folder: Path, others: bool) -> list[tuple[str, str, str]]:
    """Of every second article, or of the others: id, title, text."""
    found = []
    for place, path in enumerate(sorted(folder.glob("**/*.md"))):
        if place % 2 != others:
            continue
        text = path.read_text(encoding="utf-8")
        title = text.split("\n")[0].strip("# ")
        parts = [part for part in text.split("\n\n") if len(part) > 80]
        found += [(f"{path.relative_to(folder)}#{number}", title, part) for number, part in enumerate(parts)]
    return found


def answer(draw: random.Random, known: list[tuple[str, str, str]]) -> bytes:
    chosen = draw.sample(known, 4)
    sentences = re.split(r"(?<=[.。])\s*", chosen[0][2])[: draw.randint(1, 4)]
    return json.dumps(
        {
            "v": 1,
            "made": 1_795_000_000_000 + draw.randrange(10**11),
            "fresh_until": 1_795_000_600_000 + draw.randrange(10**11),
            "took": draw.randrange(5000),
            "answer": " ".join(sentences) + " [1]",
            "model": draw.choice(["gpt-4o-mini", "qwen2.5", "llama3.1:8b", "mistral-small"]),
            "finish_reason": "stop",
            "usage": [draw.randrange(2000), draw.randrange(300), 0],
            "sources": [
                {"id": name, "score": round(draw.random(), 6), "title": title, "text": text} for name, title, text in chosen
            ],
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def write_answers(folder: Path, output: Path, others: bool) -> None:
    draw = random.Random(1)
    output.mkdir(exist_ok=True)
    languages = [passages(language, others) for language in sorted(folder.iterdir()) if language.is_dir()]
    for number in range(400 if others else 1000):
        (output / f"{number:04}.json").write_bytes(answer(draw, draw.choice(languages)))


def write_source(dictionary: Path, output: Path) -> None:
    text = base64.b64encode(dictionary.read_bytes()).decode()
    output.write_text(
        f"""// swift-format-ignore-file
// Made by scripts/train-dictionary from config/sample/knowledge.

/// What kept answers have in common, for ``RedisAnswers``.
enum AnswerDictionary {{
    /// In base64, since a literal of an array takes minutes to compile.
    static let text: StaticString = "{text}"
}}
""",
        encoding="utf-8",
    )


if sys.argv[1] == "answers":
    write_answers(Path(sys.argv[2]), Path(sys.argv[3]), others=len(sys.argv) > 4)
else:
    write_source(Path(sys.argv[2]), Path(sys.argv[3]))
