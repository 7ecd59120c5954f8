#!/usr/bin/env python3
"""`pare serve` beside other servers, in turns, on what bench/peers/setup made. Prints Markdown tables, and JSON lines to
--json. Clients and servers share the machine; run it on one that does nothing else. `serve` starts this with the
environment of WORK; `serve --render FILE` prints the tables of a file again.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys

from run import attempt, machine, say
from serve_lines import LINES, take
from serve_render import render

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
NAMED = ("fastapi", "uvicorn", "tokenizers", "onnxruntime")


class Setting:
    """Where things are, and how long is measured."""

    def __init__(self, args):
        self.work, self.threads, self.build = os.path.abspath(args.work), args.threads, args.build
        self.rounds, self.seconds = args.rounds, args.seconds
        self.here, self.project, self.pare = HERE, PROJECT, os.path.join(args.build, "pare")
        self.log = self.below("serve", "servers.log")
        self.distilbert = self.below("pare", "distilbert-cls.int8-texts")
        self.tokenizer = self.shipped("nli-minilm/tokenizer.json")

    def below(self, *parts):
        return os.path.join(self.work, *parts)

    def texts(self, name):
        return self.below("serve", "texts", name)

    def shipped(self, name):
        return os.path.join(self.project, "models", name)


def of_this_run(setting, args):
    row = machine(setting, args)
    for name in NAMED:
        found = subprocess.run([sys.executable, "-c", f"import importlib.metadata as m; print(m.version('{name}'))"],
                               capture_output=True, text=True)
        row["versions"][name] = found.stdout.strip() or "missing"
    return row


def main():
    arg = argparse.ArgumentParser(prog="serve", description=__doc__, epilog="names: " + ", ".join(LINES),
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    arg.add_argument("work", metavar="WORK", help="the folder that setup filled")
    arg.add_argument("--rounds", type=int, default=5, help="turns of every participant (5)")
    arg.add_argument("--seconds", type=float, default=5, help="a turn (5); twice as long where texts are generated")
    arg.add_argument("--threads", type=int, default=2, help="of every server (2)")
    arg.add_argument("--only", help="names, separated by commas; serve.linear takes all that begin so")
    arg.add_argument("--json", help="file that gets one JSON line per workload, as soon as it is measured")
    arg.add_argument("--build", default=os.path.join(PROJECT, "build"), help="folder of pare and the micro_ programs")
    args = arg.parse_args()
    asked = args.only.split(",") if args.only else list(LINES)
    wanted = [name for name in LINES if any(name == a or name.startswith(a + ".") for a in asked)]
    for a in asked:
        if not any(name == a or name.startswith(a + ".") for name in LINES):
            arg.error(f"no workload {a}; there are {', '.join(LINES)}")
    setting = Setting(args)
    if not shutil.which("wrk"):
        arg.error("wrk is not there; Debian's package wrk has it")
    if not os.path.exists(setting.texts("prompts.txt")):
        arg.error(f"{setting.texts('')}: not filled; bench/peers/setup {args.work} does it")
    out, records = open(args.json, "w") if args.json else None, []

    def keep(row):
        if row:
            records.append(row)
        if row and out:
            out.write(json.dumps(row) + "\n")
            out.flush()

    keep(of_this_run(setting, args))
    if records[0]["load_average"] > 0.3:
        say(f"the machine is busy (load average {records[0]['load_average']:.2f}): what follows means little")
    for name in wanted:
        say(f"{name}: {LINES[name][0]}")
        row = attempt(name, take, setting, name)
        for n, why in (row or {}).get("absent", {}).items():
            say(f"  {n}: {why}")
        keep(row)
    print(render(records))
    if len(records) - 1 < len(wanted):
        sys.exit(70)


if __name__ == "__main__":
    main()
