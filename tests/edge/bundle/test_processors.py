"""The shipped bundles give the same answers on this machine, on x86 without VNNI and on the Pi's cores."""

import os
import sys
from pathlib import Path

import pytest
from helpers import ROOT

from benchmarks.device.processors import LIMIT, differences, emulated, identities, stream
from edge.runtimes import REGISTRY, installed

ARM64 = Path(os.environ["SER_ARM64"]) if "SER_ARM64" in os.environ else None
"""Made by benchmarks/device/arm64_system.sh"""
WANTED = {
    "AVX2 (valgrind)": "valgrind",
    "Haswell (QEMU)": "qemu-user-static",
    "Nehalem (QEMU)": "qemu-user-static",
    **{
        f"cortex-{core} (QEMU)": "SER_ARM64=FOLDER of benchmarks/device/arm64_system.sh"
        for core in ("a53", "a72", "a76")
    },
}
CASES = [
    *((name, "int8", runtime) for name in WANTED for runtime in REGISTRY),
    *((name, "float32", runtime) for name in ("Haswell (QEMU)", "cortex-a72 (QEMU)") for runtime in REGISTRY),
]
"""float32 sums cannot saturate, so one processor of each kind suffices"""


@pytest.fixture(scope="module")
def here():
    """`here(bundle, runtime)`: the answers of this machine."""
    made = {}

    def answers(bundle: str, runtime: str) -> list[dict]:
        if (bundle, runtime) not in made:
            made[bundle, runtime] = stream((sys.executable,), bundle, runtime)
        return made[bundle, runtime]

    return answers


@pytest.mark.parametrize(("name", "bundle", "runtime"), CASES)
def test_every_processor_gives_the_same_answers(name, bundle, runtime, here):
    """The golden values hold there (or `stream` fails), and every decision and segment of the clip is the same."""
    processor = next((found for found in emulated(ARM64) if found.name == name), None)
    if not installed(runtime):
        pytest.skip(f"needs {runtime}")
    if processor is None:
        pytest.skip(f"needs {WANTED[name]}")
    found = differences(here(bundle, runtime), stream(processor.command[runtime], bundle, runtime))
    assert found["n_decisions"] > 10
    assert found["flip_rate"] == 0
    assert found["max_abs_diff"] <= LIMIT


def test_the_transcript_belongs_to_the_shipped_bundles():
    transcript = (ROOT / "docs" / "arm64-transcript.txt").read_text(encoding="utf-8")
    for name, identity in identities().items():
        assert f"bundle {name}: {identity}" in transcript, "make it again: benchmarks/device/arm64.sh"
