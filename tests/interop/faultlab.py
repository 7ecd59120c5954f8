"""faultlab.py - what the experiments of faults.py share: a `pare serve` to be maltreated, and clients.

Standard library only. Servers listen on 127.0.0.1; everything is written below the working directory that is given.
"""

import contextlib
import http.client
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

SANITIZERS = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:")


class Failed(Exception):
    """What was promised did not happen."""


def check(condition, what):
    if not condition:
        raise Failed(what)


def until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, what)
        time.sleep(0.05)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Lab:
    """Where things are: the program, the project, a directory for this run, how long loads last."""

    def __init__(self, program, project, work, seconds):
        self.program, self.project = str(program), pathlib.Path(project)
        self.work, self.seconds = pathlib.Path(work), seconds
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.texts = self.work / "texts.txt"
        words = "oil prices rise as the president of the league wins a great film about war and markets".split()
        self.texts.write_text("".join(" ".join(words[(i * 7 + k * (i + 1)) % len(words)] for k in range(12)) + f" {i}\n"
                                      for i in range(400)))

    def env(self):
        return dict(os.environ, PARE_MODELS=str(self.project / "models"), NO_COLOR="1")

    def model(self, shipped, name, scheme=None):
        """A copy of a shipped model, with its quantized form beside it when a scheme is named."""
        path = self.work / name
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.project / "models" / shipped, path)
        if scheme:
            subprocess.run([self.program, "quantize", path, "-o", path / "quantized", "--scheme", scheme, "--quiet"],
                           check=True, stdout=subprocess.DEVNULL, env=self.env())
        return path

    def load(self, server, *options):
        """`pare load` in the background; finish() gives its record."""
        command = [self.program, "load", server.url, "--warmup", "0", "--json", *map(str, options)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.env())

        def finish():
            out, err = process.communicate()
            check(process.returncode == 0, f"pare load: {err}")
            return json.loads(out)

        return finish


class Server:
    def __init__(self, lab, config, rlimits=None, port=None, **options):
        self.lab, self.port = lab, port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = lab.work / f"serve-{self.port}.yaml"
        self.write_config(config, **options)
        self.log_path = lab.work / f"log-{self.port}-{time.monotonic_ns()}"

        def restrict():
            for which, value in (rlimits or {}).items():
                resource.setrlimit(which, (value, value))

        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([lab.program, "serve", "-c", self.config], stderr=log,
                                            stdout=subprocess.DEVNULL, env=lab.env(), preexec_fn=restrict)

    def write_config(self, models, **options):
        options.setdefault("log", {"requests": False})
        text = dict({"listen": f"127.0.0.1:{self.port}", "models": models}, **options)
        self.config.write_text(json.dumps(text))  # JSON is YAML

    def ready(self):
        until(lambda: self.events("ready") or self.process.poll() is not None, 120, "the server did not become ready")
        check(self.process.poll() is None, f"the server ended with {self.process.returncode}: {self.log()[-2000:]}")
        return self

    def log(self):
        return self.log_path.read_text(errors="replace")

    def events(self, name):
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in lines if line.get("event") == name]

    def rss_mb(self, what="VmRSS"):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(what + ":"):
                return int(line.split()[1]) / 1024
        return 0

    def metric(self, name):
        """The sum of the series of that name; with labels in the name, of that one."""
        status, _, body = self.get("/metrics")
        check(status == 200, f"/metrics: {status}")
        values = [float(line.rsplit(" ", 1)[1]) for line in body.decode().splitlines()
                  if line.rsplit(" ", 1)[0] == name or line.startswith(name + "{")]
        return sum(values)

    def request(self, method, path, body=None, headers=None, timeout=60):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, value, **options):
        body = value if isinstance(value, (bytes, str)) else json.dumps(value)
        return self.request("POST", path, body, **options)

    def classify(self, model, text="a great film about the world cup"):
        return self.post("/v1/classify", {"model": model, "input": text})

    def alive(self, model="nli-minilm"):
        """The server runs and answers."""
        check(self.process.poll() is None, f"the server ended with {self.process.returncode}: {self.log()[-2000:]}")
        status, _, body = self.classify(model)
        check(status == 200, f"afterwards: {status}: {body[:300]!r}")

    def connect(self, timeout=60):
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def talk(self, sent, timeout=30, half_close=False):
        """Sends bytes; what comes back until the server closes. None: it neither answered nor closed in time."""
        with self.connect(timeout) as s:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                s.sendall(sent)
                if half_close:
                    s.shutdown(socket.SHUT_WR)
            got = b""
            try:
                while piece := s.recv(65536):
                    got += piece
            except ConnectionResetError:
                pass
            except TimeoutError:
                return None if not got else got
            return got

    def stop(self, how=signal.SIGTERM):
        """Ends the server and returns its log; its exit code must be 0 unless it was killed."""
        self.process.send_signal(how)
        try:
            code = self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failed("the server did not end") from None
        check(how == signal.SIGKILL or code == 0, f"the server left with {code}: {self.log()[-2000:]}")
        found = SANITIZERS.search(self.log())
        check(not found, f"a sanitizer reports: {self.log()[found.start() - 200 if found else 0:][:6000]}")
        return self.log()

    def __enter__(self):
        return self.ready()

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            if kind is None:
                self.stop()
            else:
                self.process.kill()
                self.process.wait()
        elif kind is None and self.process.returncode not in (0, -signal.SIGKILL):
            raise Failed(f"the server left with {self.process.returncode}: {self.log()[-2000:]}")


def http_bytes(method, path, body=b"", headers=""):
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}{length}\r\n".encode() + body


def poke(path, tensor, offset, value):
    """Overwrites bytes of a tensor of a safetensors file, in place."""
    with open(path, "r+b") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        begin, end = json.loads(f.read(size))[tensor]["data_offsets"]
        check(begin + offset + len(value) <= end, "poke: beyond the tensor")
        f.seek(8 + size + begin + offset)
        f.write(value)


def tensor_bytes(path, tensor):
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        begin, end = json.loads(f.read(size))[tensor]["data_offsets"]
        return end - begin


def forget_self_test(quantized):
    path = quantized / "pare.json"
    record = json.loads(path.read_text())
    record.pop("self_test", None)
    path.write_text(json.dumps(record))


class Clients:
    """Threads that call work(number) again and again until stopped; what they raise is kept."""

    def __init__(self, count, work):
        self.stopped, self.errors, self.done = threading.Event(), [], 0
        self.lock = threading.Lock()

        def run(number):
            while not self.stopped.is_set():
                try:
                    work(number)
                    with self.lock:
                        self.done += 1
                except Exception as error:  # whatever it is, it is a result
                    with self.lock:
                        self.errors.append(f"{type(error).__name__}: {error}")
                    time.sleep(0.01)

        self.threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(count)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(120)
            check(not thread.is_alive(), "a client got no answer")
        return self.done
