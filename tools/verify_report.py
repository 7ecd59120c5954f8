#!/usr/bin/env python3
"""Recomputes a comparison from its raw samples and says where the record disagrees.

Usage: verify_report.py RECORD.json --samples SAMPLES.jsonl [--tolerance 1e-6]

RECORD.json is the output of `pare compare --json` (or --output). SAMPLES.jsonl holds one line per text and model,
{"model", "row", "label", "prediction", "scores": [...], "logits": [...]}, and one per latency run,
{"model", "latency_ms", "order"}. Of models that write text a line has {"model", "row", "answer", "ids", "reference", "scored", "nll", "forced",
"same_top", "kl"}.
Labels and predictions are names or indices into the record's `labels`. Standard library only; shares no code with pare.
Exit code: 0 agrees, 1 disagrees, 2 cannot read.
"""
import argparse
import json
import math
import re
import statistics
import sys
from collections import Counter
from fractions import Fraction

Z = statistics.NormalDist().inv_cdf(0.975)


class Check:
    def __init__(self, tolerance):
        self.tolerance, self.checked, self.bad = tolerance, 0, []

    def value(self, where, found, expected):
        """A field that is absent or null is not a disagreement; a wrong one is."""
        if found is None:
            return
        self.checked += 1
        if not isinstance(found, (int, float)) or abs(found - expected) > self.tolerance * max(1, abs(expected)):
            self.bad.append(f"{where}: record {found!r}, recomputed {expected!r}")

    def pair(self, where, found, expected):
        if found is not None:
            for end, a, b in zip(("low", "high"), found, expected):
                self.value(f"{where}.{end}", a, b)

    def true(self, where, holds, text):
        self.checked += 1
        if not holds:
            self.bad.append(f"{where}: {text}")


def get(node, path):
    for step in path.split("."):
        if not isinstance(node, dict):
            return None
        node = node.get(step)
    return node


def wilson(k, n):
    p, z2 = k / n, Z * Z
    half = Z * math.sqrt((p * (1 - p) + z2 / (4 * n)) / n)
    return [max(0, (p + z2 / (2 * n) - half) / (1 + z2 / n)), min(1, (p + z2 / (2 * n) + half) / (1 + z2 / n))]


def newcombe(both, lost, won, neither):
    """Paired score interval of (candidate - original), Newcombe 1998, method 10."""
    n = both + lost + won + neither
    old, new = (both + lost) / n, (both + won) / n
    (old_low, old_high), (new_low, new_high) = wilson(both + lost, n), wilson(both + won, n)
    product = (both + lost) * (won + neither) * (both + won) * (lost + neither)
    cross = both * neither - lost * won
    if cross > 0:
        cross = max(0, cross - n / 2)
    phi = cross / math.sqrt(product) if product else 0
    a, b, c, d = new - new_low, old_high - old, new_high - new, old - old_low
    low = math.sqrt(max(0, a * a - 2 * phi * a * b + b * b))
    high = math.sqrt(max(0, c * c - 2 * phi * c * d + d * d))
    return [max(-1, new - old - low), min(1, new - old + high)]


def mcnemar(b, c):
    n, k = b + c, max(b, c)
    tail, term = 0, math.comb(n, k)  # whole numbers: exact
    for j in range(k, n + 1):
        tail += term
        term = term * (n - j) // (j + 1)
    return float(min(Fraction(1), Fraction(2 * tail, 2**n)))


def percentile(ordered, p):
    position = p * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def log_softmax(row):
    top = max(row)
    total = top + math.log(math.fsum(math.exp(x - top) for x in row))
    return [x - total for x in row]


def kl(base, candidate):
    p, q = log_softmax(base), log_softmax(candidate)
    return max(0, math.fsum(math.exp(a) * (a - b) for a, b in zip(p, q)))


