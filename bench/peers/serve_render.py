#!/usr/bin/env python3
"""The tables of docs/measured.md from what `serve --json FILE` wrote. Usage: serve --render FILE"""
import json
import sys

# of a participant's numbers, in this order, those it has
SHOWN = {"requests_s": "{:,.0f} requests/s", "tokens_s": "{:,.0f} tokens/s", "p50_ms": "P50 {:.3g} ms", "p99_ms": "P99 {:.3g} ms",
         "hit_ratio": "{:.1%} from the cache", "bare_ms": "engine alone {:.3f} ms", "served_ms": "request {:.3f} ms",
         "ready_ms": "{:.1f} ms", "percent_0_connections": "{:.2f} % of a core",
         "percent_100_connections": "with 100 connections {:.2f} %"}


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def number(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def described(numbers):
    return ", ".join(form.format(numbers[k]) for k, form in SHOWN.items() if numbers.get(k) is not None)


def bound(t):
    if t["least"] is not None:
        return f"at least {t['least']:,g}{t['unit']}"
    return f"at most {t['most']:g}{t['unit']}" if t["most"] is not None else ""


def verdict(t):
    return "" if t["ok"] is None else "ok" if t["ok"] else "**missed**"


def render(records):
    head = next((r for r in records if r["line"] == "machine"), None)
    lines = [r for r in records if "targets" in r]
    out = []
    if head:
        v = head["versions"]
        out += [f"{head['cpu']}, {head['threads']} threads, {head['rounds']} rounds of {head['seconds']:g} s; {head['pare']}. FastAPI "
                f"{v.get('fastapi')} on uvicorn {v.get('uvicorn')}, onnxruntime {v.get('onnxruntime')}, tokenizers {v.get('tokenizers')}.", ""]
    out += [row("workload", "what", "median (lowest to highest round)", "target", ""), row(*["---"] * 5)]
    for r in lines:
        for i, t in enumerate(r["targets"]):
            span = f" ({number(t['lowest'])} to {number(t['highest'])})" if t["lowest"] != t["highest"] else ""
            out.append(row(r["title"] if i == 0 else "", t["what"], f"{number(t['value'])}{t['unit']}{span}", bound(t), verdict(t)))
    out += ["", "Everyone, medians of the rounds; `pare load` is the same asked by another client:", "",
            row("workload", "", "measured", "`pare load --clients`"), row(*["---"] * 4)]
    for r in lines:
        for i, (name, numbers) in enumerate(r["summary"].items()):
            cross = r.get("cross", {}).get(name)
            out.append(row(r["title"] if i == 0 else "", name, described(numbers), described(cross) if cross else ""))
        for name, why in r.get("absent", {}).items():
            out.append(row("", name, f"not measured: {why}", ""))
    return "\n".join(out)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    with open(sys.argv[1]) as f:
        print(render([json.loads(line) for line in f if line.strip()]))


if __name__ == "__main__":
    main()
