#!/usr/bin/env python3
"""Writes tests/golden/stats.json: what scipy, statsmodels, scikit-learn and numpy say about small made-up samples.

Usage: golden_stats.py > tests/golden/stats.json
Needs numpy, scipy, statsmodels, scikit-learn. The paired score interval (Newcombe 1998, method 10) is written out here
from the paper and held against statsmodels where its version has it.
"""
import json
import math
import sys

import numpy as np
from scipy import special, stats
from sklearn import metrics
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats import proportion
from statsmodels.stats.proportion import proportion_confint

rng = np.random.default_rng(20240501)


def newcombe(a, b, c, d, ci):
    """a both right, b the original alone, c the candidate alone, d neither: interval of candidate - original."""
    n = a + b + c + d
    po, pc = (a + b) / n, (a + c) / n
    alpha = 1 - ci
    lo, uo = proportion_confint(a + b, n, alpha, "wilson")
    lc, uc = proportion_confint(a + c, n, alpha, "wilson")
    product = (a + b) * (c + d) * (a + c) * (b + d)
    if product == 0:
        phi = 0.0
    else:
        cross = a * d - b * c
        if cross > 0:
            cross = max(cross - n / 2, 0)
        phi = cross / math.sqrt(product)
    low = pc - po - math.sqrt(max(0, (pc - lc) ** 2 - 2 * phi * (pc - lc) * (uo - po) + (uo - po) ** 2))
    high = pc - po + math.sqrt(max(0, (uc - pc) ** 2 - 2 * phi * (uc - pc) * (po - lo) + (po - lo) ** 2))
    if hasattr(proportion, "confint_proportions_paired"):
        reference = proportion.confint_proportions_paired([[a, c], [b, d]], method="newcomb", alpha=alpha)
        assert np.allclose(reference, (low, high), rtol=1e-9, atol=1e-12), (reference, low, high)
    return [max(low, -1), min(high, 1)]


def rates():
    out = []
    for k, n in [(0, 20), (5, 5), (16, 20), (7191, 7600), (1, 1000), (500, 1000)]:
        for ci in (0.9, 0.95, 0.99):
            low, high = proportion_confint(k, n, 1 - ci, "wilson")
            out.append({"k": k, "n": n, "ci": ci, "interval": [float(low), float(high)]})
    return out


def paired():
    out = []
    for table in [(7190, 0, 0, 410), (100, 0, 0, 0), (80, 5, 3, 12), (1, 7, 1, 12), (500, 30, 31, 39), (0, 20, 0, 0),
                  (3000, 2, 9, 12), (14, 5, 0, 22)]:
        for ci in (0.9, 0.95):
            out.append({"table": table, "ci": ci, "interval": newcombe(*table, ci)})
    return out


def exact_tests():
    out = []
    counts = [(0, 0), (1, 0), (5, 0), (3, 3), (10, 2), (2, 10), (25, 40), (400, 300), (5000, 5200), (100000, 100900)]
    for b, c in counts:
        p = 1.0 if b == c else float(stats.binomtest(max(b, c), b + c, 0.5, alternative="two-sided").pvalue)
        if b + c < 1000:
            reference = float(mcnemar([[10, b], [c, 10]], exact=True).pvalue)
            assert math.isclose(p, min(1, reference), rel_tol=1e-9), (b, c, p, reference)
        out.append({"b": b, "c": c, "p": p})
    return out


def one_sample():
    out = []
    for n in (1, 2, 5, 29, 60, 300):
        x = np.round(rng.lognormal(2, 0.4, n), 6)
        order = np.sort(x)
        bounds = []
        for p in (0.5, 0.9, 0.95, 0.99):
            # upper: smallest k with P[Bin <= k] >= .95; lower: largest k with P[Bin > k] >= .95 (indices from 0)
            upper = [k for k in range(n) if stats.binom.cdf(k, n, p) >= 0.95]
            lower = [k for k in range(n) if stats.binom.sf(k, n, p) >= 0.95]
            bounds.append([float(order[lower[-1]]) if lower else None, float(order[upper[0]]) if upper else None])
        out.append({"x": x.tolist(), "mean": float(x.mean()), "std": float(x.std(ddof=1)) if n > 1 else 0.0,
                    "median": float(np.median(x)), "p": [0.5, 0.9, 0.95, 0.99],
                    "percentiles": [float(np.percentile(x, 100 * p)) for p in (0.5, 0.9, 0.95, 0.99)],
                    "bounds": bounds})
    return out


