"""faults.py - a `pare serve` under what the world does to servers: overload, rude clients, broken files, signals.

faults.py PROGRAM PROJECT [--work DIR] [--seconds N] [EXPERIMENT...]   (docs/faults.md says what each one shows)

One line per experiment on standard output, {"experiment", "ok", ...what was counted}; exit 1 when one failed.
"""

import argparse
import contextlib
import json
import pathlib
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

from faultlab import (SANITIZERS, Clients, Failed, Lab, Server, check, forget_self_test, free_port, http_bytes, poke, tensor_bytes,
                      until)

NLI = ["nli-minilm"]
NO_CACHE = {"cache": {"mb": 0}}
STREAM = {"model": "news-gpt2", "prompt": "Oil prices", "max_tokens": 200, "temperature": 0, "stream": True}


def overload(lab):
    """Ten times what it can answer: who is taken is answered, the others are told when to come again."""
    with Server(lab, NLI, **NO_CACHE, limits={"queue": 64}) as s:
        options = ["--data", lab.texts, "--model", "nli-minilm"]
        can = lab.load(s, *options, "--clients", 8, "--duration", max(2, lab.seconds / 6))()["rate"]["answered"]
        before, peak = s.rss_mb(), 0
        finish = lab.load(s, *options, "--rate", int(10 * can), "--duration", lab.seconds, "--connections", 1000,
                          "--timeout", 60000)
        end, refused = time.monotonic() + lab.seconds, None
        while time.monotonic() < end:
            peak = max(peak, s.rss_mb())
            status, headers, _ = s.classify("nli-minilm", f"text {time.monotonic()}")
            if status == 429:
                refused = headers["Retry-After"]
            time.sleep(0.2)
        record = finish()
        check(set(record["status"]) <= {"200", "429"}, f"statuses {record['status']}")
        others = sum(n for name, n in record["errors"].items() if name not in ("http_429", "unsent"))
        check(others == 0, f"errors {record['errors']}: {record['first_error']}")
        check(record["status"].get("429", 0) > 0, "nobody was refused")
        check(refused is not None and int(refused) >= 1, f"Retry-After: {refused}")
        check(peak < before + 300, f"memory grew from {before:.0f} to {peak:.0f} MB")
        for i in range(20):
            check(s.classify("nli-minilm", f"after {i}")[0] == 200, "not answered after the overload")
        return {"capacity_per_s": round(can), "offered_per_s": round(10 * can), "status": record["status"],
                "unsent": record["errors"]["unsent"], "rss_mb": [round(before), round(peak), round(s.rss_mb())]}


def drip(lab, head, rest, limit, others=30):
    """Clients that send a byte now and then are shut out; the others notice nothing."""
    with Server(lab, NLI, limits={"header_ms": 1500, "body_ms": 1500, "connections": 200}) as s:
        took, lock = [], threading.Lock()

        def one():
            with s.connect(60) as c:
                start = time.monotonic()
                with contextlib.suppress(OSError):
                    c.sendall(head)
                    for byte in rest:
                        c.sendall(bytes([byte]))
                        time.sleep(0.3)
                    c.recv(1)
                with lock:
                    took.append(time.monotonic() - start)

        threads = [threading.Thread(target=one) for _ in range(others)]
        for t in threads:
            t.start()
        clients = Clients(2, lambda i: check(s.classify("nli-minilm", str(time.monotonic()))[0] == 200, "not 200"))
        for t in threads:
            t.join()
        answered = clients.stop()
        check(not clients.errors and answered > 0, f"others: {clients.errors[:3]}")
        check(max(took) < limit, f"a client held its connection for {max(took):.1f} s")
        until(lambda: s.metric("pare_connections") <= 2, 20, "connections are left")
        s.alive()
        return {"slow_clients": others, "shut_out_after_s": round(max(took), 1), "others_answered": answered}


def slow_header(lab):
    """A header that drips."""
    return drip(lab, b"", http_bytes("GET", "/v1/models") + b" " * 100, 15)


