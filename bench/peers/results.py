"""From the rounds of a line to its ratios, and to the Markdown of docs/measured.md."""
import statistics


def summary(rounds):
    names = rounds[0].keys()
    return {n: {"median": statistics.median(r[n]["median"] for r in rounds), "min": min(r[n]["min"] for r in rounds)}
            for n in names}


def judge(line, rounds, ours="pare"):
    """A ratio per target: the fastest of its peers by the medians of all rounds, and the same two in each round."""
    found, out = summary(rounds), []
    for target in line.targets:
        names = [n for n in target.of if n in found]
        if not names:
            out.append({"of": target.of, "least": target.least, "missing": "none of these could be timed"})
            continue
        fastest = min(names, key=lambda n: found[n]["median"])
        ratios = [r[fastest]["median"] / r[ours]["median"] for r in rounds]
        ratio = found[fastest]["median"] / found[ours]["median"]
        out.append({"of": target.of, "fastest": fastest, "ratio": round(ratio, 3), "lowest": round(min(ratios), 3),
                    "highest": round(max(ratios), 3), "least": target.least, "ok": ratio >= target.least,
                    "absent": [n for n in target.of if n not in found]})
    return out


def shown(ms, unit):
    return f"{ms:.3g} ms" if unit == "ms" and ms < 100 else f"{ms:.0f} ms" if unit == "ms" else f"{1e3 / ms:.4g}/s"


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def markdown(results, load):
    out = [row("workload", "pare", "beside it", "ratio (lowest to highest round)", "target", "", "of the machine's limit"),
           row(*["---"] * 7)]
    for r in results:
        ours, limit = r["summary"]["pare"], r["limit"]
        share = f"{limit['reached']:g} of {limit['limit']:g} {limit['unit']}, {limit['share']:.0%}" if limit else "-"
        for i, t in enumerate(r["targets"]):
            first = i == 0
            head = [r["title"] if first else "", shown(ours["median"], r["unit"]) if first else ""]
            if "missing" in t:
                out.append(row(*head, ", ".join(t["of"]), t["missing"], f"{t['least']:g}", "not measured", ""))
                continue
            beside = f"{t['fastest']} {shown(r['summary'][t['fastest']]['median'], r['unit'])}"
            out.append(row(*head, beside, f"{t['ratio']:.2f} ({t['lowest']:.2f} to {t['highest']:.2f})",
                           f"{t['least']:g}", "ok" if t["ok"] else "**missed**", share if first else ""))
    if load:
        o = load["pare"]
        out.append(row("DistilBERT int8, weights loaded", f"{o['load_ms']:.1f} ms", "", "", f"at most {load['load_limit']} ms",
                       "ok" if o["load_ms"] <= load["load_limit"] else "**missed**", ""))
        over = (o["rss_bytes"] - o["size_bytes"]) / 1e6
        out.append(row("the same, peak memory over the weight file", f"{over:.1f} MB", "", "",
                       f"at most {load['over_file_limit_mb']} MB",
                       "ok" if over <= load["over_file_limit_mb"] else "**missed**", ""))
    out += ["", "Everyone, median of the rounds' medians (fastest single time):", "", row("workload", "", "time or rate"),
            row("---", "---", "---")]
    for r in results:
        for i, (name, x) in enumerate(sorted(r["summary"].items(), key=lambda kv: kv[1]["median"])):
            out.append(row(r["title"] if i == 0 else "", name,
                           f"{shown(x['median'], r['unit'])} ({shown(x['min'], r['unit'])})"))
    if load:
        for i, (name, x) in enumerate(load.items()):
            if isinstance(x, dict):
                more = (f" (tokenizer {x['tokenizer_ms']:.1f} ms, self-test {x['self_test_ms']:.1f} ms)"
                        if "tokenizer_ms" in x else "")
                out.append(row("load of DistilBERT int8, peak memory" if i == 0 else "", name,
                               f"{x['load_ms']:.1f} ms{more}, {x['rss_bytes'] / 1e6:.0f} MB"))
    return "\n".join(out)