def check_quality(check, where, model, items, classes):
    labelled = [i for i in items if i["label"] is not None]
    n, right = len(labelled), sum(i["prediction"] == i["label"] for i in labelled)
    confidence = [i["scores"][i["prediction"]] for i in items]
    check.value(f"{where}.confidence.mean", get(model, "confidence.mean"), math.fsum(confidence) / len(items))
    check.value(f"{where}.confidence.min", get(model, "confidence.min"), min(confidence))
    check.value(f"{where}.confidence.max", get(model, "confidence.max"), max(confidence))
    if not n:
        check.true(f"{where}.accuracy", model.get("accuracy") is None, "given without labels")
        return
    check.value(f"{where}.accuracy.n", get(model, "accuracy.n"), n)
    check.value(f"{where}.accuracy.correct", get(model, "accuracy.correct"), right)
    check.value(f"{where}.accuracy.value", get(model, "accuracy.value"), right / n)
    check.pair(f"{where}.accuracy.ci95", get(model, "accuracy.ci95"), wilson(right, n))
    sums = [0, 0, 0]
    for k in range(classes):
        hits = sum(i["label"] == k == i["prediction"] for i in labelled)
        support, predicted = sum(i["label"] == k for i in labelled), sum(i["prediction"] == k for i in labelled)
        precision, recall = (hits / predicted if predicted else 0), (hits / support if support else 0)
        f1 = 2 * precision * recall / (precision + recall) if hits else 0
        sums = [s + x for s, x in zip(sums, (precision, recall, f1))]
        row = (model.get("per_class") or [None] * classes)[k]
        if row:
            for name, expected in (("precision", precision), ("recall", recall), ("f1", f1), ("support", support)):
                check.value(f"{where}.per_class.{k}.{name}", row.get(name), expected)
        for j, count in enumerate((model.get("confusion") or [[]] * classes)[k]):
            expected = sum(i["label"] == k and i["prediction"] == j for i in labelled)
            check.value(f"{where}.confusion.{k}.{j}", count, expected)
    for name, total in zip(("precision_macro", "recall_macro", "f1_macro"), sums):
        check.value(f"{where}.{name}", model.get(name), total / classes)
    brier = math.fsum((s - (k == i["label"])) ** 2 for i in labelled for k, s in enumerate(i["scores"])) / n
    check.value(f"{where}.brier", model.get("brier"), brier)
    nll = -math.fsum(math.log(max(i["scores"][i["label"]], 2**-52)) for i in labelled) / n
    check.value(f"{where}.nll", model.get("nll"), nll)
    ordered = sorted(labelled, key=lambda i: i["scores"][i["prediction"]])  # stable
    ece = 0
    for b in range(15):
        part = ordered[b * n // 15 : (b + 1) * n // 15]
        ece += abs(math.fsum((i["label"] == i["prediction"]) - i["scores"][i["prediction"]] for i in part)) / n
    check.value(f"{where}.ece", model.get("ece"), ece)


def check_pairs(check, where, model, base, items):
    against = model.get("against_base") or {}
    n = len(items)
    changed = sum(a["prediction"] != b["prediction"] for a, b in zip(base, items))
    check.value(f"{where}.identical_rate", against.get("identical_rate"), (n - changed) / n)
    shift = [b["scores"][b["prediction"]] - a["scores"][a["prediction"]] for a, b in zip(base, items)]
    check.value(f"{where}.confidence_delta_mean", against.get("confidence_delta_mean"), math.fsum(shift) / n)
    if against.get("kl_mean") is not None and all("logits" in i for i in base + items):
        distances = [kl(a["logits"], b["logits"]) for a, b in zip(base, items)]
        check.value(f"{where}.kl_mean", against["kl_mean"], math.fsum(distances) / n)
        check.value(f"{where}.kl_max", against.get("kl_max"), max(distances))
    pairs = [(a["prediction"] == a["label"], b["prediction"] == b["label"], a["prediction"] != b["prediction"])
             for a, b in zip(base, items) if a["label"] is not None]
    if not pairs:
        return
    both, neither = sum(a and b for a, b, _ in pairs), sum(not a and not b for a, b, _ in pairs)
    lost, won = sum(a and not b for a, b, _ in pairs), sum(b and not a for a, b, _ in pairs)
    other = sum(c and not a and not b for a, b, c in pairs)
    check.value(f"{where}.flips.right_to_wrong", get(against, "flips.right_to_wrong"), lost)
    check.value(f"{where}.flips.wrong_to_right", get(against, "flips.wrong_to_right"), won)
    check.value(f"{where}.flips.wrong_to_other_wrong", get(against, "flips.wrong_to_other_wrong"), other)
    check.value(f"{where}.flips.changed", get(against, "flips.changed"), lost + won + other)
    check.value(f"{where}.mcnemar_p", against.get("mcnemar_p"), mcnemar(lost, won))
    check.value(f"{where}.accuracy_delta.value", get(against, "accuracy_delta.value"), (won - lost) / len(pairs))
    check.pair(f"{where}.accuracy_delta.ci95", get(against, "accuracy_delta.ci95"), newcombe(both, lost, won, neither))
    if both + lost:
        relative = (both + won) / (both + lost)
        check.value(f"{where}.relative_accuracy.value", get(against, "relative_accuracy.value"), relative)


def likeness(a, b):
    """1 - edit distance / longer length, by the textbook recurrence."""
    row = list(range(len(a) + 1))
    for i, y in enumerate(b, 1):
        before, row[0] = row[0], i
        for j, x in enumerate(a, 1):
            before, row[j] = row[j], min(before + (x != y), row[j] + 1, row[j - 1] + 1)
    return 1 - row[-1] / max(len(a), len(b), 1)


def words(text):
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).split()


