#!/usr/bin/env python3
"""Writes tests/golden/text.json: ROUGE as rouge_score computes it, and edit distances by the textbook recurrence.

Usage: golden_text.py > tests/golden/text.json
Needs rouge_score. Texts: rows of data/ag_news_test.csv against shuffled, cut and joined rows, and odd cases.
"""
import csv
import json
import random
from pathlib import Path

from rouge_score import rouge_scorer

ODD = [
    ("", ""), ("a", ""), ("", "b"), ("...", "!"), ("one", "one"), ("One, two.", "one TWO"), ("a b a b a", "b a b a b b"),
    ("caf\u00e9 cr\u00e8me 12", "cafe creme 12"), ("300 \u212a and \u0130stanbul", "300 k and i stanbul"),
    ("the the the the", "the cat the"), ("\u65e5\u672c\u8a9e", "\u65e5\u672c"), ("tab\tand\nline", "tab and  line"),
    ("don't won't", "dont wont"), ("x" * 70 + " y", "x" * 69 + " y"), ("a-b_c", "a b c"),
]


def distance(a, b):
    row = list(range(len(a) + 1))
    for i, y in enumerate(b, 1):
        before, row[0] = row[0], i
        for j, x in enumerate(a, 1):
            before, row[j] = row[j], min(before + (x != y), row[j] + 1, row[j - 1] + 1)
    return row[-1]


def main():
    rng = random.Random(11)
    with open(Path(__file__).parent.parent / "data/ag_news_test.csv", encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in list(csv.DictReader(file))[:40]]
    pairs = list(ODD)
    for k in range(0, 40, 2):
        a, b = texts[k].split(), texts[k + 1].split()
        changed = [w for w in a if rng.random() < 0.8] + b[: rng.randrange(6)]
        if k % 3 == 0:
            rng.shuffle(changed)
        pairs.append((texts[k], " ".join(changed)))
        pairs.append((texts[k], texts[k + 1]))
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    out = []
    for a, b in pairs:
        scores = scorer.score(a, b)  # target, prediction
        longer = max(len(a), len(b))
        out.append({"reference": a, "answer": b, "char": 1 - distance(a, b) / longer if longer else 1,
                    **{k: [float(s.precision), float(s.recall), float(s.fmeasure)] for k, s in scores.items()}})
    print(json.dumps(out, indent=0, ensure_ascii=True))


if __name__ == "__main__":
    main()
