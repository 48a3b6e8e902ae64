"""The shipped bundles give the same answers on this machine, on x86 without VNNI and on the Pi's cores."""

import os
import sys
from pathlib import Path

import pytest
import soundfile
from helpers import ROOT

from benchmarks.device.processors import BUNDLES, CLIP, LIMIT, Processor, differences, emulated, identities, stream
from edge.runtimes import REGISTRY, installed

RUNTIMES = [name for name in REGISTRY if installed(name)]

ARM64 = Path(os.environ["SER_ARM64"]) if "SER_ARM64" in os.environ else None
"""Made by benchmarks/device/arm64_system.sh"""
WANTED = {
    "Haswell (QEMU)": "qemu-user-static",
    "Nehalem (QEMU)": "qemu-user-static",
    **{
        f"cortex-{core} (QEMU)": "SER_ARM64=FOLDER of benchmarks/device/arm64_system.sh"
        for core in ("a53", "a72", "a76")
    },
}
"""Of `emulated`; valgrind shows the same kind of processor as Haswell, whose kernels saturate under both"""
CLIP_SECONDS = 5.6
"""The first voice of the clip and the beginning of the second"""
FLOAT32 = "cortex-a72 (QEMU)"
"""float32 sums cannot saturate, so one processor suffices"""
FLOAT32_OPENED = ("Haswell (QEMU)", "Nehalem (QEMU)")
"""The golden values alone; the benchmark streams float32 on every processor"""

pytestmark = pytest.mark.skipif(not RUNTIMES, reason="needs a runtime")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    samples, rate = soundfile.read(CLIP, dtype="int16")
    path = tmp_path_factory.mktemp("clip") / "clip.wav"
    soundfile.write(path, samples[: round(CLIP_SECONDS * rate)], rate)
    return path


@pytest.fixture(scope="module")
def here(clip):
    """The answers of this machine."""
    return stream((sys.executable,), cases(*BUNDLES), clip)


def cases(*bundles: str) -> list[tuple[str, str]]:
    return [(bundle, runtime) for bundle in bundles for runtime in RUNTIMES]


def processor(name: str) -> Processor:
    found = next((found for found in emulated(ARM64) if found.name == name), None)
    return found or pytest.skip(f"needs {WANTED[name]}")


@pytest.mark.parametrize("name", WANTED)
def test_every_processor_gives_the_same_answers(name, clip, here, monkeypatch):
    """The golden values hold there (or `stream` fails), and every decision and segment of the clip is the same,
    whatever this machine's settings say of its own processor."""
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")  # an illegal instruction on Nehalem
    wanted = cases("int8", "float32") if name == FLOAT32 else cases("int8")
    opened = cases("float32") if name in FLOAT32_OPENED else []
    answers = stream(processor(name).command, wanted, clip, opened)
    assert list(answers) == wanted
    for case, events in answers.items():
        found = differences(here[case], events)
        assert found["n_decisions"] > 10, case
        assert found["flip_rate"] == 0, case
        assert found["max_abs_diff"] <= LIMIT, case


def test_the_transcript_belongs_to_the_shipped_bundles():
    transcript = (ROOT / "docs" / "arm64-transcript.txt").read_text(encoding="utf-8")
    for name, identity in identities().items():
        assert f"bundle {name}: {identity}" in transcript, "make it again: benchmarks/device/arm64.sh"
