#!/usr/bin/env python3
"""pare beside other engines, in turns, on what bench/peers/setup made. Prints JSON lines to --json (or nowhere) and one
Markdown table. Run it on a machine that does nothing else; `run` starts it with the environment of WORK.
"""
import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time

from lines import LOAD, lines
from limits import Limits
from participants import Failed, Llama, Pare, Worker, decoded, run_json
from question import QUESTION, closeness
from results import judge, markdown, summary

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
PAUSE_S = 0.3  # between turns: the threads of some engines spin for a while after they answer
IDLE_SHARE = 0.02  # more of a core than this while another is timed is said
# Least cosine with the original's answers: rounding moves answers, another model's have none. Static ranges from random
# rows, of models that have learnt nothing, are coarse.
CLOSE = {"f32": 0.9999, "bf16": 0.98, "int8": 0.95, "static int8": 0.7, "4-bit": 0.6}


class Setting:
    """Where things are."""

    def __init__(self, args):
        self.work, self.threads = os.path.abspath(args.work), args.threads
        self.pare, self.build = os.path.join(args.build, "pare"), args.build
        self.texts, self.ids = self.below("texts.csv"), self.below("texts.ids.json")

    def below(self, *parts):
        return os.path.join(self.work, *parts)

    def model(self, name):
        return self.below("models", name)

    def form(self, name):
        return self.below("forms", name)

    def ours(self, name):
        return self.below("pare", name)

    def llama(self, name):
        return self.below("llama", "build", "bin", name)


def say(text):
    print(text, file=sys.stderr, flush=True)


def attempt(name, take, *arguments):
    """What take gives; one workload that fails is said and does not lose the others."""
    try:
        return take(*arguments)
    except (Failed, OSError, subprocess.SubprocessError) as e:
        say(f"{name}: {e}")
        return None


def make(setting, line, spec):
    spec = {"model": line.model, **spec}
    if "pare" in spec:
        return Pare(setting, spec["pare"])
    return Llama(setting, spec) if "llama" in spec else Worker(setting, spec)


def bits_of(line, spec):
    if "pare" in spec:
        scheme = line.scheme
    else:
        form = spec.get("form", spec.get("llama", ""))
        scheme = ("4-bit" if "q4_0" in form else "int8" if any(x in form for x in ("int8", "q8_0")) else
                  spec.get("precision", "f32"))
    scheme = "static int8" if "nncf" in spec.get("form", "") else scheme
    return {"float32": "f32", "nf4": "4-bit", "int4": "4-bit"}.get(scheme, scheme)


class Originals:
    """The original's answers, computed once per model in a process of its own."""

    def __init__(self, setting):
        self.setting, self.known = setting, {}

    def of(self, model):
        if model not in self.known:
            spec = {"peer": "reference", "model": self.setting.model(model), "threads": self.setting.threads}
            out = run_json([sys.executable, os.path.join(HERE, "worker.py"), json.dumps(spec)])
            self.known[model] = decoded(out[0]["answer"])
        return self.known[model]


def check(line, spec, participant, originals):
    """A participant that computes something else would make its ratio meaningless."""
    original = originals.of(spec.get("model", line.model))
    if isinstance(participant, Pare):
        answer = participant.answer(QUESTION.tolist(), "logits" in original)
    elif isinstance(participant, Llama):
        answer = participant.answer(QUESTION.tolist())
    else:
        answer = participant.answer()
    near, kind = closeness(answer, original)
    least = CLOSE[bits_of(line, spec)]
    if not near >= least:
        raise Failed(f"answers something else: cosine of its {kind} with the original's {near:.4f}, expected {least}")
    return round(near, 5)


def open_all(setting, line, originals):
    """{name: participant}, {name: cosine}, {name: why it is not timed}. Without ours there is no line."""
    there, near, absent = {}, {}, {}
    for name, spec in {"pare": {"pare": line.ours}, **line.peers}.items():
        participant = None
        try:
            participant = make(setting, line, spec)
            near[name] = check(line, spec, participant, originals)
            there[name] = participant
        except (Failed, ValueError, OSError) as e:
            absent[name] = str(e)
            say(f"  {name}: {e}")
            if participant:
                participant.close()
            if name == "pare":
                break
    return there, near, absent