def slow_body(lab):
    """A body that drips."""
    request = http_bytes("POST", "/v1/classify", b" " * 100)
    return drip(lab, request[:-100], b" " * 99, 15)


def half_closed(lab):
    """Clients that stop sending, clients that leave."""
    with Server(lab, ["nli-minilm", "news-gpt2"], **NO_CACHE, generation={"streams": 4}) as s:
        body = json.dumps({"model": "nli-minilm", "input": "a text"}).encode()
        got = s.talk(http_bytes("POST", "/v1/classify", body, "Connection: close\r\n"), half_close=True)
        check(got and got.startswith(b"HTTP/1.1 200"), f"half-closed, classification: {got!r:.200}")
        stream = http_bytes("POST", "/v1/completions", json.dumps(STREAM).encode(), "Connection: close\r\n")
        got = s.talk(stream, half_close=True)
        check(got and b"data: [DONE]" in got, f"half-closed, stream: {got!r:.200}")
        left = 0
        for streamed in (True, False):
            for _ in range(12):
                body = dict(STREAM, stream=streamed, max_tokens=240, prompt=f"Oil {random.random()}")
                with s.connect() as c:
                    c.sendall(http_bytes("POST", "/v1/completions", json.dumps(body).encode()))
                    if streamed:
                        c.recv(1)
                left += 1
        until(lambda: s.metric("pare_queue_requests") == 0, 60, "requests that nobody waits for are still there")
        cancelled = s.metric("pare_cancelled_total")
        check(0 < cancelled <= left, f"{left} clients left, {cancelled} were noticed")
        check(s.post("/v1/completions", dict(STREAM, stream=False))[0] == 200, "no stream is free")
        s.alive()
        return {"left": left, "cancelled": int(cancelled)}


def idle(lab, count=10000):
    """Connections that do nothing: others are answered meanwhile, and after limits.idle_ms they are gone."""
    need = count + 500
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < need:
        count = hard - 500
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 500, hard))
    limits = {"connections": count + 200, "idle_ms": 8000, "header_ms": 60000}
    with Server(lab, NLI, limits=limits) as s:
        before, sockets = s.rss_mb(), []
        request = http_bytes("GET", "/v2/health/live")
        for _ in range(count):
            c = s.connect()
            c.sendall(request)
            sockets.append(c)
            if len(sockets) % 500 == 0:
                s.alive()
        for c in sockets:
            c.recv(4096)
        most, rss = s.metric("pare_connections"), s.rss_mb()
        s.alive()
        until(lambda: s.metric("pare_connections") <= 2, 60, "idle connections are kept")
        for c in sockets:
            c.close()
        s.alive()
        return {"opened": count, "at_once": int(most), "rss_mb": [round(before), round(rss), round(s.rss_mb())]}


