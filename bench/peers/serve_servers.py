"""Servers that stay: each a group of processes that is stopped while another is measured."""
import http.client
import json
import os
import signal
import socket
import subprocess
import time

from participants import Failed

READY_S = 120


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ask(port, path, body=None, timeout=60):
    """(status, decoded JSON or text) of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        data = json.dumps(body) if body is not None else None
        connection.request("POST" if data else "GET", path, data, {"Content-Type": "application/json"} if data else {})
        response = connection.getresponse()
        text = response.read().decode()
        try:
            return response.status, json.loads(text)
        except json.JSONDecodeError:
            return response.status, text
    finally:
        connection.close()


class Server:
    """command with PORT for the port; ready: a path that answers 200; url: where its clients post."""

    def __init__(self, name, command, log, ready, url, env=None):
        self.name, self.port, self.path, self.stopped = name, free_port(), url, False
        self.log = open(log, "a")
        self.process = subprocess.Popen([c.replace("PORT", str(self.port)) for c in command], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, start_new_session=True,
                                        env={**os.environ, **(env or {})})
        end = time.monotonic() + READY_S
        while not self.is_ready(ready):
            if self.process.poll() is not None or time.monotonic() > end:
                self.close()
                raise Failed(f"{name} does not get ready: see {log}")
            time.sleep(0.05)

    def is_ready(self, path):
        try:
            return ask(self.port, path, timeout=5)[0] == 200
        except OSError:
            return False

    def ask(self, body, path=None):
        status, answer = ask(self.port, path or self.path, body)
        if status != 200:
            raise Failed(f"{self.name}: status {status}: {str(answer)[:200]}")
        return answer

    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError as e:
            raise Failed(f"{self.name} has ended: see {self.log.name}") from e

    def pause(self):
        if not self.stopped:
            self.signal(signal.SIGSTOP)
            self.stopped = True

    def resume(self):
        if self.stopped:
            self.signal(signal.SIGCONT)
            self.stopped = False

    def cpu_seconds(self):
        """Of the first process with its threads."""
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        try:
            self.resume()
            self.signal(signal.SIGTERM)
            self.process.wait(20)
        except Failed:
            pass
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()


def pare(setting, models, *options, path=None):
    """models: {name: path}; the first is the one that is asked, by the Hugging Face Inference API or below path."""
    command = [setting.pare, "serve", *(f"{n}={p}" for n, p in models.items()), "--listen", "127.0.0.1:PORT", "--threads",
               str(setting.threads), "--quiet", *options]
    return Server("pare", command, setting.log, "/v2/health/ready", path or f"/models/{next(iter(models))}")


def pare_completions(setting, models):
    """The cache off: the same prompts come again, and are not to be answered from it."""
    return pare(setting, models, "--no-cache", path="/v1/completions")


def fastapi(setting, name, workers, threads, in_loop):
    command = [setting.below("venv", "bin", "python"), "-m", "uvicorn", "fastapi_ort:app", "--app-dir", setting.here, "--host", "127.0.0.1",
               "--port", "PORT", "--workers", str(workers), "--no-access-log", "--log-level", "warning"]
    if workers > 1:  # those who are stopped for a while are not ill
        command += ["--timeout-worker-healthcheck", "86400"]
    env = {"PYTHONPATH": setting.here, "PEER_ONNX": setting.below("forms", "distilbert-cls.int8.onnx"),
           "PEER_TOKENIZER": os.path.join(setting.project, "models/nli-minilm/tokenizer.json"),
           "PEER_THREADS": str(threads), "PEER_ASYNC": str(int(in_loop)), "OMP_NUM_THREADS": str(threads),
           "TOKENIZERS_PARALLELISM": "false"}
    return Server(name, command, setting.log, "/ready", "/predict", env)


def llama(setting, name, model, streams):
    """Every stream has room for 256 tokens."""
    command = [setting.below("llama", "build", "bin", "llama-server"), "-m", setting.below("serve", f"{model}.q8_0.gguf"),
               "--host", "127.0.0.1", "--port", "PORT", "-np", str(streams), "-c", str(256 * streams), "-cb",
               "-t", str(setting.threads), "-tb", str(setting.threads), "--threads-http", "2", "--log-disable"]
    return Server(name, command, setting.log, "/health", "/v1/completions")
