"""The server that a user would write: FastAPI, ONNX Runtime int8, Hugging Face tokenizers. serve.py starts it, by uvicorn.
Environment: PEER_ONNX and PEER_TOKENIZER are files, PEER_THREADS the threads of ONNX Runtime, PEER_ASYNC=1 answers in the event
loop instead of a pool of threads: a text takes milliseconds of both ways' only processor, and less is in each other's way.
"""
import os

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel
from tokenizers import Tokenizer

LONGEST = 128


def opened():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["PEER_THREADS"])
    return onnxruntime.InferenceSession(os.environ["PEER_ONNX"], options, providers=["CPUExecutionProvider"])


tokenizer = Tokenizer.from_file(os.environ["PEER_TOKENIZER"])
tokenizer.no_padding()
tokenizer.enable_truncation(LONGEST)
session = opened()
app = FastAPI()


class Question(BaseModel):
    inputs: str


def probabilities(text):
    ids = np.array([tokenizer.encode(text).ids], np.int64)
    logits = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0]
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def answer(question: Question):
    return [{"label": f"LABEL_{i}", "score": float(p)} for i, p in enumerate(probabilities(question.inputs))]


async def answer_in_loop(question: Question):
    return answer(question)


@app.get("/ready")
def ready():
    return {}


app.post("/predict")(answer_in_loop if os.environ.get("PEER_ASYNC") == "1" else answer)
