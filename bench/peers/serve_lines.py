"""What is measured, one function per kind; LINES gives their names, titles and targets."""
import json

import serve_clients as clients
import serve_servers as servers
from participants import Failed
from serve_turns import Up, check_classes, original_answers, over_fastest, record, target

CLIENTS, STREAMS, PROMPT_IDS, NEW_TOKENS = 64, 8, 16, 64
QUESTIONS = 2  # prompts that are asked before
STARTS = 10
WARM_UP_S = 1


def distilbert(setting, *options):
    return "pare", servers.pare, setting, {"distilbert": setting.distilbert}, *options


def take_classifier(setting, texts, least, most_p99=None):
    """64 clients in a closed loop, distinct texts."""
    ways = {"FastAPI, 2 workers": (2, 1, False), "FastAPI, 2 workers, in the loop": (2, 1, True),
            "FastAPI, 1 worker, 2 threads": (1, 2, False)}
    with Up(distilbert(setting, "--no-cache"), *((n, servers.fastapi, setting, n, *way) for n, way in ways.items())) as up:
        near = up.checked(check_classes, original_answers(setting))
        for name in up.there:
            clients.wrk(setting, up.only(name), texts, CLIENTS, WARM_UP_S)
        rounds = up.rounds(setting.rounds, lambda s: clients.wrk(setting, s, texts, CLIENTS, setting.seconds))
        cross = {n: clients.closed_loop(setting, up.only(n), texts, CLIENTS, setting.seconds) for n in up.there}
        absent = up.absent
    best, ratios = over_fastest(rounds, "requests_s", absent)
    targets = [target(f"requests/s over {best}", ratios, least)]
    if most_p99:
        late = [r["pare"]["p99_ms"] / r[best]["p99_ms"] for r in rounds]
        targets.append(target(f"P99 over {best}", late, most=most_p99))
    return {"rounds": rounds, "targets": targets, "cross": cross, "near": near, "absent": absent}


def take_alone(setting, texts, most):
    """One client: what a request takes beyond the engine's own call."""
    with Up(distilbert(setting, "--no-cache")) as up:
        near = up.checked(check_classes, original_answers(setting))
        rounds = up.rounds(setting.rounds, lambda s: clients.over_engine(setting, s, setting.distilbert, texts, 1))
    return {"rounds": rounds, "near": near,
            "targets": [target("a request over the engine's own call", [r["pare"]["overhead_ms"] for r in rounds], most=most, unit=" ms")]}


def take_cache(setting):
    """A server of its own in each round: a turn from an empty cache, and one after it."""
    def turn(server):
        before = clients.counters(server)
        row = clients.wrk(setting, server, "zipf", CLIENTS, setting.seconds)
        after = clients.counters(server)
        hits, misses = (after[k] - before.get(k, 0) for k in ("pare_cache_hits_total", "pare_cache_misses_total"))
        return row | {"hit_ratio": hits / (hits + misses)}

    rounds = []
    for _ in range(setting.rounds):
        with Up(distilbert(setting)) as up:
            up.checked(check_classes, original_answers(setting))
            rounds.append({"pare, empty at first": turn(up.there["pare"]), "pare, then": turn(up.there["pare"])})
    return {"rounds": rounds, "targets": [
        target(f"hit ratio, {name}", [r[name]["hit_ratio"] for r in rounds]) for name in rounds[0]]}


def take_linear(setting, model, least):
    """wrk with one thread; 64 connections."""
    def check(server):
        answer = server.ask({"inputs": "hello"})
        scores = [a["score"] for a in answer[0]]
        if len(scores) < 2 or abs(sum(scores) - 1) > 1e-4:
            raise Failed(f"expected probabilities, found {json.dumps(answer)[:200]}")
        return len(scores)

    with Up(("pare", servers.pare, setting, {model: setting.shipped(model)}, "--no-cache")) as up:
        labels = up.checked(check)
        clients.wrk(setting, up.there["pare"], model, CLIENTS, WARM_UP_S)
        rounds = up.rounds(setting.rounds, lambda s: clients.wrk(setting, s, model, CLIENTS, setting.seconds))
    return {"rounds": rounds, "labels": labels["pare"],
            "targets": [target("requests/s", [r["pare"]["requests_s"] for r in rounds], least)]}


# What both understand; greedy, without other samplers, every prompt read anew.
GENERATE = {"max_tokens": NEW_TOKENS, "temperature": 0}
LLAMA_ONLY = {"ignore_eos": True, "cache_prompt": False, "samplers": ["top_k"], "top_k": 1}


