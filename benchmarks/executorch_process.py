"""One runtime of `benchmarks.executorch_trial`, alone in this process: start, first result, then calls as asked.

The first line written is what the start cost; then, for every line `PART CALLS` read, the seconds of one call. What a
runtime needs is imported where it is loaded, so that neither its memory nor its start carries another's.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.stream_systems import rss_mb

Run = Callable[[np.ndarray], np.ndarray]


def onnx(path: Path) -> Run:
    from edge import runtimes

    return runtimes.load("onnx", path, threads=1).run


def executorch(path: Path) -> Run:
    """PyTorch's own Python package. It computes in tensors, so it needs torch."""
    import torch
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    torch.set_num_threads(1)
    portable_lib._unsafe_reset_threadpool(1)  # the only way that Python has
    method = Runtime.get().load_program(path).load_method("forward")
    return lambda x: method.execute([torch.from_numpy(x)])[0].numpy()


def executorch_numpy_runtime(path: Path) -> Run:
    """Another author's package of the same C++ code. The number of its threads cannot be set."""
    from executorch_numpy_runtime import Runtime

    method = Runtime.get().load_program(str(path)).load_method("forward")
    return lambda x: method([x])[0]


LOADERS = {loader.__name__: loader for loader in (onnx, executorch, executorch_numpy_runtime)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runtime", choices=LOADERS)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("head", type=Path)
    parser.add_argument("inputs", type=Path, help="npz: encoder and head, (n, ...) float32, n inputs each")
    parser.add_argument("outputs", type=Path, help="npz to write: what came of each, (n, ...) float32")
    parser.add_argument("--started", type=float, required=True, help="time.monotonic() when this process was started")
    args = parser.parse_args()
    inputs = dict(np.load(args.inputs))
    runs = {part: LOADERS[args.runtime](getattr(args, part)) for part in ("encoder", "head")}
    for part, run in runs.items():
        run(inputs[part][:1])
    start = {"startup_s": time.monotonic() - args.started, "startup_cpu_s": time.process_time(), "rss_mb": rss_mb()}
    outputs = {part: np.concatenate([run(x[None]) for x in inputs[part]]) for part, run in runs.items()}
    np.savez(args.outputs, **outputs)
    sys.stdout.write(json.dumps(start) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        part, calls = line.split()
        x, run = inputs[part][:1], runs[part]
        run(x)
        begun = time.perf_counter()
        for _ in range(int(calls)):
            run(x)
        sys.stdout.write(f"{(time.perf_counter() - begun) / int(calls)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
