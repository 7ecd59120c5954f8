#!/usr/bin/env python3
"""Linear text classifiers against fastText and scikit-learn: accuracy, file size, and texts per second, one text at a
time on one thread, in interleaved rounds of one run.

usage: linear.py PARE MICRO_LINEAR WORK NAME=TRAIN,TEST[,TEXT[,LABEL]][,OPTION...] ...

PARE is build/pare, MICRO_LINEAR build/micro_linear, WORK a folder for files. TRAIN and TEST are .csv files with a header;
TEXT and LABEL name their columns. An OPTION begins with -- and goes to `pare train`, as --bits=22 or --c=1. With
FASTTEXT in the environment, the path of its program, `fasttext predict` on one stream is timed too.

fastText: 10 epochs, learning rate 0.5, word 2-grams, 50 dimensions, 200,000 buckets. scikit-learn: TF-IDF of words and
2-grams, sublinear, and logistic regression with C = 10.
"""
import csv, json, os, statistics, subprocess, sys, time
os.environ.setdefault("OMP_NUM_THREADS", "1"); os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import fasttext
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

ROUNDS = 5


def rows(path, text, label):
    with open(path, newline="", encoding="utf-8") as f:
        return [(r[text], r[label].replace(" ", "_")) for r in csv.DictReader(f)]


def accuracy(answers, data):
    return sum(a == b for a, (_, b) in zip(answers, data)) / len(data)


def seconds(command, stdout):
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=stdout, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def one_set(pare, micro, work, name, train, test, text, label, options):
    learn, check = rows(train, text, label), rows(test, text, label)
    lines = [" ".join(t.split()) for t, _ in check]
    files = {k: os.path.join(work, f"{name}.{k}") for k in ("ft.txt", "ft.bin", "lines.txt", "model")}
    with open(files["ft.txt"], "w") as f:
        f.writelines(f"__label__{b} {' '.join(a.split())}\n" for a, b in learn)
    with open(files["lines.txt"], "w") as f:
        f.writelines(line + "\n" for line in lines)
    ft = fasttext.train_supervised(files["ft.txt"], epoch=10, lr=0.5, wordNgrams=2, dim=50, thread=1, verbose=0,
                                   bucket=200000, seed=1)
    ft.save_model(files["ft.bin"])
    sk = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10, max_iter=200))
    sk.fit([a for a, _ in learn], [b for _, b in learn])
    made = subprocess.run([pare, "train", "--data", train, "--text-column", text, "--label-column", label, "-o",
                           files["model"], "--json", *options], check=True, stdout=subprocess.PIPE)
    made = json.loads(made.stdout)

    own = []  # of the processes' own time, which other programs on the machine disturb less
    rates = {"pare": [], "fastText binding": [], "scikit-learn": [], "pare classify": [], "fasttext predict": []}
    ours = None
    for _ in range(ROUNDS):
        ours = json.loads(subprocess.run([micro, files["model"], test, text, label], check=True,
                                         stdout=subprocess.PIPE).stdout)
        rates["pare"].append(ours["items_per_s"])
        start, own_start = time.perf_counter(), time.process_time()
        answers = [ft.f.predict(line + "\n", 1, 0.0, "strict")[0][1] for line in lines]
        rates["fastText binding"].append(len(lines) / (time.perf_counter() - start))
        own.append((ours["cpu_items_per_s"], len(lines) / (time.process_time() - own_start)))
        start = time.perf_counter()
        for line in lines[:100]:
            sk.predict([line])
        rates["scikit-learn"].append(100 / (time.perf_counter() - start))
        # Programs are started: a hundred passes over the texts, so that starting counts for little.
        many = os.path.join(work, f"{name}.many.txt")
        if not os.path.exists(many):
            with open(many, "w") as f:
                f.writelines(line + "\n" for _ in range(100 if len(lines) < 2000 else 20) for line in lines)
        count = sum(1 for _ in open(many))
        with open(os.devnull, "w") as null:
            rates["pare classify"].append(
                count / seconds([pare, "classify", files["model"], "--input", many, "--threads", "1"], null))
            if os.environ.get("FASTTEXT"):
                rates["fasttext predict"].append(
                    count / seconds([os.environ["FASTTEXT"], "predict", files["ft.bin"], many], null))
    os.remove(many)
    median = {k: statistics.median(v) for k, v in rates.items() if v}
    ratio = [a / b for a, b in zip(rates["pare"], rates["fastText binding"])]
    stream = [a / b for a, b in zip(rates["pare classify"], rates["fasttext predict"])]
    print(json.dumps({
        "set": name, "texts": len(check),
        "accuracy": {"pare": ours["accuracy"],
                     "fastText": round(accuracy([a[len("__label__"):] for a in answers], check), 4),
                     "scikit-learn": round(accuracy(sk.predict([a for a, _ in check]), check), 4)},
        "bytes": {"pare": made["bytes"], "fastText": os.path.getsize(files["ft.bin"])},
        "items_per_s": {k: round(v) for k, v in median.items()},
        "pare_over_fasttext_binding": {"median": round(statistics.median(ratio), 2), "least": round(min(ratio), 2)},
        "own_time": {"pare": round(statistics.median(a for a, _ in own)),
                     "fastText binding": round(statistics.median(b for _, b in own)),
                     "ratio": round(statistics.median(a / b for a, b in own), 2)},
        "pare_classify_over_fasttext_predict": round(statistics.median(stream), 2) if stream else None,
        "load_ms": ours["load_ms"], "open_ms": ours["open_ms"], "train_s": round(made["seconds"], 1)}), flush=True)


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    pare, micro, work = sys.argv[1:4]
    os.makedirs(work, exist_ok=True)
    for spec in sys.argv[4:]:
        name, rest = spec.split("=", 1)
        parts = rest.split(",")
        options = [x for part in parts if part.startswith("--") for x in part.split("=", 1)]
        plain = [part for part in parts if not part.startswith("--")]
        text, label = (plain[2:] + ["text", "label"][len(plain) - 2:])[:2]
        one_set(pare, micro, work, name, plain[0], plain[1], text, label, options)


if __name__ == "__main__":
    main()