def f1(shared, reference, answer):
    return 2 * shared / (reference + answer) if shared else 0


def rouge(reference, answer):
    a, b, out = words(reference), words(answer), []
    for n in (1, 2):
        x = Counter(zip(*(a[k:] for k in range(n))))
        y = Counter(zip(*(b[k:] for k in range(n))))
        out.append(f1(sum((x & y).values()), sum(x.values()), sum(y.values())))
    row = [0] * (len(b) + 1)
    for x in a:
        before = 0
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], before + 1 if x == y else max(row[j], row[j - 1])
    return [*out, f1(row[-1], len(a), len(b))]


def check_text(check, where, model, base, items):
    total = lambda key, rows: math.fsum(i[key] for i in rows)
    if model.get("perplexity"):
        check.value(f"{where}.perplexity.value", model["perplexity"]["value"], math.exp(total("nll", items) / total("scored", items)))
    referred = [k for k, i in enumerate(items) if i.get("reference") is not None]
    scores = [[rouge(i["reference"], i["answer"]) for i in (rows[k] for k in referred)] for rows in (base, items)]
    for k, kind in enumerate(("rouge1", "rouge2", "rougeL")):
        if referred:
            old, new = (math.fsum(row[k] for row in rows) / len(referred) for rows in scores)
            check.value(f"{where}.{kind}", get(model, f"rouge.{kind}.value"), new)
            check.value(f"{where}.{kind} delta", get(model, f"against_base.rouge_delta.{kind}.value"), new - old)
    if items is base:
        return
    alike = [likeness(a["answer"], b["answer"]) for a, b in zip(base, items)]
    sets = [(set(a["ids"]), set(b["ids"])) for a, b in zip(base, items)]
    jaccard = [len(a & b) / len(a | b) if a | b else 1 for a, b in sets]
    for key, x in (("char", alike), ("token_jaccard", jaccard)):
        for name, expected in (("mean", math.fsum(x) / len(x)), ("min", min(x)), ("max", max(x))):
            check.value(f"{where}.{key}.{name}", get(model, f"similarity.{key}.{name}"), expected)
    same = sum(a["answer"] == b["answer"] and a["ids"] == b["ids"] for a, b in zip(base, items))
    check.value(f"{where}.exact", get(model, "similarity.exact.value"), same / len(items))
    check.pair(f"{where}.exact.ci95", get(model, "similarity.exact.ci95"), wilson(same, len(items)))
    forced = total("forced", items)
    check.value(f"{where}.same_top", get(model, "against_base.same_top.value"), total("same_top", items) / forced)
    check.value(f"{where}.kl_mean", get(model, "against_base.kl_mean"), total("kl", items) / forced)
    lengths = [sum(len(i["answer"]) for i in rows) for rows in (base, items)]
    check.value(f"{where}.len_ratio", get(model, "against_base.len_ratio.value"), lengths[1] / lengths[0])
    if total("scored", items):
        change = (total("nll", items) - total("nll", base)) / total("scored", items)
        check.value(f"{where}.perplexity_ratio", get(model, "against_base.perplexity_ratio.value"), math.exp(change))