def malformed_http(lab):
    """Bytes that are no HTTP, or not quite: an answer that blames the client or a closed connection, and the next one is served."""
    body = json.dumps({"model": "nli-minilm", "input": "x"}).encode()
    rng = random.Random(1)
    head = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\n"
    cases = {
        "empty line": b"\r\n\r\n",
        "NUL": b"\0" * 1000,
        "TLS hello": bytes.fromhex("16030100f8010000f40303") + rng.randbytes(200),
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "no version": b"GET /v1/models\r\n\r\n",
        "version 9": b"GET /v1/models HTTP/9.9\r\nHost: x\r\n\r\n",
        "no host": b"GET /v1/models HTTP/1.1\r\n\r\n",
        "long path": b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        "long header": b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 100000 + b"\r\n\r\n",
        "many headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"A%d: b\r\n" % i for i in range(5000)) + b"\r\n",
        "header without colon": b"GET / HTTP/1.1\r\nHost: x\r\nbad\r\n\r\n",
        "header with NUL": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
        "length negative": head + b"Content-Length: -5\r\n\r\n",
        "length no number": head + b"Content-Length: abc\r\n\r\n",
        "length huge": head + b"Content-Length: 99999999999999999999999999\r\n\r\n",
        "length 2^63": head + b"Content-Length: 9223372036854775808\r\n\r\n",
        "two lengths": head + b"Content-Length: 5\r\nContent-Length: 50\r\n\r\nhello",
        "chunk size no number": head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        "chunk size huge": head + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "chunk without end": head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
        "unknown coding": head + b"Transfer-Encoding: gzip\r\n\r\n" + body,
        "percent": b"GET /v1/models/%zz%00%2e%2e/%ff HTTP/1.1\r\nHost: x\r\n\r\n",
        "dots": b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        "absolute": b"GET http://other/v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
        "unknown method": b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
        "Expect": head + b"Expect: nonsense\r\nContent-Length: 3\r\n\r\nabc",
    }
    for i in range(40):
        cases[f"random {i}"] = rng.randbytes(rng.randrange(1, 3000))
        good = bytearray(http_bytes("POST", "/v1/classify", body))
        for _ in range(rng.randrange(1, 6)):
            good[rng.randrange(len(good))] = rng.randrange(256)
        cases[f"mutated {i}"] = bytes(good)
    seen = {}
    with Server(lab, NLI, limits={"header_ms": 1000, "body_ms": 1000, "idle_ms": 1000}) as s:
        for name, sent in cases.items():
            got = s.talk(sent, timeout=30)
            check(got is not None, f"{name}: neither answered nor closed")
            status = got[9:12].decode(errors="replace") if got.startswith(b"HTTP/1.1 ") else "closed"
            check(status in ("closed", "505") or "200" <= status < "500", f"{name}: {got[:200]!r}")
            seen[status] = seen.get(status, 0) + 1
            check(s.process.poll() is None, f"{name}: the server ended")
        live = http_bytes("GET", "/v2/health/live")
        answers = (s.talk(live * 3) or b"").count(b"HTTP/1.1 200")
        check(answers == 3, f"pipelining: {answers} answers of 3")
        # Which of the two lengths counts must never let the rest be taken for somebody else's request.
        inner = b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX-Request-Id: smuggled\r\n\r\n"
        both = b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n" % (5 + len(inner))
        got = s.talk(head + both + b"0\r\n\r\n" + inner) or b""
        check(b"smuggled" not in got, f"smuggling: {got!r:.500}")
        s.alive()
    return {"cases": len(cases) + 2, "answers": seen}


def malformed_json(lab):
    """Bodies that are no JSON, or strange JSON, to every address that takes one."""
    deep = 100000
    bodies = [b"", b"[", b"{", b"nul", b"\0", b"\xff\xfe", b'"' + b"\xc3\x28" + b'"', b"[" * deep, b"[" * deep + b"]" * deep,
              b'{"a":' * deep, b"{}", b"[]", b"7", b"null", b'{"model": 7}', b'{"model": null, "input": null}']
    values = [b"1e999", b"-1e999", b"1" + b"0" * 400, b"123456789012345678901234567890", b"-0", b"1e-999", b'"\\u0000"',
              b'"\\ud800"', b'"\\udc00\\ud800"', b'"\x01"', b'""', b"[]", b"[[]]", b"{}", b"[null]", b"true", b"NaN",
              b'"' + b"a" * 300000 + b'"', b"[" + b",".join([b'""'] * 5000) + b"]"]
    keys = {"/v1/classify": ["model", "input", "labels", "multi_label"],
            "/v1/completions": ["model", "prompt", "max_tokens", "temperature", "seed", "n", "logit_bias", "stop"],
            "/v1/embeddings": ["model", "input", "dimensions"],
            "/models/nli-minilm": ["inputs", "parameters"], "/models/news-gpt2": ["inputs", "parameters"],
            "/v2/models/nli-minilm/infer": ["inputs", "outputs", "id"],
            "/v2/models/news-gpt2/generate": ["text_input", "parameters", "id"],
            "/v2/repository/index": ["ready"], "/v2/repository/models/nli-minilm/load": ["parameters"]}
    good = {"/v1/classify": b'"model": "nli-minilm", "input": "x"', "/models/nli-minilm": b'"inputs": "x"',
            "/v1/completions": b'"model": "news-gpt2", "prompt": "x", "max_tokens": 2', "/models/news-gpt2": b'"inputs": "x"',
            "/v2/models/news-gpt2/generate": b'"text_input": "x"', "/v1/embeddings": b'"model": "nli-minilm", "input": "x"',
            "/v2/models/nli-minilm/infer": b'"id": "x"', "/v2/repository/index": b'"x": 1',
            "/v2/repository/models/nli-minilm/load": b'"x": 1'}
    seen, count = {}, 0
    with Server(lab, ["nli-minilm", "news-gpt2"]) as s:
        for path, names in keys.items():
            tried = list(bodies)
            for name in names:
                rest = [p for p in good[path].split(b", ") if not p.startswith(b'"%s"' % name.encode())]
                tried += [b"{" + b", ".join(rest + [b'"%s": %s' % (name.encode(), v)]) + b"}" for v in values]
            for body in tried:
                status, _, answer = s.post(path, body)
                check(status < 500, f"{path} {body[:200]!r}: {status} {answer[:300]!r}")
                json.loads(answer)
                seen[status] = seen.get(status, 0) + 1
                count += 1
        s.alive()
    return {"bodies": count, "answers": seen}


