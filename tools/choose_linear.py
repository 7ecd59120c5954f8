#!/usr/bin/env python3
"""Chooses the options of a linear classifier on texts that are held out of its training set: no test set is read.

usage: choose_linear.py PARE WORK NAME=TRAIN[,VALID][,key=value...] ...

PARE is build/pare, WORK a folder for files. TRAIN and VALID are .csv files with a header. Without VALID a fifth of TRAIN
is held out: the rows whose text has the least SHA-256. Keys: text, label (columns), bits=18:20 (tried), bytes=5000:10000:0
(budgets, the first is the one aimed at; 0: no limit), sentences=N (TRAIN also has parts of its sentences, as SST-2: N
sentences are held out, and every text that occurs in them alone is not learnt from).

Steps, fixed beforehand:
 1. at the first budget, every c of 1, 3, 10, 30 with every bits: the most right wins; among equals fewer bits, smaller c;
 2. with these, every budget: the smallest wins that is at most a quarter of a point below the best.
Prints one JSON object per run and one with what was chosen.
"""
import csv, hashlib, json, os, subprocess, sys
from concurrent.futures import ThreadPoolExecutor

C = (1, 3, 10, 30)
SLACK = 0.0025


def rows(path, text, label):
    with open(path, newline="", encoding="utf-8") as f:
        return [(r[text], r[label]) for r in csv.DictReader(f)]


def write(path, data):
    with open(path, "w", newline="", encoding="utf-8") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow(("text", "label"))
        w.writerows(data)


def by_hash(row):
    return hashlib.sha256(row[0].encode()).digest()


def spans(words):
    return {words[i:j] for i in range(len(words)) for j in range(i + 1, len(words) + 1)}


def split_sentences(data, n):
    """A sentence is a text of ten words or more that is part of no other text."""
    within, whole = set(), []
    for row in sorted(data, key=lambda r: -len(r[0].split())):
        words = tuple(row[0].split())
        if words not in within:
            whole.append(row)
            within |= spans(words)
    out = sorted((r for r in whole if len(r[0].split()) >= 10), key=by_hash)[:n]
    held, stays = {r[0] for r in out}, set()
    for text, _ in whole:
        if text not in held:
            stays |= spans(tuple(text.split()))
    return [r for r in data if r[0] not in held and tuple(r[0].split()) in stays], out


def split(data, sentences):
    if sentences:
        return split_sentences(data, sentences)
    order = sorted(data, key=by_hash)
    n = len(order) // 5
    held = {r[0] for r in order[:n]}
    return [r for r in data if r[0] not in held], [r for r in data if r[0] in held]


def choose(pare, work, name, train, valid, options):
    text, label = options.get("text", "text"), options.get("label", "label")
    learn = rows(train, text, label)
    if valid:
        held = rows(valid, text, label)
    else:
        learn, held = split(learn, int(options.get("sentences", 0)))
    files = [os.path.join(work, f"{name}.{part}.csv") for part in ("learn", "held")]
    write(files[0], learn)
    write(files[1], held)

    def run(how):
        bits, c, size = how
        out = os.path.join(work, f"{name}.{bits}.{c}.{size}")
        limit = ["--max-bytes", str(size)] if size else []
        made = json.loads(subprocess.run(
            [pare, "train", "--data", files[0], "--valid", files[1], "--bits", str(bits), "--c", str(c), *limit,
             "--precision", "8", "--threads", "1", "-o", out, "--json"], check=True, stdout=subprocess.PIPE).stdout)
        result = {"set": name, "bits": bits, "c": c, "max_bytes": size, "bytes": made["bytes"],
                  "correct": made["accuracy"]["correct"], "n": made["accuracy"]["n"],
                  "accuracy": round(made["accuracy"]["value"], 4)}
        print(json.dumps(result), flush=True)
        return result

    budgets = [int(b) for b in options.get("bytes", "0").split(":")]
    with ThreadPoolExecutor(2) as pool:
        grid = list(pool.map(run, [(int(b), c, budgets[0]) for b in options.get("bits", "20").split(":") for c in C]))
        best = max(grid, key=lambda r: (r["correct"], -r["bits"], -r["c"]))
        ladder = [best] + list(pool.map(run, [(best["bits"], best["c"], size) for size in budgets[1:]]))
    most = max(r["accuracy"] for r in ladder)
    chosen = min((r for r in ladder if r["accuracy"] >= most - SLACK), key=lambda r: r["bytes"])
    print(json.dumps({"set": name, "learnt": len(learn), "chosen": chosen}), flush=True)


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    pare, work = sys.argv[1:3]
    os.makedirs(work, exist_ok=True)
    for spec in sys.argv[3:]:
        name, rest = spec.split("=", 1)
        parts = rest.split(",")
        plain = [p for p in parts if "=" not in p] + [None]
        choose(pare, work, name, plain[0], plain[1], dict(p.split("=", 1) for p in parts if "=" in p))


if __name__ == "__main__":
    main()
