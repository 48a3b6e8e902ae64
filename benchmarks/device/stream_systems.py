"""One system of `benchmarks.device.streaming`, alone in this process: start, first result, speech, silence.

Prints one line of JSON. Each system receives chunks of its own interval and returns whether it gave a result. Each
system imports its own libraries, so that its memory and its start do not include those of another.
"""

import argparse
import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.harness.process_status import rss_mb
from crnn.cli.command import command
from crnn.errors import InputError, require

RATE = 16000
ENOUGH_INTERVALS = 8


class Ours:
    """The bundle in the listening loop: the energy VAD, and the exact stream while someone speaks."""

    def __init__(self, bundle: Path, runtime: str, scratch: Path) -> None:
        from edge.audio.vad import make_vad
        from edge.bundle import Bundle
        from edge.loop.utterances import UtteranceRecognizer

        recognizer = Bundle.open(bundle).recognizer(runtime)
        self.recognizer = UtteranceRecognizer(recognizer, make_vad("energy", recognizer.features.sample_rate))
        g = recognizer.geometry
        self.interval_samples, self.window_samples = g.interval_samples, g.window_samples - g.lead_samples

    def process(self, samples: np.ndarray) -> bool:
        return any(getattr(event, "logits", None) is not None for event in self.recognizer.push(samples))


class OursStream:
    """The exact stream alone, with a decision in every interval, speech or not: the reference for recomputing."""

    def __init__(self, bundle: Path, runtime: str, scratch: Path) -> None:
        from edge.bundle import Bundle

        self._recognizer = Bundle.open(bundle).recognizer(runtime)
        g = self._recognizer.geometry
        self.interval_samples, self.window_samples = g.interval_samples, g.window_samples - g.lead_samples

    def process(self, samples: np.ndarray) -> bool:
        return any(result.logits is not None for result in self._recognizer.push(samples))


class Windows(ABC):
    """A system that computes every window from its own samples: the last window of the audio, in every interval."""

    def __init__(self, geometry) -> None:
        self.interval_samples, self.window_samples = (
            geometry.interval_samples,
            geometry.window_samples - geometry.lead_samples,
        )
        self._audio, self._n_samples = np.zeros(geometry.window_samples, dtype=np.float32), 0

    def process(self, samples: np.ndarray) -> bool:
        self._audio = np.concatenate([self._audio[len(samples) :], samples])
        self._n_samples += len(samples)
        if self._n_samples < self.window_samples:
            return False
        self.decide(self._audio)
        return True

    @abstractmethod
    def decide(self, window: np.ndarray) -> np.ndarray:
        """Logits `(n_classes,)` of one window, `(geometry.window_samples,)`, which includes the lead of the inputs."""


class OursRecompute(Windows):
    """The bundle's own files over whole windows: features of all frames, one pass of the encoder, head."""

    def __init__(self, bundle: Path, runtime: str, scratch: Path) -> None:
        from crnn.features import LogMel
        from edge import runtimes
        from edge.bundle import Bundle

        require((scratch / "encoder.onnx").is_file(), "onnx is not installed (pip install '.[export]')")
        manifest = Bundle.open(bundle).manifest
        super().__init__(manifest.geometry)
        self._log_mel = LogMel(manifest.features)
        self._encoder = runtimes.load(runtime, scratch / "encoder.onnx")
        self._head = runtimes.load(runtime, bundle / manifest.model_files(runtime).head)
        self._n_classes = len(manifest.labels)

    def decide(self, window: np.ndarray) -> np.ndarray:
        return self._head.run(self._encoder.run(self._log_mel(window)[None]))[0, : self._n_classes]


class TorchRecompute(Windows):
    """The same layers (random weights) over whole windows in eager torch."""

    def __init__(self, bundle: Path, runtime: str, scratch: Path) -> None:
        import torch

        from benchmarks.export.shipped_layers import same_layers
        from crnn.features import LogMel
        from edge.bundle import Bundle

        torch.set_num_threads(1)
        manifest = Bundle.open(bundle).manifest
        super().__init__(manifest.geometry)
        self._torch, self._model, self._log_mel = torch, same_layers(manifest), LogMel(manifest.features)

    def decide(self, window: np.ndarray) -> np.ndarray:
        with self._torch.inference_mode():
            return self._model(self._torch.from_numpy(self._log_mel(window))[None])[0].numpy()