def files(lab):
    """Model files cut, overwritten, removed and put back under the server, while it answers."""
    names = ["gpt", "nli"]
    sources = {"gpt": lab.project / "models/agnews-gpt2", "nli": lab.project / "models/nli-minilm"}
    for name in names:
        lab.model(sources[name].name, name)
    models = [{"name": n, "path": str(lab.work / n), "use_quantization": False} for n in names]
    with Server(lab, models, **NO_CACHE) as s:
        wanted = {n: json.loads(s.classify(n)[2])["data"] for n in names}

        def ask(i):
            name = names[i % 2]
            status, _, body = s.classify(name)
            check(status == 200 and json.loads(body)["data"] == wanted[name], f"{name}: {status} {body[:300]!r}")

        clients, loads = Clients(4, ask), {}

        def load(name):
            status, _, body = s.post(f"/v2/repository/models/{name}/load", "")
            check(status in (200, 400), f"load: {status} {body[:300]!r}")
            loads[status] = loads.get(status, 0) + 1
            return status

        for name in names:
            weights, intact = lab.work / name / "model.safetensors", sources[name] / "model.safetensors"
            size = intact.stat().st_size
            with open(weights, "r+b") as f:  # cut
                f.truncate(size // 2)
            check(load(name) == 400, "a cut file was loaded")
            with open(weights, "r+b") as f:  # other bytes, from the header on
                f.write(random.Random(1).randbytes(size // 2))
            check(load(name) == 400, "random bytes were loaded")
            weights.unlink()
            check(load(name) == 400, "a removed file was loaded")
            shutil.copyfile(intact, weights)
            check(load(name) == 200, "the file that was put back did not load")
            stop = threading.Event()

            def rewrite(weights=weights, intact=intact, stop=stop):  # cp over it, again and again
                while not stop.is_set():
                    shutil.copyfile(intact, weights)
                    with open(weights, "r+b") as f:
                        f.truncate(100000)

            thread = threading.Thread(target=rewrite)
            thread.start()
            end = time.monotonic() + max(3, lab.seconds / 4)
            while time.monotonic() < end:
                load(name)
            stop.set()
            thread.join()
            shutil.copyfile(intact, weights)
            check(load(name) == 200, "the file that was put back did not load")
        answered = clients.stop()
        # A load that caught the file whole gives the same answers; so all of them must be the same.
        check(not clients.errors, f"{len(clients.errors)} wrong answers: {clients.errors[:2]}")
        check(s.process.poll() is None, "the server ended")
        return {"answered": answered, "loads": loads}


def restarts(lab, how):
    """A server that is ended under load and started again, and clients that try again."""
    port, lost, refused, lock = free_port(), [], [], threading.Lock()
    options = dict(NO_CACHE, log={"requests": True})

    def ask(i):
        while True:
            sent = False
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=60) as c:
                    body = json.dumps({"model": "nli-minilm", "input": f"{i} {time.monotonic()}"}).encode()
                    c.sendall(http_bytes("POST", "/v1/classify", body, "Connection: close\r\n"))
                    sent = True
                    got = b""
                    while piece := c.recv(65536):
                        got += piece
                if got.startswith(b"HTTP/1.1 200") and got.endswith(b"}"):
                    return
                check(not got, f"an answer that is none: {got[:300]!r}")
                raise ConnectionResetError
            except OSError:
                with lock:
                    (lost if sent else refused).append(i)
                time.sleep(0.05)

    clients, logs = Clients(8, ask), []
    server = Server(lab, NLI, port=port, **options).ready()
    for _ in range(3):
        time.sleep(max(2, lab.seconds / 8))
        logs.append(server.stop(how))
        server = Server(lab, NLI, port=port, **options).ready()
    time.sleep(1)
    answered = clients.stop()
    server.alive()
    server.stop()
    check(not clients.errors, f"clients: {clients.errors[:3]}")
    started = sum(log.count('"event":"request"') for log in logs)
    if how == signal.SIGTERM:
        cut = sum(log.count('"status":499') + log.count('"status":503') for log in logs)
        check(cut == 0, f"{cut} requests that had been taken were not answered")
    return {"answered": answered, "ended": len(logs), "sent_and_not_answered": len(lost), "not_connected": len(refused),
            "requests_of_the_ended": started}


def sigterm(lab):
    """SIGTERM under load: what was taken is answered."""
    return restarts(lab, signal.SIGTERM)


def sigkill(lab):
    """SIGKILL under load: a new server answers at once."""
    return restarts(lab, signal.SIGKILL)


def memory(lab):
    """Little address space: requests that do not fit fail, the server does not."""
    with Server(lab, ["nli-minilm", "news-gpt2"], **NO_CACHE) as s:
        s.alive()
        s.post("/v1/completions", dict(STREAM, stream=False))
        size = s.rss_mb("VmSize")
    seen, ended, after = {}, {}, {}
    for room in (-80, -40, -20, 16):
        limits = {resource.RLIMIT_AS: int((size + room) * 2**20)}
        s = Server(lab, ["nli-minilm", "news-gpt2"], rlimits=limits, **NO_CACHE)
        until(lambda s=s: s.events("ready") or s.process.poll() is not None, 60, "neither ready nor ended")
        if s.process.poll() is None:
            text = "long text " * 400
            for i in range(4):
                body = {"model": "nli-minilm", "input": [f"{i} {k} {text}" for k in range(16)]}
                try:
                    status = s.post("/v1/classify", body)[0]
                except OSError:
                    status = "closed"
                seen[status] = seen.get(status, 0) + 1
            s.post("/v1/completions", dict(STREAM, stream=False, n=4))
            check(s.process.poll() is None, f"the server ended with {s.process.returncode}: {s.log()[-1000:]}")
            status = s.classify("nli-minilm")[0]
            check(status == 200 or room < 0, f"afterwards: {status}")
            after[room] = status
            s.stop()
        else:
            ended[room] = s.process.returncode
            check(s.process.returncode >= 64, f"ended with {s.process.returncode}: {s.log()[-1000:]}")
    tiny = Server(lab, NLI, rlimits={resource.RLIMIT_AS: 60 * 2**20})
    code = tiny.process.wait(60)
    check(code in (65, 69, 70), f"60 MB: ended with {code}: {tiny.log()[-1000:]}")
    return {"vm_mb": round(size), "answers": seen, "afterwards": after, "ended": ended, "tiny": code}


def descriptors(lab):
    """64 descriptors: more clients than that wait or are turned away, and are served afterwards."""
    with Server(lab, NLI, rlimits={resource.RLIMIT_NOFILE: 64}) as s:
        held = []
        for _ in range(200):
            with contextlib.suppress(OSError):
                held.append(s.connect(2))
        for c in held:
            c.close()
        for i in range(50):
            check(s.classify("nli-minilm", str(i))[0] == 200, "not answered")
        clients = Clients(40, lambda i: check(s.classify("nli-minilm", f"{i} {time.monotonic()}")[0] == 200, "not 200"))
        time.sleep(3)
        done = clients.stop()
        check(not clients.errors, f"{clients.errors[:3]}")
        check(s.post("/v2/repository/models/nli-minilm/load", "")[0] == 200, "a load call found no descriptor")
        s.alive()
        return {"connected": len(held), "answered": done}


def broken_form(lab, name, spoil, expected):
    """A quantized form that answers wrongly under load, its stored answer forgotten, every request shadowed."""
    path = lab.model("agnews-gpt2", name, "int8")
    spoil(path / "quantized" / "model.safetensors")
    forget_self_test(path / "quantized")
    rollout = {"shadow": {"share": 1, "pending": 10000}, "limits": {"agreement": 0.95}, "min_samples": 30}
    with Server(lab, [{"name": name, "path": str(path), "keep_original": True, "rollout": rollout}], **NO_CACHE) as s:
        record = lab.load(s, "--data", lab.texts, "--model", name, "--clients", 4, "--requests", 400)()
        check(record["status"] == {"200": 400} and record["error_rate"] == 0, f"{record['status']} {record['errors']}")
        until(lambda: s.events("fallback"), 60, f"no fallback: {s.log()[-1500:]}")
        event = s.events("fallback")[0]
        check(event["reason"] == expected, f"{event}")
        status, headers, body = s.classify(name)
        check(status == 200 and headers["X-Pare-Variant"] == "original", f"{status} {headers['X-Pare-Variant']}")
        return {"event": event, "fallbacks": s.metric("pare_fallback_total")}


def not_a_number(lab):
    """A quantized form whose answers are no numbers."""
    return broken_form(lab, "nan", lambda f: poke(f, "transformer.ln_f.weight", 0, b"\xff" * 64), "nan")


def wrong(lab):
    """A quantized form whose answers are numbers, but others."""

    def spoil(f):
        poke(f, "score.weight", 0, random.Random(2).randbytes(tensor_bytes(f, "score.weight")))

    return broken_form(lab, "wrong", spoil, "agreement")


def unread(lab):
    """Clients that ask and do not read what they asked for."""
    with Server(lab, ["nli-minilm", "news-gpt2"], limits={"idle_ms": 3000}) as s:
        sockets, request = [], http_bytes("GET", "/openapi.json")
        for _ in range(20):
            c = socket.socket()
            c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            c.connect(("127.0.0.1", s.port))
            c.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    c.send(request * 50)
            sockets.append(c)
        for _ in range(20):
            c = socket.socket()
            c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            c.connect(("127.0.0.1", s.port))
            c.sendall(http_bytes("POST", "/v1/completions", json.dumps(dict(STREAM, max_tokens=240)).encode()))
            sockets.append(c)
        for i in range(20):
            check(s.classify("nli-minilm", str(i))[0] == 200, "others are not answered")
        until(lambda: s.metric("pare_connections") <= 2, 60, "who does not read keeps the connection")
        check(s.metric("pare_queue_requests") == 0, "a stream that nobody reads is still there")
        rss = s.rss_mb()
        for c in sockets:
            c.close()
        s.alive()
        return {"clients": len(sockets), "rss_mb": round(rss)}


def mixed(lab):
    """All at once: classification, streams, clients that leave, load and unload, SIGHUP, both forms and their shadow.
    For builds with sanitizers: their reports fail it."""
    both = str(lab.model("agnews-gpt2", "mixed", "int8"))
    news = str(lab.model("news-gpt2", "mixed-news", "int8"))
    rollout = {"mode": "ab", "shadow": {"share": 0.3}}
    models = ["intent-linear", {"name": "topic", "path": both, "rollout": rollout, "keep_original": True},
              {"name": "news-gpt2", "path": news, "rollout": rollout}, "wiki-title-bart",
              {"name": "mood", "path": "sentiment-linear"}]
    with Server(lab, models, generation={"streams": 4}, limits={"queue": 16}) as s:
        kinds = ["classify", "stream", "leave", "linear", "summary", "models", "look", "signal"]
        rng = random.Random(3)

        def ask(i):
            kind = kinds[i % len(kinds)]
            if kind == "classify":
                status = s.classify("topic", f"text {rng.randrange(50)}")[0]
            elif kind == "stream":
                status, _, body = s.post("/v1/completions", dict(STREAM, max_tokens=40, n=2, prompt=f"Oil {rng.randrange(9)}"))
                check(status != 200 or body.endswith(b"[DONE]\n\n"), f"a stream was cut: {body[-200:]!r}")
            elif kind == "leave":
                body = dict(STREAM, stream=rng.random() < 0.5, prompt=f"Gold {rng.random()}")
                with s.connect() as c:
                    c.sendall(http_bytes("POST", "/v1/completions", json.dumps(body).encode()))
                    time.sleep(rng.random() / 20)
                status = 200
            elif kind == "linear":
                status = s.classify("intent-linear", f"book {rng.random()}")[0]
            elif kind == "summary":
                status = s.post("/models/wiki-title-bart", {"inputs": f"Berlin is the capital {rng.randrange(30)}."})[0]
            elif kind == "models":
                name, variant = rng.choice(["topic", "news-gpt2", "mood"]), rng.choice(["", "", "original", "quantized"])
                body = {"parameters": {"variant": variant}} if variant and name != "mood" else {}
                status = s.post(f"/v2/repository/models/{name}/load", body)[0]
                if name == "mood":
                    s.post("/v2/repository/models/mood/unload", "")
            elif kind == "look":
                status = s.get(rng.choice(["/metrics", "/v2/models/stats", "/v1/models", "/", "/v2/health/ready"]))[0]
            else:
                time.sleep(0.5)
                s.write_config(models[: rng.randrange(4, 6)], generation={"streams": 4}, limits={"queue": 16})
                s.process.send_signal(signal.SIGHUP)
                status = 200
            check(status in (200, 429), f"{kind}: {status}")

        clients = Clients(2 * len(kinds) - 1, ask)
        time.sleep(lab.seconds)
        s.process.send_signal(signal.SIGTERM)  # in the middle of it
        time.sleep(0.2)
        clients.stopped.set()
        done = clients.stop()
        code = s.process.wait(120)
        check(code == 0, f"the server left with {code}: {s.log()[-3000:]}")
        found = SANITIZERS.search(s.log())
        check(not found, s.log()[max(0, (found.start() if found else 0) - 300):][:6000])
        answers = [e for e in clients.errors if not e.startswith(("Connection", "RemoteDisconnected", "BrokenPipe"))]
        unready = [e for e in answers if "404" not in e and "503" not in e]
        check(not unready, f"{len(unready)}: {unready[:3]}")
        return {"requests": done, "lines": len(s.log().splitlines())}


EXPERIMENTS = {f.__name__: f for f in (overload, slow_header, slow_body, half_closed, idle, malformed_http, malformed_json,
                                       files, sigterm, sigkill, memory, descriptors, not_a_number, wrong, unread, mixed)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("project", type=pathlib.Path)
    parser.add_argument("names", nargs="*", metavar="EXPERIMENT", help=", ".join(EXPERIMENTS))
    parser.add_argument("--work", default="out/faults", help="a directory that is emptied")
    parser.add_argument("--seconds", type=float, default=60, help="how long loads last")
    o = parser.parse_args()
    unknown = [n for n in o.names if n not in EXPERIMENTS]
    if unknown:
        parser.error(f"no experiment {unknown[0]}: {', '.join(EXPERIMENTS)}")
    bad = 0
    for name in o.names or EXPERIMENTS:
        lab = Lab(o.program.resolve(), o.project.resolve(), pathlib.Path(o.work).resolve() / name, o.seconds)
        try:
            result = dict({"experiment": name, "ok": True}, **EXPERIMENTS[name](lab))
        except (Failed, OSError, ValueError, subprocess.SubprocessError) as error:
            result = {"experiment": name, "ok": False, "why": f"{type(error).__name__}: {error}"}
            bad += 1
        print(json.dumps(result), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
