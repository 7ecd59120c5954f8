"""server_checks.py - `pare serve` against the clients people have. A part for each kind of client:

server/openai      the openai package: completions, streams, log probabilities, embeddings, errors, retries
server/oip         tritonclient and plain requests: the Open Inference Protocol
server/hf          huggingface_hub's InferenceClient, vLLM's classify
server/curl        every curl example of docs/rest.md and docs/rest_oip.md; every snippet of docs/clients.md
server/prometheus  promtool and a Prometheus that scrapes, where the Debian package is installed
server/lm-eval     lm-eval's local-completions against its own hf model
server/schemathesis   requests made up from /openapi.json (schemathesis.sh)
faults             overload, rude clients, broken files (faults.py)
`server` alone is all but faults, which takes minutes.
"""
import importlib
import os
import subprocess
import sys

import serverlab

MODULES = {"server/openai": "openai_checks", "server/oip": "oip_checks", "server/hf": "hf_checks",
           "server/curl": "curl_checks", "server/prometheus": "prometheus_checks", "server/lm-eval": "lm_eval_checks"}
SCHEMATHESIS, FAULTS = "server/schemathesis", "faults"
PARTS = [*MODULES, SCHEMATHESIS]   # what `server` stands for
HERE = os.path.dirname(os.path.abspath(__file__))


def run_program(lab, part, command):
    done = subprocess.run(command)   # it prints for itself
    lab.report.check(part, done.returncode == 0, f"{os.path.basename(command[1])}: exit {done.returncode}")


def run(pare, report, parts, project, work):
    lab = serverlab.Lab(pare, report, project, work)
    os.makedirs(lab.work, exist_ok=True)
    for part in parts:
        if part in MODULES:
            report.guard(part, lambda name: importlib.import_module(name).run(lab), MODULES[part])
        elif part == SCHEMATHESIS:
            run_program(lab, part, ["sh", os.path.join(HERE, "schemathesis.sh"), pare.program, project, sys.executable])
        elif part == FAULTS:
            folder = os.path.join(lab.work, "faults")
            run_program(lab, part, [sys.executable, os.path.join(HERE, "faults.py"), pare.program, project, "--work", folder])