def check_latency(check, where, model, ms, base_ms):
    latency = model.get("latency_ms") or {}
    if not ms:
        check.true(f"{where}.latency_ms", latency.get("median") is None, "given without samples")
        return
    ordered = sorted(ms)
    check.value(f"{where}.latency_ms.n", latency.get("n"), len(ms))
    check.value(f"{where}.latency_ms.mean", latency.get("mean"), math.fsum(ms) / len(ms))
    check.value(f"{where}.latency_ms.std", latency.get("std"), statistics.stdev(ms) if len(ms) > 1 else 0)
    check.value(f"{where}.latency_ms.min", latency.get("min"), ordered[0])
    check.value(f"{where}.latency_ms.max", latency.get("max"), ordered[-1])
    check.value(f"{where}.latency_ms.median", latency.get("median"), statistics.median(ms))
    for key, p, needed in (("p90", 0.90, 29), ("p95", 0.95, 59), ("p99", 0.99, 299)):
        if len(ms) < needed:
            said = f"given from {len(ms)} runs, {needed} needed"
            check.true(f"{where}.latency_ms.{key}", latency.get(key) is None, said)
        else:
            check.value(f"{where}.latency_ms.{key}", latency.get(key), percentile(ordered, p))
    speedup = get(model, "against_base.speedup.value")
    if speedup is not None and base_ms:
        check.value(f"{where}.speedup.value", speedup, statistics.median(base_ms) / statistics.median(ms))
        ends = get(model, "against_base.speedup.ci95")
        holds = not ends or ends[0] * 0.999 <= speedup <= ends[1] * 1.001
        check.true(f"{where}.speedup.ci95", holds, f"{ends} without {speedup}")


def index(labels, name):
    return labels.index(name) if isinstance(name, str) else name


def read_samples(path, labels):
    items, ms = {}, {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if "latency_ms" in row:
                ms.setdefault(row["model"], []).append((row.get("order", 0), row["latency_ms"]))
            else:
                if "prediction" in row:
                    row["label"], row["prediction"] = index(labels, row.get("label")), index(labels, row["prediction"])
                    if row["label"] is not None and row["label"] < 0:
                        row["label"] = None
                items.setdefault(row["model"], []).append(row)
    for rows in items.values():
        rows.sort(key=lambda row: row["row"])
    return items, {model: [x for _, x in sorted(runs)] for model, runs in ms.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record")
    parser.add_argument("--samples", required=True)
    parser.add_argument("--tolerance", type=float, default=1e-6)
    options = parser.parse_args()
    try:
        with open(options.record, encoding="utf-8") as file:
            record = json.load(file)
        items, ms = read_samples(options.samples, record.get("labels") or [])
    except (OSError, ValueError, KeyError) as error:
        print(f"verify_report: {error}", file=sys.stderr)
        return 2
    check = Check(options.tolerance)
    models = record["models"]
    base = items.get(models[0]["name"], [])
    classes = len(record.get("labels") or []) or len(models[0].get("per_class") or [])
    for k, model in enumerate(models):
        where, own = model["name"], items.get(model["name"], [])
        check.true(where, bool(own), "has no samples")
        text = record.get("outcome") == "text"
        if own and not text:
            check_quality(check, where, model, own, classes)
        if k and own:
            same = [i["row"] for i in own] == [i["row"] for i in base]
            check.true(where, same, "answers other rows than the original")
            if not same:
                continue
            if not text:
                check_pairs(check, where, model, base, own)
        if own and text:
            check_text(check, where, model, base, own)
        check_latency(check, where, model, ms.get(where, []), ms.get(models[0]["name"], []))
        size = model.get("size_bytes")
        if size:
            check.value(f"{where}.compression", model.get("compression"), models[0]["size_bytes"] / size)
            if record.get("f32_bytes"):
                share = 100 * size / record["f32_bytes"]
                check.value(f"{where}.size_percent_of_f32", model.get("size_percent_of_f32"), share)
    for line in check.bad:
        print(line)
    print(f"{check.checked} values checked, {len(check.bad)} disagree")
    return 1 if check.bad else 0


if __name__ == "__main__":
    sys.exit(main())
