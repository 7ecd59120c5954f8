"""Those who take turns: a peer's worker that stays, `pare bench` and llama-bench as a process per turn."""
import base64
import json
import os
import statistics
import subprocess
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
QUIET = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}


class Failed(Exception):
    pass


def run_json(command, env=None):
    done = subprocess.run(command, env=env, **QUIET)
    if done.returncode:
        last = (done.stderr.strip() or "?").splitlines()[-1]
        raise Failed(f"{os.path.basename(command[0])}: exit {done.returncode}: {last[:300]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def decoded(answer):
    return {k: np.frombuffer(base64.b64decode(v), np.float32) for k, v in answer.items()}


class Worker:
    def __init__(self, setting, spec):
        self.per = spec.get("per", 1)
        words = {"threads": setting.threads, "model": setting.model(spec["model"]), **{
            k: spec[k] for k in ("peer", "precision", "work") if k in spec}}
        if "form" in spec:
            words["form"] = setting.form(spec["form"])
        if words["work"].get("kind") == "texts":
            words["work"] = dict(words["work"], ids=setting.ids)
        self.errors = open(os.path.join(setting.work, "worker.log"), "a")
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "worker.py"), json.dumps(words)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        env={**os.environ, **spec.get("env", {})})
        try:
            self.ready = self.hear()
        except Failed:
            self.close()
            raise

    def hear(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise Failed(f"a worker ended: see {self.errors.name}")

    def answer(self):
        return decoded(self.ready["answer"])

    def warm_up(self):
        self.measure(0)

    def measure(self, seconds):
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        heard = self.hear()
        return {k: heard[k] / self.per for k in ("min", "median")} | {"n": heard["n"]}

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.errors.close()


class Pare:
    """A turn is a process; opening is outside what it times. The first turn finds out how many runs fill one."""

    def __init__(self, setting, spec):
        self.setting, self.spec, self.per = setting, spec, spec.get("per", 1)
        self.model = setting.ours(spec["model"])
        self.isa = ["--isa", spec["isa"]] if spec.get("isa") else []
        args = [setting.texts if word == "TEXTS" else word for word in spec["args"]]
        self.command = [setting.pare, "bench", self.model, *args, *self.isa, "--threads", str(setting.threads), "--json"]
        self.whole_ms = None
        self.record = self.run(3)
        if "TEXTS" in spec["args"]:
            with open(setting.ids) as f:
                theirs = sum(map(len, json.load(f)))
            if theirs != self.record["shape"]["tokens"]:
                raise Failed(f"reads {self.record['shape']['tokens']} tokens, its peers {theirs}")

    def run(self, iterations):
        record = run_json([*self.command, "--iterations", str(iterations)])[0]
        self.whole_ms = record["latency_ms"]["median"]
        return record

    def measure(self, seconds):
        self.record = self.run(max(5, min(2000, int(seconds * 1e3 / self.whole_ms))))
        ms = self.record[self.spec.get("take", "latency_ms")]
        return {k: ms[k] / self.per for k in ("min", "median")} | {"n": ms["n"]}

    def warm_up(self):
        pass  # every turn does so itself

    def reached(self):
        """GOPS and GB/s of weights of the part that is timed."""
        part = {"token_ms": "decode", "first_token_ms": "prefill"}.get(self.spec.get("take"))
        row = self.record[part] if part else self.record
        return {"gops": row["gops"], "gb_per_s": row["gb_per_s"]}

    def weight_bytes(self):
        """Read by one run of the part that is timed."""
        take = self.spec.get("take", "latency_ms")
        return self.reached()["gb_per_s"] * self.record[take]["median"] * 1e6

    def answer(self, question, classifier):
        rows = []
        for ids in question if classifier else question[:1]:
            out = run_json([self.setting.pare, "logits", self.model, *self.isa, "--ids", ",".join(map(str, ids)),
                            "--json"])
            rows.append(out[0]["logits"][-1])
        return {"logits" if classifier else "next": np.array(rows, np.float32).ravel()}

    def cpu_seconds(self):
        return 0.0  # nothing stays between turns

    def close(self):
        pass


class Llama:
    """llama-bench, a process per turn: 512 tokens read at once, or 64 one after another behind 16."""

    def __init__(self, setting, spec):
        self.setting, self.per = setting, spec.get("per", 1)
        self.file = setting.form(spec["llama"])
        if not os.path.exists(self.file):
            raise Failed(f"{self.file} is missing")
        self.decode = spec["what"] == "decode"
        self.tokens = 64 if self.decode else 1  # a sample is one call of all 512
        self.sample_s = None

    def measure(self, seconds):
        times = 3 if self.sample_s is None else max(3, min(50, round(seconds / self.sample_s)))
        shape = ["-p", "0", "-n", "64", "-d", "16"] if self.decode else ["-p", "512", "-n", "0"]
        row = run_json([self.setting.llama("llama-bench"), "-m", self.file, "-t", str(self.setting.threads), *shape, "-r",
                        str(times), "-o", "jsonl"])[0]
        ms = [ns * 1e-6 / self.tokens / self.per for ns in row["samples_ns"]]
        self.sample_s = statistics.median(row["samples_ns"]) * 1e-9
        return {"min": min(ms), "median": statistics.median(ms), "n": len(ms)}

    def warm_up(self):
        pass  # llama-bench does so itself

    def answer(self, question):
        done = subprocess.run([self.setting.llama("llama_logits"), self.file, str(self.setting.threads),
                               *map(str, question[0])], **QUIET)
        if done.returncode:
            raise Failed(done.stderr.strip()[-300:])
        return {"next": np.array(done.stdout.split(), np.float32)}

    def cpu_seconds(self):
        return 0.0

    def close(self):
        pass
