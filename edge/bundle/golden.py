"""Golden values: the outputs of a bundle's files, and of the float32 model they come from, for a generated waveform.

A device replays the waveform before it runs a bundle. Files whose 8-bit weights use 7 bits give the same values on
every processor: their sums fit into the 16 bits in which x86 processors without VNNI add pairs of products.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crnn.config import FeatureConfig, StreamGeometry
from crnn.errors import require
from crnn.files.npz import read_arrays
from edge import runtimes
from edge.stream.recognizer import StreamingRecognizer

GOLDEN = "golden.npz"
FRAMES = 8
"""Frames whose features are stored, the last that the encoder is given first: they contain every band"""
FEATURE_TOLERANCE = 1e-4
"""Largest difference of log-mel values from the golden ones"""
MODEL_TOLERANCE = 1e-3
"""Likewise of logits, pooled vectors and arousal, whatever the scheme"""
OTHER_KERNELS_TOLERANCE = 2e-2
"""Likewise of int8 files under another package than the one that made the values: tflite-runtime 2.14 rounds elsewhere
than LiteRT, and its logits differ by 0.005 (shipped bundles) to 0.01"""
BUNDLE_AT_FAULT = "the golden values were made by wrong arithmetic: make the bundle again"
"""End of the error if this machine is nearer to the float32 model than the machine that made the bundle"""


def waveform(features: FeatureConfig, geometry: StreamGeometry) -> np.ndarray:
    """Pulses like those of a voice of varying pitch and level, with clicks; int16 `(time,)`, for two decisions or more.

    Generated, so that a bundle contains no recording; mostly zeros, so that it is small when compressed.
    """
    rate = features.sample_rate
    time = np.arange(geometry.window_samples + geometry.interval_samples) / rate
    cycles = np.cumsum(140 + 60 * np.sin(2 * np.pi * 0.7 * time)) / rate
    level = 6000 + 5000 * np.sin(2 * np.pi * 1.5 * time)
    pulses = np.where(np.diff(np.floor(cycles), prepend=0) > 0, level, 0)
    pulses = pulses - 0.7 * np.roll(pulses, 3)
    pulses[:: rate // 40] += 300
    return np.round(pulses).astype(np.int16)


def replay(recognizer: StreamingRecognizer, samples: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs for `samples` (int16): log_mel of the first interval; logits, pooled vector and, if there is one,
    arousal of every decision."""
    scaled = samples.astype(np.float32) / 32768
    results = recognizer.push(scaled)
    recognizer.reset()
    made = {
        "log_mel": recognizer.first_log_mel(scaled)[:, -FRAMES:],
        "logits": np.stack([result.logits for result in results if result.logits is not None]),
        "pooled": np.stack([result.pooled for result in results if result.pooled is not None]),
    }
    arousal = [result.arousal for result in results if result.arousal is not None]
    return made | ({"arousal": np.array(arousal, np.float32)} if recognizer.arousal else {})


def write(
    folder: Path, labels: Sequence[str], float32: StreamingRecognizer, made: Mapping[str, StreamingRecognizer]
) -> None:
    """Write `golden.npz`: the waveform, and the outputs of the float32 model and of each runtime in `made`."""
    samples = waveform(float32.features, float32.geometry)
    reference = replay(float32, samples)
    values: dict[str, Any] = {"waveform": samples, "labels": np.array(labels), "log_mel": reference["log_mel"]}
    for name, found in [("float32", reference), *((name, replay(files, samples)) for name, files in made.items())]:
        values |= {f"{name}_{what}": value for what, value in found.items() if what != "log_mel"}
    np.savez_compressed(folder / GOLDEN, **values)


def check(recognizer: StreamingRecognizer, runtime: str, scheme: str, folder: Path) -> None:
    """Replay the golden waveform of the bundle `folder` through `recognizer`, which runs its files under `runtime`.

    Raises InputError that names what differs and, if it can be decided, which side is wrong.
    """
    expected = read(folder / GOLDEN, recognizer.geometry)
    require(
        tuple(expected["labels"].tolist()) == recognizer.labels,
        f"{folder}: labels {recognizer.labels} are not those the bundle was made with",
    )
    other = "int8" in scheme and runtimes.package(runtime) != runtimes.REGISTRY[runtime].packages[0]
    most = OTHER_KERNELS_TOLERANCE if other else MODEL_TOLERANCE
    for what, value in replay(recognizer, expected["waveform"]).items():
        key = what if what == "log_mel" else f"{runtime}_{what}"
        limit = FEATURE_TOLERANCE if what == "log_mel" else most
        require(key in expected, f"{folder / GOLDEN}: has no golden {key}; make the bundle again")
        require(
            value.shape == expected[key].shape,
            f"{folder}: {what} under {runtime} has shape {value.shape}, golden {expected[key].shape}",
        )
        difference = _distance(value, expected[key])
        require(
            difference <= limit,
            f"{folder}: {what} under {runtime} differs from the golden values by {difference:.2g} (limit {limit:g})"
            f"{_fault(value, expected[key], expected.get(f'float32_{what}'))}; refusing to run",
        )
    require(
        recognizer.arousal or f"{runtime}_arousal" not in expected,
        f"{folder / GOLDEN}: has arousal, which the manifest has not; copy the whole folder again",
    )


def _fault(value: np.ndarray, golden: np.ndarray, float32: np.ndarray | None) -> str:
    """Which side is wrong, in words; empty for features, which do not depend on the runtime."""
    if float32 is None or float32.shape != value.shape:
        return ""
    here, there = _distance(value, float32), _distance(golden, float32)
    distances = f"; from the float32 model it is {here:.2g} here and was {there:.2g} where the bundle was made: "
    if there > here:
        return distances + BUNDLE_AT_FAULT
    return distances + "the files were changed, or this machine's runtime computes incorrectly"


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max())


def read(path: Path, g: StreamGeometry) -> dict[str, np.ndarray]:
    """The golden values of a bundle of geometry `g`: waveform int16, labels text, all else finite floats.

    Raises InputError, naming the file.
    """
    values = read_arrays(path, follow=False)
    kinds = {"labels": "U", "waveform": "i"}
    for name in values.keys() | kinds.keys():
        require(name in values, f"{path}: has no golden {name}; make the bundle again")
        require(
            values[name].dtype.kind == kinds.get(name, "f"), f"{path}: {name} is {values[name].dtype}; copy it again"
        )
    require(
        values["waveform"].dtype == np.int16 and values["waveform"].shape == (g.window_samples + g.interval_samples,),
        f"{path}: its waveform does not fit the geometry; copy the whole folder again",
    )
    require(values["labels"].ndim == 1, f"{path}: its labels are no list; copy the whole folder again")
    return values