def take_generate(setting, model, least):
    """8 streams in a closed loop, each of a prompt of 16 ids and 64 new tokens."""
    other = "llama-server Q8_0"
    asks = {"pare": GENERATE, other: GENERATE | LLAMA_ONLY}
    with open(setting.texts("prompts.txt")) as f:
        prompts = [json.loads(f"[{line}]") for line, _ in zip(f, range(QUESTIONS))]

    def check(server):
        for ids in prompts:
            used = server.ask({"prompt": ids, **asks[server.name]})["usage"]
            if (used["prompt_tokens"], used["completion_tokens"]) != (PROMPT_IDS, NEW_TOKENS):
                raise Failed(f"{used['prompt_tokens']} + {used['completion_tokens']} tokens, expected {PROMPT_IDS} + {NEW_TOKENS}")
        return NEW_TOKENS

    def turn(server):
        # {text} is a line of ids
        body = json.dumps({"prompt": "IDS", **asks[server.name]}).replace('"IDS"', "[{text}]")
        row = clients.load(setting, server, "prompts", 2 * setting.seconds, "--clients", str(STREAMS), "--body", body)
        if not row["tokens_per_s"]:
            raise Failed(f"{server.name}: no answer within {2 * setting.seconds:g} s")
        found = row["tokens_per_s"] / row["rate"]["answered"]
        if abs(found - NEW_TOKENS) > 0.01:
            raise Failed(f"{server.name}: {found:.2f} tokens in an answer, expected {NEW_TOKENS}")
        return {"tokens_s": row["tokens_per_s"], "requests_s": row["rate"]["answered"], "p50_ms": row["latency_ms"]["p50"]}

    path = setting.below("serve", f"{model}.int8")
    with Up(("pare", servers.pare_completions, setting, {model: path}),
            (other, servers.llama, setting, other, model, STREAMS)) as up:
        tokens = up.checked(check)
        rounds = up.rounds(setting.rounds, turn)
        absent = up.absent
    best, ratios = over_fastest(rounds, "tokens_s", absent)
    return {"rounds": rounds, "tokens": tokens, "absent": absent, "targets": [target(f"tokens/s over {best}", ratios, least)]}


def take_ready(setting, most):
    times = [clients.start_ms(setting, setting.distilbert) for _ in range(STARTS + 1)][1:]  # the first reads the files
    return {"rounds": [{"pare": {"ready_ms": t}} for t in times],
            "targets": [target("from exec to the first 200 of /v2/health/ready", times, most=most, unit=" ms")]}


def take_idle(setting, most):
    with Up(distilbert(setting)) as up:
        up.checked(check_classes, original_answers(setting))
        shares = {n: clients.idle_share(up.there["pare"], n) for n in (0, clients.IDLE_CONNECTIONS)}
    return {"rounds": [{"pare": {f"percent_{n}_connections": share for n, share in shares.items()}}],
            "targets": [target(f"of a core, {n} connections", [share], most=most, unit=" %") for n, share in shares.items()]}


def take_open(setting, p99_ms):
    """Poisson arrivals: the highest rate whose P99 stays below."""
    with Up(distilbert(setting, "--no-cache")) as up:
        near = up.checked(check_classes, original_answers(setting))
        row = clients.load(setting, up.there["pare"], "ag", setting.seconds, "--find-rate", "--p99-ms", str(p99_ms), "--body",
                           '{"inputs": "{text}"}', may_fail=True)
    if row["max_rate_under_slo"] is None:
        raise Failed(row["max_rate_under_slo_reason"])
    held = [t for t in row["trials"] if t["meets"] and t["rate"] <= row["max_rate_under_slo"]][-1]
    return {"rounds": [{"pare": {"requests_s": row["max_rate_under_slo"], "p99_ms": held["p99_ms"]}}], "near": near, "targets": [
        target(f"requests/s with P99 at most {p99_ms} ms", [row["max_rate_under_slo"]])]}


# name: (title, function, its further arguments)
LINES = {
    "serve.ag64": ("DistilBERT int8, AG News texts, 64 clients", take_classifier, "ag", 1.4, 0.5),
    "serve.short64": ("DistilBERT int8, texts of 8 ids, 64 clients", take_classifier, "short", 3.0),
    "serve.ag1": ("DistilBERT int8, AG News texts, one client", take_alone, "ag-100", 0.2),
    "serve.short1": ("DistilBERT int8, texts of 8 ids, one client", take_alone, "short-100", 0.2),
    "serve.cache": ("the same with a cache, 64 clients, 1,000 texts by Zipf's law (s = 1)", take_cache),
    "serve.linear.sentiment": ("sentiment-linear, 64 clients", take_linear, "sentiment-linear", 30000),
    "serve.linear.spam": ("spam-linear, 64 clients", take_linear, "spam-linear", 30000),
    "serve.linear.intent": ("intent-linear, 150 labels, top_k 1, 64 clients", take_linear, "intent-linear", 30000),
    "serve.generate8.distilgpt2": ("DistilGPT-2 int8, 8 streams, prompt 16, 64 new", take_generate, "distilgpt2", 1.5),
    "serve.generate8.gpt2": ("GPT-2 small int8, 8 streams, prompt 16, 64 new", take_generate, "gpt2", 1.5),
    "serve.ready": ("DistilBERT int8, start, files in the page cache", take_ready, 100),
    "serve.idle": ("DistilBERT int8, CPU without requests, 10 s", take_idle, 1.0),
    "serve.open": ("DistilBERT int8, AG News texts, open loop", take_open, 300),
}


def take(setting, name):
    title, function, *arguments = LINES[name]
    found = function(setting, *arguments)
    return record(name, title, found.pop("rounds"), found.pop("targets"), **found)
