"""Those who ask: wrk, `pare load`, build/micro_serve, and a watch of how a server starts and rests."""
import json
import os
import socket
import statistics
import subprocess
import time

from participants import Failed, run_json
from serve_servers import free_port

IDLE_S, IDLE_CONNECTIONS = 10, 100
START_S = 10


def wrk(setting, server, texts, clients, seconds):
    """One thread, keep-alive, the bodies of texts in turn: {requests_s, p50_ms, p99_ms, max_ms, errors}."""
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s", "--timeout", "30s", "-s",
               os.path.join(setting.here, "post.lua"), server.url(), "--", setting.texts(f"{texts}.bodies"), server.path]
    rows = run_json(command)
    if not rows:
        raise Failed(f"wrk said nothing of {server.name}")
    row = rows[-1]
    if not row["requests"]:
        raise Failed(f"{server.name}: no answer within {seconds:g} s")
    if row["errors"]:
        raise Failed(f"{server.name}: {row['errors']} errors of {row['requests']} requests")
    return {"requests_s": row["requests"] / row["seconds"], **{k: row[k] for k in ("p50_ms", "p99_ms", "max_ms")}}


def load(setting, server, texts, seconds, *options, may_fail=False):
    """`pare load`'s own object."""
    command = [setting.pare, "load", server.url() + server.path, "--data", setting.texts(f"{texts}.txt"),
               "--duration", f"{seconds:g}", "--warmup", "0.5", "--timeout", "60000", "--json", "--quiet", *options]
    row = run_json(command)[-1]
    if row["error_rate"] and not may_fail:
        raise Failed(f"{server.name}: {row['first_error']}")
    return row


def closed_loop(setting, server, texts, clients, seconds):
    row = load(setting, server, texts, seconds, "--clients", str(clients), "--body", '{"inputs": "{text}"}')
    return {"requests_s": row["rate"]["answered"], "p50_ms": row["latency_ms"]["p50"], "p99_ms": row["latency_ms"]["p99"]}


def over_engine(setting, server, model, texts, rounds):
    command = [os.path.join(setting.build, "micro_serve"), model, f"127.0.0.1:{server.port}", server.path.split("/")[-1],
               setting.texts(f"{texts}.txt"), str(rounds)]
    return run_json(command)[-1]


def counters(server):
    """Sums over all labels of what /metrics counts."""
    found = {}
    for line in server.ask(None, "/metrics").splitlines():
        if line and not line.startswith("#"):
            name, value = line.split("{")[0].split(" ")[0], line.rsplit(" ", 1)[1]
            found[name] = found.get(name, 0) + float(value)
    return found


def start_ms(setting, model):
    """From exec to the first 200 of /v2/health/ready, asked every half millisecond."""
    port = free_port()
    command = [setting.pare, "serve", f"m={model}", "--listen", f"127.0.0.1:{port}", "--threads", str(setting.threads), "--quiet"]
    with open(setting.log, "a") as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log, close_fds=False)
        try:
            while time.perf_counter() - start < START_S:
                try:
                    with socket.create_connection(("127.0.0.1", port), 5) as s:
                        s.sendall(b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                        if s.recv(4096).startswith(b"HTTP/1.1 200"):
                            return 1e3 * (time.perf_counter() - start)
                except ConnectionError:
                    pass
                time.sleep(0.0005)
        finally:
            process.terminate()
            process.wait()
    raise Failed("pare serve does not get ready")


def idle_share(server, connections):
    """Per cent of a core that the server takes for nothing, with so many connections that have asked once."""
    held = []
    try:
        for _ in range(connections):
            s = socket.create_connection(("127.0.0.1", server.port), 5)
            s.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            if not s.recv(4096).startswith(b"HTTP/1.1 200"):
                raise Failed("expected status 200")
            held.append(s)
        time.sleep(1)
        before, start = server.cpu_seconds(), time.perf_counter()
        time.sleep(IDLE_S)
        return 100 * (server.cpu_seconds() - before) / (time.perf_counter() - start)
    finally:
        for s in held:
            s.close()


def median(rows):
    """Of every number in rows."""
    return {k: statistics.median(r[k] for r in rows) for k in rows[0] if all(isinstance(r[k], (int, float)) for r in rows)}
