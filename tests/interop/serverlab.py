"""serverlab.py - what the checks of `pare serve` share: a server of one's own, and where its configuration is written.

A server listens on a free port of 127.0.0.1; the URL is read from its log. It is ended by its own process.
"""
import contextlib
import json
import os
import signal
import subprocess
import threading

START_SECONDS = 120
STOP_SECONDS = 60


class Server:
    """`pare serve` with the configuration `config`, a mapping of docs/serve.md's keys; `folder` receives it and the log."""

    def __init__(self, program, folder, config, project):
        os.makedirs(folder, exist_ok=True)
        self.folder, self.url, self.last = folder, None, ""
        path = os.path.join(folder, "pare.yaml")
        with open(path, "w") as f:
            json.dump({"listen": "127.0.0.1:0", "threads": 1, **config}, f, indent=1)
        environment = {**os.environ, "PARE_MODELS": os.path.join(project, "models")}
        self.process = subprocess.Popen([program, "serve", "-c", path], stderr=subprocess.PIPE, text=True, env=environment)
        self.ready = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if not self.ready.wait(START_SECONDS) or not self.url:
            self.stop()
            raise RuntimeError(f"no server: exit {self.process.returncode}: {self.last.strip()}")

    def _read(self):
        with open(os.path.join(self.folder, "log.jsonl"), "w") as log:
            for line in self.process.stderr:
                log.write(line)
                log.flush()
                self.last = line
                with contextlib.suppress(json.JSONDecodeError):
                    event = json.loads(line)
                    if event.get("event") == "ready":
                        self.url = event["url"]
                        self.ready.set()
        self.ready.set()   # it ended: nobody need wait any longer

    @property
    def address(self):
        """HOST:PORT."""
        return self.url.split("//", 1)[1].rstrip("/")

    def stop(self):
        """Its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.reader.join()
        return self.process.returncode


class Lab:
    """What a group of checks is given."""

    def __init__(self, pare, report, project, work):
        self.pare, self.report, self.project = pare, report, project
        self.work = os.path.join(work, "server")

    def model(self, name):
        return os.path.join(self.project, "models", name)

    @contextlib.contextmanager
    def serve(self, title, models, **config):
        """A running server; that it ends well is checked too. `models` are shipped names or mappings."""
        entries = [{"name": m, "path": self.model(m)} if isinstance(m, str) else m for m in models]
        config = {"models": entries, **config}
        server = Server(self.pare.program, os.path.join(self.work, title), config, self.project)
        try:
            yield server
        finally:
            code = server.stop()
            self.report.check(f"server/{title}: SIGTERM ends the server", code == 0, f"exit code {code}")

    def check(self, name, ok, detail=""):
        self.report.check(f"server/{name}", bool(ok), " ".join(str(detail).split())[:300])

    def raises(self, name, kind, function):
        """The error that was expected, for a closer look; None: it did not come."""
        try:
            value = function()
        except kind as error:
            self.check(name, True, f"{type(error).__name__}: {str(error)[:120]}")
            return error
        except Exception as error:
            self.check(name, False, f"{type(error).__name__} instead of {kind.__name__}: {error}")
            return None
        self.check(name, False, f"no error but {str(value)[:200]}")
        return None

    def encoder(self):
        """A DistilBERT without a head, made of the shipped classifier."""
        import transformers
        folder = os.path.join(self.work, "minilm")
        if not os.path.exists(os.path.join(folder, "tokenizer.json")):
            source = self.model("nli-minilm")
            transformers.AutoModel.from_pretrained(source).save_pretrained(folder)
            transformers.AutoTokenizer.from_pretrained(source).save_pretrained(folder)
        return folder
