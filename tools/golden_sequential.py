#!/usr/bin/env python3
"""Writes tests/golden/sequential.json: confidence sequences computed by other means than server/sequential.c does.

Usage: golden_sequential.py > tests/golden/sequential.json
Needs numpy, scipy, mpmath. A share: the roots of the beta-binomial mixture martingale, found by mpmath in 60 digits. A
mean: the predictable plug-in empirical Bernstein sequence written out from theorem 2 of Waudby-Smith and Ramdas (2024)
with numpy over whole arrays.
"""
import json
import sys

import mpmath
import numpy as np

mpmath.mp.dps = 60


def share(hits, n, alpha):
    h, m = mpmath.mpf(hits), mpmath.mpf(n - hits)
    log_mixture = mpmath.loggamma(h + 1) + mpmath.loggamma(m + 1) - mpmath.loggamma(mpmath.mpf(n) + 2)
    part = lambda count, p: count * mpmath.log(p) if count else mpmath.mpf(0)
    above = lambda p: log_mixture - part(h, p) - part(m, 1 - p) - mpmath.log(1 / mpmath.mpf(alpha))
    middle, tiny = h / n, mpmath.mpf(10) ** -40

    def root(a, b):  # above() changes sign once between them
        for _ in range(200):
            c = (a + b) / 2
            if (above(c) > 0) == (above(a) > 0):
                a = c
            else:
                b = c
        return (a + b) / 2

    low = mpmath.mpf(0) if hits == 0 else root(tiny, middle if hits < n else 1 - tiny)
    high = mpmath.mpf(1) if hits == n else root(middle if hits else tiny, 1 - tiny)
    return [float(low), float(high)]


def mean(x, alpha):
    t = np.arange(1, len(x) + 1)
    mu = (0.5 + np.cumsum(x)) / (t + 1)
    variance = (0.25 + np.cumsum((x - mu) ** 2)) / (t + 1)
    mu_before, variance_before = np.append(0.5, mu[:-1]), np.append(0.25, variance[:-1])
    bet = np.minimum(np.sqrt(2 * np.log(2 / alpha) / (variance_before * t * np.log(1 + t))), 0.5)
    v = 4 * (x - mu_before) ** 2
    psi = (-np.log(1 - bet) - bet) / 4
    middle = np.cumsum(bet * x) / np.cumsum(bet)
    half = (np.log(2 / alpha) + np.cumsum(v * psi)) / np.cumsum(bet)
    low, high = np.maximum.accumulate(middle - half), np.minimum.accumulate(middle + half)
    return [float(max(0, low[-1])), float(min(1, high[-1]))]


shares = [(h, n, a) for n in (1, 2, 7, 100, 1000, 12345, 10**6, 10**9, 10**12)
          for h in sorted({0, 1, n // 10, n // 2, n - n // 100, n - 1, n}) if h <= n for a in (0.05, 0.001)]
# x_i = ((7 i) mod 11) / 10 ** k: a test writes the same values without a file.
means = [(n, k, a) for n in (1, 2, 10, 100, 5000) for k in (1, 2, 3) for a in (0.05, 0.001)]
values = lambda n, k: np.minimum(1, (7 * np.arange(1, n + 1) % 11) / 10.0 ** k)
json.dump({"share": [[h, n, a, *share(h, n, a)] for h, n, a in shares],
           "mean": [[n, k, a, *mean(values(n, k), a)] for n, k, a in means]}, sys.stdout, separators=(",", ":"))
print()