class SileroAlone:
    """silero-vad's ONNX model as its own wrapper runs it: 512 samples after 64 of context, and the recurrent state."""

    interval_samples, window_samples, context = 512, 576, 64

    def __init__(self, bundle: Path, runtime: str, scratch: Path) -> None:
        import onnxruntime

        found = find_spec("silero_vad")  # importing it would import torch
        require(found is not None, "silero-vad is not installed (pip install --no-deps silero-vad)")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(Path(found.submodule_search_locations[0]) / "data" / "silero_vad.onnx"),
            options,
            providers=["CPUExecutionProvider"],
        )
        self._samples = np.zeros((1, self.window_samples), dtype=np.float32)
        self._state, self._rate = np.zeros((2, 1, 128), dtype=np.float32), np.array(RATE, dtype=np.int64)

    def process(self, samples: np.ndarray) -> bool:
        self._samples[:, : self.context] = self._samples[:, -self.context :]
        self._samples[:, self.context :] = samples
        given = {"input": self._samples, "state": self._state, "sr": self._rate}
        _, self._state = self._session.run(None, given)
        return True


class Egemaps(Windows):
    """openSMILE's eGeMAPSv02 functionals of every window: 88 values for a classifier that is not counted."""

    def __init__(self, bundle: Path, runtime: str, scratch: Path) -> None:
        require(find_spec("opensmile") is not None, "opensmile is not installed (pip install opensmile)")
        import opensmile

        from edge.bundle import Bundle

        super().__init__(Bundle.open(bundle).manifest.geometry)
        self._smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)

    def decide(self, window: np.ndarray) -> np.ndarray:
        return self._smile(window[-self.window_samples :], RATE)


SYSTEMS = {
    "ours": Ours,
    "ours_stream": OursStream,
    "ours_recompute": OursRecompute,
    "torch_recompute": TorchRecompute,
    "silero_vad": SileroAlone,
    "egemaps": Egemaps,
}


def endless(audio: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Chunks of `size` samples; after the end the audio starts again."""
    at = 0
    while True:
        yield audio.take(np.arange(at, at + size), mode="wrap")
        at = (at + size) % len(audio)


def play(system, audio: np.ndarray, seconds: float, budget_s: float) -> tuple[list[float], float]:
    """Latency (s) of each interval, and CPU seconds per second of audio. Plays `seconds` of it, for about `budget_s` s
    at most."""
    latencies, cpu, played, end = [], 0.0, 0.0, time.perf_counter() + budget_s
    for samples in endless(audio, system.interval_samples):
        cpu -= time.process_time()
        start = time.perf_counter()
        system.process(samples)
        latencies.append(time.perf_counter() - start)
        cpu += time.process_time()
        played = len(latencies) * system.interval_samples / RATE
        if played >= seconds or (time.perf_counter() >= end and len(latencies) >= ENOUGH_INTERVALS):
            break
    return latencies, cpu / played


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("runtime")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("scratch", type=Path, help="holds speech.npy, silence.npy and the whole-window encoder")
    parser.add_argument("--started", type=float, required=True, help="time.monotonic() when this process was started")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--budget", type=float, required=True)
    args = parser.parse_args(argv)
    try:
        system = SYSTEMS[args.system](args.bundle, args.runtime, args.scratch)
    except (InputError, ImportError) as error:
        sys.stdout.write(json.dumps({"skipped": str(error)}) + "\n")
        return 0
    speech, silence = (np.load(args.scratch / f"{name}.npy") for name in ("speech", "silence"))
    for samples in endless(speech, system.interval_samples):
        if system.process(samples):
            break
    startup_s = time.monotonic() - args.started
    latencies, speech_cost = play(system, speech, args.seconds, args.budget)
    _, silence_cost = play(system, silence, args.seconds, args.budget)
    row = {
        "interval_seconds": system.interval_samples / RATE,
        "window_seconds": system.window_samples / RATE,
        "rtf": speech_cost,
        "latency_ms_p50": 1000 * float(np.percentile(latencies, 50)),
        "latency_ms_p95": 1000 * float(np.percentile(latencies, 95)),
        "rss_mb": rss_mb(),
        "startup_s": startup_s,
        "cpu_s_per_hour_speech": 3600 * speech_cost,
        "cpu_s_per_hour_silence": 3600 * silence_cost,
    }
    sys.stdout.write(json.dumps(row) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
