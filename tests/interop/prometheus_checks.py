"""prometheus_checks.py - promtool over /metrics and docs/prometheus, and a Prometheus that scrapes `pare serve` with those rules.

The programs are Debian's package prometheus; where they are not installed, that is said and nothing is checked.
"""
import os
import shutil
import socket
import subprocess
import threading
import time

import requests

TEXTS = [f"The team won match {i} of the season." for i in range(30)]
WAIT = 180   # seconds, at most, until Prometheus knows something; a busy machine has it wait
KEY = "key-of-the-checks"
HEADERS = {"Authorization": f"Bearer {KEY}"}


def busy(lab, server):
    """Requests of every kind; how many of which, as pare_requests_total should count them: {(model, code): n}. What was refused
    before it reached a model has none."""
    sent, lock = {}, threading.Lock()

    def ask(path, body, model):
        answer = requests.post(f"{server.url}{path}", json=body, headers=HEADERS, timeout=60)
        key = (model if answer.ok else "", str(answer.status_code))
        with lock:
            sent[key] = sent.get(key, 0) + 1
        return answer

    def every(texts):
        for i, text in enumerate(texts):
            ask("/v1/classify", {"model": "news", "input": text}, "news")
            ask("/models/broken", {"inputs": text}, "broken")
            ask("/v2/models/linear/infer", {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [text]}]}, "linear")
            if i % 10 == 0:
                ask("/v1/completions", {"model": "news-gpt2", "prompt": text, "max_tokens": 8}, "news-gpt2")
                ask("/v1/completions", {"model": "news-gpt2", "prompt": text, "max_tokens": 8, "stream": True}, "news-gpt2")
                ask("/v1/completions", {"model": "news-gpt2", "prompt": text, "max_tokens": 0}, "news-gpt2")   # a mistake
                ask("/v1/classify", {"model": "nope", "input": text}, "")

    threads = [threading.Thread(target=every, args=(TEXTS[k::2],)) for k in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    every(TEXTS[:5])   # known by now: the cache answers
    return sent


def promtool(lab, name, arguments, **options):
    done = subprocess.run(["promtool", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    lab.check(f"promtool {name}", done.returncode == 0, done.stdout)


def check_files(lab, folder):
    promtool(lab, "check rules", ["check", "rules", "pare.rules.yml"], cwd=folder)
    promtool(lab, "test rules", ["test", "rules", "pare.rules.test.yml"], cwd=folder)
    promtool(lab, "check config", ["check", "config", "prometheus.yml"], cwd=folder)


class Prometheus:
    """A Prometheus of our own: docs/prometheus as it is, but every other second, and with the key that its comment speaks of."""

    def __init__(self, lab, folder, target):
        work = os.path.join(lab.work, "prometheus")
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(work)
        for name in ("prometheus.yml", "pare.rules.yml"):
            with open(os.path.join(folder, name)) as f:
                text = f.read()
            for here, there in (("localhost:8080", target), ("interval: 15s", "interval: 2s"), ("interval: 30s", "interval: 1s")):
                text = text.replace(here, there)
            if name == "prometheus.yml":
                text = text.replace("# With api_keys: ", "").replace("a key of pare.yaml", KEY)
                text = f"global: {{evaluation_interval: 1s}}\n{text}"
            with open(os.path.join(work, name), "w") as f:
                f.write(text)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.log = open(os.path.join(work, "log.txt"), "w")
        self.process = subprocess.Popen(["prometheus", f"--config.file={work}/prometheus.yml", f"--storage.tsdb.path={work}/data",
                                         f"--web.listen-address={self.address}"], stdout=self.log, stderr=self.log)

    def get(self, path, **parameters):
        return requests.get(f"http://{self.address}/api/v1/{path}", params=parameters, timeout=10).json()["data"]

    def query(self, expression):
        """{labels as a frozenset: value}."""
        rows = self.get("query", query=expression)["result"]
        return {frozenset(r["metric"].items()): float(r["value"][1]) for r in rows}

    def is_ready(self):
        return requests.get(f"http://{self.address}/-/ready", timeout=10).ok

    def wait(self, what, holds):
        """What `what` gives when it holds, or after WAIT seconds."""
        value, end = None, time.monotonic() + WAIT
        while time.monotonic() < end:
            try:
                value = what()
                if holds(value):
                    break
            except (requests.RequestException, KeyError, ValueError) as error:
                value = error
            time.sleep(0.5)
        return value

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


def check_scraping(lab, prometheus, sent):
    lab.check("prometheus: begins", prometheus.wait(prometheus.is_ready, bool) is True)
    up = prometheus.wait(lambda: prometheus.query('up{job="pare"}'), lambda v: list(v.values()) == [1])
    lab.check("prometheus: up is 1", list(up.values()) == [1], up)
    expected = {frozenset({("model", model), ("code", code)} - {("model", "")}): n for (model, code), n in sent.items()}

    def counted():
        return prometheus.query('sum by (model, code) (pare_requests_total{endpoint!="metrics"})')

    found = prometheus.wait(counted, lambda v: v == expected)
    lab.check("prometheus: pare_requests_total is what was sent", found == expected, f"{found} instead of {expected}")
    found = prometheus.wait(lambda: [t["lastError"] for t in prometheus.get("targets")["activeTargets"]], lambda v: v == [""])
    lab.check("prometheus: what it reads it understands", found == [""], found)


def check_rules(lab, server, prometheus):
    rate = "model:pare_requests:rate5m"
    another = {"model": "news", "input": "Another one."}   # a rate needs a change
    requests.post(f"{server.url}/v1/classify", json=another, headers=HEADERS, timeout=60)
    found = prometheus.wait(lambda: prometheus.query(f'{rate}{{model="news"}}'), lambda v: v and max(v.values()) > 0)
    lab.check(f"prometheus: {rate} has a value", found and max(found.values()) > 0, found)
    p95 = prometheus.wait(lambda: prometheus.query('model:pare_request_duration_seconds:p95_5m{model="news"} > 0'), bool)
    lab.check("prometheus: so has the 95th percentile", bool(p95), p95)

    def firing():
        return {(a["labels"]["alertname"], a["labels"].get("model"), a["labels"].get("reason"))
                for a in prometheus.get("alerts")["alerts"] if a["state"] == "firing"}

    found = prometheus.wait(firing, lambda v: any(a[:2] == ("PareFallback", "broken") for a in v))
    lab.check("prometheus: the fallback fires its alert, and nothing else does",
              {a[:2] for a in found} == {("PareFallback", "broken")}, found)
    failed = [r for g in prometheus.get("rules")["groups"] for r in g["rules"] if r["health"] == "err"]
    lab.check("prometheus: every rule can be evaluated", not failed, failed)


def corrupted(lab):
    """A quantized form whose layers are not those that were written."""
    folder = os.path.join(lab.work, "broken-int8")
    shutil.rmtree(folder, ignore_errors=True)
    lab.pare.run("quantize", lab.model("nli-minilm"), "--scheme", "int8", "-o", folder, "--quiet")
    path = os.path.join(folder, "model.safetensors")
    with open(path, "r+b") as f:
        f.seek(os.path.getsize(path) * 3 // 4)   # behind the embeddings
        f.write(os.urandom(1 << 20))
    return folder


def run(lab):
    missing = [name for name in ("prometheus", "promtool") if not shutil.which(name)]
    if missing:
        print(f"skip server/prometheus: no {' and no '.join(missing)} here (apt install prometheus)", flush=True)
        return
    folder = os.path.join(lab.project, "docs", "prometheus")
    check_files(lab, folder)
    quantized = os.path.join(lab.work, "news-int8")
    shutil.rmtree(quantized, ignore_errors=True)
    lab.pare.run("quantize", lab.model("agnews-gpt2"), "--scheme", "int8", "-o", quantized, "--quiet")
    models = [{"name": "news", "path": lab.model("agnews-gpt2"), "quantized": quantized, "rollout": {"shadow": {"share": 1.0}}},
              {"name": "broken", "path": lab.model("nli-minilm"), "quantized": corrupted(lab)},
              {"name": "linear", "path": lab.model("intent-linear")}, "news-gpt2"]
    with lab.serve("prometheus-server", models, api_keys=[KEY]) as server:
        sent = busy(lab, server)
        time.sleep(1)   # the shadow ends its work
        metrics = requests.get(f"{server.url}/metrics", headers=HEADERS, timeout=60)
        with open(os.path.join(lab.work, "metrics.txt"), "w") as f:
            f.write(metrics.text)
        promtool(lab, "check metrics", ["check", "metrics"], input=metrics.text)
        counted = [line for line in metrics.text.splitlines() if line.startswith('pare_shadow_requests_total{model="news"')]
        lab.check("prometheus: the shadow worked", counted and float(counted[0].split()[-1]) > 0, counted)
        prometheus = Prometheus(lab, folder, server.address)
        try:
            check_scraping(lab, prometheus, sent)
            check_rules(lab, server, prometheus)
        finally:
            prometheus.stop()
