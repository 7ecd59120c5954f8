"""The fixed question: ids that every participant is asked before it is timed, and how near its answer must be."""
import numpy as np

# Classifiers and encoders answer all rows, language models say what follows the first.
QUESTION = np.random.default_rng(7).integers(1000, 20000, (8, 24))


def closeness(answer, original):
    """Cosine between what a participant answers and what the original does, and which answer that was. Of a
    classifier's logits only how they differ between rows counts: what all rows share would hide that a row is wrong."""
    kind = next(k for k in ("logits", "hidden", "next") if k in answer)
    a, b = (np.asarray(x[kind], np.float64).ravel() for x in (answer, original))
    if a.shape != b.shape:
        raise ValueError(f"{kind}: {a.size} values, the original has {b.size}")
    if kind == "logits":
        a, b = (x.reshape(len(QUESTION), -1) for x in (a, b))
        a, b = ((x - x.mean(0)).ravel() for x in (a, b))
    return float(a @ b / np.sqrt((a @ a) * (b @ b))), kind
