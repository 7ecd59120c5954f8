"""curl_checks.py - the examples of the documentation, as they stand there, against a server that has their models.

A line `$ curl …` of README.md, docs/rest*.md or docs/clients.md is run by a shell; a Python block of docs/clients.md that names the
server, by Python. Only the address is put in. What follows an example in its block is what it prints, but for white space;
"…" stands for anything, times and numbers of models are not compared, numbers with a point within one in ten thousand.
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys

ADDRESS = "localhost:8080"


def blocks(path):
    """(language, lines) of each fenced block."""
    found, inside = [], None
    with open(path) as f:
        for line in f.read().split("\n"):
            if line.startswith("```"):
                if inside is None:
                    inside = (line[3:].strip(), [])
                else:
                    found.append(inside)
                    inside = None
            elif inside is not None:
                inside[1].append(line)
    return found


def is_whole(command):
    """A shell's quotes are closed, and its line does not go on."""
    return command.count("'") % 2 == 0 and not command.endswith("\\")


def examples(path):
    """(command, what is printed) of each `$ curl` of the file."""
    found = []
    for _, lines in blocks(path):
        command, printed = None, []
        for line in [*lines, "$ "]:
            if command is not None and not is_whole(command):
                command += "\n" + line
            elif line.startswith("$ "):
                if command:
                    found.append((command, "\n".join(printed)))
                command, printed = (line[2:] if line.startswith("$ curl") else None), []
            elif command is not None:
                printed.append(line)
    return found


NUMBER = r"-?\d+\.\d+(?:e-?\d+)?"


def same(printed, found):
    """Why not; empty: it is what is printed."""
    printed, found = (re.sub(r"\s", "", text) for text in (printed.replace("...", "…"), found))
    pattern = ""
    for part in re.split(f'({NUMBER}|…|"created":\\d+)', printed):
        if part == "…":
            pattern += ".*?"
        elif part.startswith('"created":'):
            pattern += r'"created":\d+'
        else:
            pattern += f"({NUMBER})" if re.fullmatch(NUMBER, part) else re.escape(part)
    match = re.fullmatch(pattern, found)
    if not match:
        return f"answered {found}, not {printed}"
    pairs = zip(re.findall(NUMBER, printed), match.groups(), strict=True)
    return " ".join(f"{b}, not {a}" for a, b in pairs if abs(float(a) - float(b)) > 1e-4 * max(1, abs(float(a))))


def check_curl(lab, server, path, command, printed):
    name = f"curl {os.path.basename(path)}: {command.splitlines()[0][:90]}"
    command = command.replace(ADDRESS, server.address)
    done = subprocess.run(["sh", "-c", f"set -e; curl() {{ command curl --fail-with-body --max-time 60 \"$@\"; }}; {command}"],
                          capture_output=True, text=True)
    if done.returncode != 0:
        lab.check(name, False, f"exit {done.returncode}: {done.stdout} {done.stderr}")
        return
    why = same(printed, done.stdout) if printed.strip() else ""
    lab.check(name, not why, why or done.stdout)
    if done.stdout.startswith(("{", "[")):
        json.loads(done.stdout)


def check_python(lab, server, path, source):
    first = next(line for line in source.split("\n") if line.strip())
    done = subprocess.run([sys.executable, "-c", source.replace(ADDRESS, server.address)], capture_output=True, text=True,
                          env={k: v for k, v in os.environ.items() if k != "HF_HUB_OFFLINE"}, timeout=300)
    lab.check(f"python {os.path.basename(path)}: {first[:90]}", done.returncode == 0, (done.stdout + done.stderr[-250:]).strip())
    # A comment behind print() says what is printed.
    said = [line.split("  # ", 1)[1] for line in source.split("\n") if line.strip().startswith("print(") and "  # " in line]
    for one in said:
        lab.check(f"python {os.path.basename(path)}: prints {one[:60]}", one.strip(". ") in done.stdout, done.stdout)


def run(lab):
    docs = os.path.join(lab.project, "docs")
    pages = [os.path.join(lab.project, "README.md"), *sorted(glob.glob(os.path.join(docs, "rest*.md"))), os.path.join(docs, "clients.md")]
    encoder = {"name": "minilm", "path": lab.encoder()}
    with lab.serve("docs", ["news-gpt2", "nli-minilm", "intent-linear", "wiki-title-bart", "agnews-gpt2", encoder]) as server:
        if shutil.which("curl"):
            for path in pages:
                for command, printed in examples(path):
                    lab.report.guard(f"server/curl {os.path.basename(path)}", check_curl, lab, server, path, command, printed)
        else:
            print("skip server/curl: no curl here (apt install curl)")
        for path in pages:
            for language, lines in blocks(path):
                if language == "python":
                    lab.report.guard(f"server/python {os.path.basename(path)}", check_python, lab, server, path, "\n".join(lines))
