"""Several servers up at once, of which one is measured; what they answer is checked first; rounds become records."""
import random
import statistics
import time

import serve_clients as clients
from participants import Failed

PAUSE_S = 0.3  # between turns
NEAR = 2e-2  # of probabilities to the F32 model's
QUESTIONS = ["Stocks rose after the report.", "The team won the final in extra time.", "A new phone was presented."]


class Up:
    """makes: (name, function, arguments of it..). All but the one that is measured are stopped."""

    def __init__(self, *makes):
        self.makes, self.there, self.absent = makes, {}, {}

    def __enter__(self):
        try:
            for name, make, *arguments in self.makes:
                try:
                    self.there[name] = make(*arguments)
                except (Failed, OSError) as e:
                    self.absent[name] = str(e)
            if "pare" not in self.there:
                raise Failed(self.absent["pare"])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for server in self.there.values():
            server.close()

    def only(self, name):
        for other, server in self.there.items():
            if other != name:
                server.pause()
        self.there[name].resume()
        time.sleep(PAUSE_S)
        return self.there[name]

    def checked(self, check, *arguments):
        """{name: what check says}; one that fails is not timed, and without ours there is nothing to do."""
        found = {}
        for name in list(self.there):
            try:
                found[name] = check(self.only(name), *arguments)
            except (Failed, OSError, LookupError, TypeError) as e:
                if name == "pare":
                    raise
                self.absent[name] = f"{type(e).__name__}: {e}"
                self.there.pop(name).close()
        return found

    def rounds(self, count, measure):
        """[{name: measure(server)}]: in every round everyone, in shuffled order."""
        names, out = list(self.there), []
        for _ in range(count):
            random.shuffle(names)
            out.append({name: measure(self.only(name)) for name in names})
        return out


def original_answers(setting):
    """The F32 model's probabilities for QUESTIONS, by label number."""
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(setting.tokenizer)
    tokenizer.no_padding()
    session = onnxruntime.InferenceSession(setting.below("forms", "distilbert-cls.onnx"), providers=["CPUExecutionProvider"])
    out = []
    for text in QUESTIONS:
        ids = np.array([tokenizer.encode(text).ids], np.int64)
        powers = np.exp(session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0])
        out.append((powers / powers.sum()).tolist())
    return out


def check_classes(server, expected):
    """The largest difference to the F32 model's probabilities."""
    worst = 0
    for text, right in zip(QUESTIONS, expected):
        answer = server.ask({"inputs": text})
        answer = answer[0] if isinstance(answer[0], list) else answer
        got = {a["label"]: a["score"] for a in answer}
        worst = max(worst, *(abs(got[f"LABEL_{i}"] - p) for i, p in enumerate(right)))
    if not worst <= NEAR:
        raise Failed(f"answers something else: a probability is {worst:.4f} from the original's, expected at most {NEAR}")
    return round(worst, 5)


def target(what, values, least=None, most=None, unit=""):
    """values: one of each round. Their median counts; without least and most it is only shown."""
    middle = statistics.median(values)
    ok = (least is None or middle >= least) and (most is None or middle <= most)
    return {"what": what, "value": middle, "lowest": min(values), "highest": max(values), "least": least, "most": most,
            "unit": unit, "ok": None if least is None and most is None else ok}


def record(name, title, rounds, targets, **more):
    return {"line": name, "title": title, "rounds": rounds, "targets": targets,
            "summary": {n: clients.median([r[n] for r in rounds]) for n in rounds[0]}, **more}


def over_fastest(rounds, key, absent):
    """(name, ratios): who of the others has most by the median, and ours over it in every round."""
    others = [n for n in rounds[0] if n != "pare"]
    if not others:
        raise Failed("nobody to compare with: " + "; ".join(f"{n}: {why}" for n, why in absent.items()))
    best = max(others, key=lambda n: statistics.median(r[n][key] for r in rounds))
    return best, [r["pare"][key] / r[best][key] for r in rounds]