def classification():
    out = []
    for n, classes, absent in [(40, 3, 0), (200, 5, 1), (150, 7, 2)]:
        logits = np.round(rng.normal(0, 1.5, (n, classes)), 3).astype(np.float32)
        label = rng.integers(0, classes - absent, n)  # the last classes never occur as labels
        logits[np.arange(n), label] += 1.5
        other = (logits + np.round(rng.normal(0, 0.5, logits.shape), 3)).astype(np.float32)
        prob = special.softmax(logits.astype(np.float64), axis=1)
        prediction, second = logits.argmax(1), other.argmax(1)
        names = range(classes)
        p, r, f, s = metrics.precision_recall_fscore_support(label, prediction, labels=names, zero_division=0)
        pm, rm, fm, _ = metrics.precision_recall_fscore_support(label, prediction, labels=names, zero_division=0,
                                                                average="macro")
        wide = prob
        kl = [float(stats.entropy(special.softmax(a.astype(np.float64)), special.softmax(b.astype(np.float64))))
              for a, b in zip(logits, other)]
        confidence = wide[np.arange(n), prediction]
        order = np.argsort(confidence, kind="stable")
        edges = [b * n // 15 for b in range(16)]
        ece = sum(abs((prediction[i] == label[i]).sum() - confidence[i].sum())
                  for i in (order[a:b] for a, b in zip(edges, edges[1:]))) / n
        one_hot = np.eye(classes)[label]
        out.append({
            "classes": classes, "label": label.tolist(), "prediction": prediction.tolist(), "second": second.tolist(),
            "logits": [[float(v) for v in row] for row in logits], "other": [[float(v) for v in row] for row in other],
            "confusion": metrics.confusion_matrix(label, prediction, labels=names).tolist(),
            "accuracy": float(metrics.accuracy_score(label, prediction)),
            "precision": p.tolist(), "recall": r.tolist(), "f1": f.tolist(), "support": s.tolist(),
            "macro": [float(pm), float(rm), float(fm)], "kl": kl, "ece": float(ece),
            "brier": float(((wide - one_hot) ** 2).sum(1).mean()),
            "nll": float(-np.log(np.maximum(wide[np.arange(n), label], np.finfo(float).eps)).mean()),
        })
    return out


def bootstrap():
    base = np.round(rng.lognormal(3, 0.2, 120), 6)
    candidate = np.round(base / 1.4 * rng.lognormal(0, 0.1, 120), 6)
    ratio = lambda a, b, axis=-1: np.median(a, axis=axis) / np.median(b, axis=axis)
    result = stats.bootstrap((base, candidate), ratio, paired=True, vectorized=True, n_resamples=50000,
                             method="percentile", rng=np.random.default_rng(1))
    interval = result.confidence_interval
    return {"base": base.tolist(), "candidate": candidate.tolist(),
            "interval": [float(interval.low), float(interval.high)]}


levels = (1e-9, 0.001, 0.025, 0.3, 0.5, 0.9, 0.95, 0.975, 0.995, 0.99995, 1 - 1e-12)
quantiles = [[p, float(stats.norm.ppf(p))] for p in levels]
json.dump({"normal_quantiles": quantiles, "wilson": rates(), "mcnemar": exact_tests(), "paired": paired(),
           "samples": one_sample(), "classification": classification(), "bootstrap": bootstrap()}, sys.stdout)
sys.stdout.write("\n")
