"""Serves one small language model through llama.cpp's OpenAI-compatible API, on a free port of 127.0.0.1.

A second argument names a template of the chat that knows tools, which the model's own does not.

Prints `listening on http://127.0.0.1:PORT` once it answers, and ends when its standard input does, so that it
never outlives the program that started it.
"""

import os
import sys
from pathlib import Path

import xllamacpp

MODEL_NAME = "smollm2"
# What the model was trained with.
CONTEXT_TOKENS = 8192
# A model this small may never find an end, above all in languages it hardly knows.
LONGEST_ANSWER_TOKENS = 96


def parameters(weights: str, chat_template: str | None = None) -> xllamacpp.CommonParams:
    params = xllamacpp.CommonParams()
    params.model.path = weights
    params.model_alias = {MODEL_NAME}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = CONTEXT_TOKENS
    params.n_predict = LONGEST_ANSWER_TOKENS
    # Several threads wait for each other at every step, which takes very long where the machine is busy.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    # The likeliest words, the same ones each time, without going round in circles.
    params.sampling.temp = 0.0
    params.sampling.penalty_repeat = 1.2
    params.sampling.penalty_last_n = 256
    if chat_template is not None:
        params.use_jinja = True
        params.chat_template = chat_template
        # A call repeats the words of its function, which the penalty would keep it from.
        params.sampling.penalty_repeat = 1.0
    return params


def main() -> None:
    weights, *templates = sys.argv[1:]
    chat_template = Path(templates[0]).read_text(encoding="utf-8") if templates else None
    server = xllamacpp.Server(parameters(weights, chat_template))
    print(f"listening on {server.listening_address}", flush=True)
    sys.stdin.read()
    # Nothing is left to be saved, and taking the model's threads down one by one takes time.
    os._exit(0)


if __name__ == "__main__":
    main()
