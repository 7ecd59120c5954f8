"""What the machine can do, measured in the same run: products by build/micro_gemm, reads by build/micro_read."""
import json
import os
import subprocess

PRODUCTS = {"int8": "gemm_i8", "f32": "gemm_f32", "bf16": "gemm_bf16"}


class Limits:
    def __init__(self, build, threads, given):
        self.build, self.threads, self.given = build, threads, given
        self.rates, self.reads = {}, {}

    def products(self, kind, isa):
        """10^9 operations a second of all threads: the highest that a table's products reach on one core, times those."""
        if kind in self.given and isa != "avx2":  # what is given is said of the best table
            return self.given[kind]
        if isa not in self.rates:
            out = subprocess.run([os.path.join(self.build, "micro_gemm"), isa], check=True, stdout=subprocess.PIPE,
                                 text=True).stdout
            rows = [line.split() for line in out.splitlines() if line.startswith(isa + " ")]
            # table product tile, then rate and share of M 126, M 8, M 1
            self.rates[isa] = {r[1]: max(float(r[2]), float(r[3]), float(r[5])) for r in rows}
        rate = self.rates[isa].get(PRODUCTS[kind])
        return rate and rate * self.threads

    def read(self, weight_bytes):
        """GB a second from a buffer as large as the weights."""
        if "read" in self.given:
            return self.given["read"]
        mib = max(1, round(weight_bytes / 2**20))
        if mib not in self.reads:
            out = subprocess.run([os.path.join(self.build, "micro_read"), str(self.threads), str(mib)], check=True,
                                 stdout=subprocess.PIPE, text=True).stdout
            self.reads[mib] = json.loads(out)["gb_per_s"]
        return self.reads[mib]

    def share(self, line, pare):
        """{reached, limit, unit, share} of the last turn, or None where the machine's limit is not known."""
        reached = pare.reached()
        if line.limit == "read":
            now, limit, unit = reached["gb_per_s"], self.read(pare.weight_bytes()), "GB/s"
        else:
            now, limit, unit = reached["gops"], self.products(line.limit, pare.record["isa"]), "GOPS"
        return limit and {"reached": round(now, 1), "limit": round(limit, 1), "unit": unit,
                          "share": round(now / limit, 3)}