def one_turn(name, there, seconds, busy):
    time.sleep(PAUSE_S)
    before, start = {n: p.cpu_seconds() for n, p in there.items()}, time.perf_counter()
    result = there[name].measure(seconds)
    spent = time.perf_counter() - start
    for n, p in there.items():
        share = (p.cpu_seconds() - before[n]) / spent
        if n != name and share > IDLE_SHARE:
            busy.append({"idle": n, "while": name, "cores": round(share, 3)})
    return result


def take_turns(setting, line, args, originals, limits):
    say(f"{line.name}: {line.title}")
    there, near, absent = open_all(setting, line, originals)
    if "pare" not in there:
        for p in there.values():
            p.close()
        return {"line": line.name, "title": line.title, "absent": absent}
    if args.check:
        say("  " + ", ".join(f"{n} {c:.4f}" for n, c in near.items()))
        for p in there.values():
            p.close()
        return {"line": line.name, "title": line.title, "cosine": near, "absent": absent}
    order, rounds, busy, shares = list(there), [], [], []
    try:
        for p in there.values():
            p.warm_up()
        for _ in range(args.rounds):
            random.shuffle(order)
            found = {name: one_turn(name, there, args.seconds, busy) for name in order}
            rounds.append(found)
            shares.append(limits.share(line, there["pare"]))
    finally:
        for p in there.values():
            p.close()
    middle = sorted((s for s in shares if s), key=lambda s: s["share"])
    for b in busy:
        say(f"  {b['idle']} used {b['cores']} of a core while {b['while']} was timed")
    return {"line": line.name, "title": line.title, "unit": line.unit, "rounds": rounds, "summary": summary(rounds),
            "targets": judge(line, rounds), "limit": middle[len(middle) // 2] if middle else None, "cosine": near,
            "absent": absent, "busy_while_idle": busy, "pare": there["pare"].record | {
                "latency_samples_ms": None, "first_token_samples_ms": None, "token_samples_ms": None}}


def take_load(setting, args):
    """Every opening is a process of its own; the file is in the page cache."""
    say("load: DistilBERT int8")
    found = {}
    for _ in range(args.rounds):
        order = [*LOAD["ours"], *LOAD["peers"]]
        random.shuffle(order)
        for name in order:
            time.sleep(PAUSE_S)
            if name in LOAD["ours"]:
                row = run_json([setting.pare, "bench", setting.ours(LOAD["ours"][name]), "--length", "128", "--iterations", "5",
                                "--threads", str(args.threads), "--json"])[0]
                row = {k: row[k] for k in ("load_ms", "tokenizer_ms", "self_test_ms", "rss_bytes", "size_bytes")}
            else:
                worker = Worker(setting, {"model": LOAD["model"], **LOAD["peers"][name]})
                worker.close()
                row = {k: worker.ready[k] for k in ("load_ms", "rss_bytes")}
            found.setdefault(name, []).append(row)
    out = {n: {k: statistics.median(r[k] for r in rows) for k in rows[0]} for n, rows in found.items()}
    return out | {"line": "load", "load_limit": LOAD["load_ms"], "over_file_limit_mb": LOAD["over_file_mb"]}


def take_awd_lstm(setting, args):
    say("awd-lstm")
    runs = max(5, round(args.seconds * 130))
    out = run_json([sys.executable, os.path.join(HERE, "awd_lstm.py"), "--pare", setting.pare, "--threads",
                    str(args.threads), "--rounds", str(args.rounds), "--runs", str(runs)])
    return {"line": "awd-lstm", **out[-1]}


def take_linear(setting, args):
    """If fastText is installed and WORK/linear/NAME/{train,test}.csv are there."""
    root = setting.below("linear")
    sets = sorted(n for n in (os.listdir(root) if os.path.isdir(root) else []) if all(
        os.path.exists(os.path.join(root, n, f)) for f in ("train.csv", "test.csv")))
    if not sets or subprocess.run([sys.executable, "-c", "import fasttext, sklearn"], capture_output=True).returncode:
        return None
    say("linear")
    specs = [f"{n}={root}/{n}/train.csv,{root}/{n}/test.csv" for n in sets]
    out = run_json([sys.executable, os.path.join(HERE, "linear.py"), setting.pare, os.path.join(setting.build,
                    "micro_linear"), setting.below("linear-work"), *specs])
    return {"line": "linear", "sets": out}


def machine(setting, args):
    with open("/proc/cpuinfo") as f:
        cpu = next((x.split(":", 1)[1].strip() for x in f if x.startswith("model name")), platform.machine())
    versions = {}
    for name in ("torch", "onnxruntime", "openvino", "nncf", "ctranslate2", "transformers"):
        found = subprocess.run([sys.executable, "-c", f"import importlib.metadata as m; print(m.version('{name}'))"],
                               capture_output=True, text=True)
        versions[name] = found.stdout.strip() or "missing"
    pare = subprocess.run([setting.pare, "--version"], capture_output=True, text=True).stdout.strip()
    return {"line": "machine", "cpu": cpu, "cores": os.cpu_count(), "load_average": os.getloadavg()[0], "pare": pare,
            "threads": args.threads, "rounds": args.rounds, "seconds": args.seconds, "versions": versions}


def built_schemes(setting):
    return {s["name"] for s in run_json([setting.pare, "schemes", "--json"]) if s["available"]}


def main():
    every = lines()
    names = [line.name for line in every] + ["load", "awd-lstm", "linear"]
    arg = argparse.ArgumentParser(prog="run", description=__doc__, epilog="names: " + ", ".join(names),
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    arg.add_argument("work", metavar="WORK", help="the folder that setup filled")
    arg.add_argument("--rounds", type=int, default=7, help="turns of every participant (7)")
    arg.add_argument("--seconds", type=float, default=1.5, help="a turn (1.5)")
    arg.add_argument("--threads", type=int, default=2, help="of every participant (2)")
    arg.add_argument("--only", help="names, separated by commas")
    arg.add_argument("--json", help="file that gets one JSON line per workload, as soon as it is measured")
    arg.add_argument("--build", default=os.path.join(PROJECT, "build"), help="folder of pare and the micro_ programs")
    arg.add_argument("--limits", default="{}", help='instead of measuring, as {"int8": 940, "read": 44}, all threads')
    arg.add_argument("--check", action="store_true", help="only ask everyone the fixed question; time nothing")
    args = arg.parse_args()
    wanted = args.only.split(",") if args.only else names
    for name in set(wanted) - set(names):
        arg.error(f"no workload {name}; there are {', '.join(names)}")
    setting = Setting(args)
    limits, originals = Limits(args.build, args.threads, json.loads(args.limits)), Originals(setting)
    out = open(args.json, "w") if args.json else None
    results, load = [], None

    def keep(record):
        if out and record:
            out.write(json.dumps(record) + "\n")
            out.flush()
        return record

    head = keep(machine(setting, args))
    if head["load_average"] > 0.3:
        say(f"the machine is busy (load average {head['load_average']:.2f}): what follows means little")
    schemes = built_schemes(setting)
    for line in every:
        if line.name not in wanted:
            continue
        if line.scheme not in schemes:
            say(f"{line.name}: left out, pare has no scheme {line.scheme} yet")
            keep({"line": line.name, "title": line.title, "absent": {"pare": f"no scheme {line.scheme} yet"}})
            continue
        record = keep(attempt(line.name, take_turns, setting, line, args, originals, limits))
        if record and "summary" in record:
            results.append(record)
    if args.check:
        return
    if "load" in wanted:
        load = keep(attempt("load", take_load, setting, args))
    lstm = keep(attempt("awd-lstm", take_awd_lstm, setting, args)) if "awd-lstm" in wanted else None
    linear = keep(attempt("linear", take_linear, setting, args)) if "linear" in wanted else None
    print(markdown(results, load))
    if lstm:
        print(f"\nAWD-LSTM, 24 tokens, beside PyTorch's dynamic int8: {lstm['median_ratio']:.2f} "
              f"({lstm['lowest']:.2f} to {lstm['highest']:.2f}).")
    for s in linear["sets"] if linear else []:
        print(f"{s['set']}: {s['pare_over_fasttext_binding']['median']:.1f} times fastText's binding.")


if __name__ == "__main__":
    main()
