"""The doctor's findings about a machine: board, processor, libraries and Python."""

import ast
import json
import os
import shutil
from dataclasses import asdict, replace
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers import ROOT
from patients import AUDIO, DEVICE, NEVER, board, doctor, examined, pretend, problem, report

from edge.bundle import PRETRAINED, Bundle
from edge.doctor import bundle_checks
from edge.doctor.child import Ended
from edge.doctor.finding import State
from edge.doctor.machine import read_machine
from edge.doctor.selftest import SelfTest
from edge.doctor.system_checks import check_power, check_system

needs_litert = pytest.mark.skipif(not find_spec("ai_edge_litert"), reason="needs the tflite extra")
needs_pyaudio = pytest.mark.skipif(not find_spec("pyaudio"), reason="needs the mic extra")


@pytest.mark.parametrize("model", ["Raspberry Pi 4 Model B Rev 1.4", "Raspberry Pi Zero 2 W Rev 1.0"])
def test_onnxruntime_1_21_0_is_known_without_importing_it(python, tmp_path, model):
    root = board(tmp_path / "root", **{"proc/device-tree/model": model + "\0"})
    environment = pretend(tmp_path / "fake", "onnxruntime", "1.21.0", NEVER)
    values = examined(python("numpy", *AUDIO), root, environment)
    assert values["machine"]["model"] == model
    problem(values, "runtime onnx", "onnxruntime 1.21.0", "#23957", "pip install --upgrade 'onnxruntime!=1.21.0'")
    assert "imported" not in values["findings"]["runtime onnx"]["what"]


def test_tflite_runtime_beside_numpy_2_is_known_without_importing_it(python, tmp_path):
    assert int(metadata.version("numpy").split(".")[0]) >= 2
    environment = pretend(tmp_path / "fake", "tflite_runtime", "2.14.0", NEVER)
    values = report(doctor(python("numpy", *AUDIO), "--no-mic", "--json", env=environment))
    problem(values, "runtime tflite", "tflite-runtime 2.14.0", "_ARRAY_API not found", "pip install -e '.[litert]'")


def test_a_small_board_that_is_slowed_down(python, tmp_path):
    root = board(
        tmp_path / "root",
        **{
            "proc/device-tree/model": "Raspberry Pi Zero 2 W Rev 1.0\0",
            "proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd03\n",
            "proc/meminfo": "MemTotal:         437760 kB\nMemFree:     10 kB\nMemAvailable:      61440 kB\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
            "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
        },
    )
    values = examined(python(*DEVICE), root)
    assert values["healthy"]
    machine, findings = values["machine"], values["findings"]
    assert (machine["processor"], machine["memory_mb"], machine["available_mb"]) == ("Cortex-A53", 427, 60)
    assert findings["power"]["state"] == findings["governor"]["state"] == "warning"
    assert "now: under-voltage, throttled" in findings["power"]["what"]
    assert findings["runtime onnx"]["state"] == "warning"
    assert "60 MiB of memory are available" in findings["runtime onnx"]["what"]


def test_past_throttling_is_reported_as_past(tmp_path):
    root = board(tmp_path, **{"sys/devices/platform/soc/soc:firmware/get_throttled": "10000\n"})
    (finding,) = check_power(read_machine(root))
    assert "since it started: under-voltage" in finding.what


def test_32_bits_and_musl_have_no_wheels():
    here = replace(read_machine(), user_bits=64, libc="glibc 2.36")
    assert list(check_system(here)) == []
    for machine, word, cure in (
        (replace(here, user_bits=32, architecture="aarch64"), "32-bit user space under a 64-bit kernel", "64-bit"),
        (replace(here, user_bits=32, architecture="armv7l"), "32-bit user space:", "64-bit"),
        (replace(here, libc="musl"), "musl", "glibc"),
    ):
        (finding,) = check_system(machine)
        assert finding.state is State.WARNING
        assert word in finding.what
        assert cure in finding.cure
        absent = bundle_checks.no_runtime(machine, ("onnx", "tflite"))
        assert absent.state is State.PROBLEM
        assert cure in absent.cure


def test_an_unknown_runtime_needs_an_update():
    here = replace(read_machine(), user_bits=64, libc="glibc 2.36")
    assert bundle_checks.no_runtime(here, ("hailo",)).cure == "update this software"
    assert bundle_checks.no_runtime(here, ("hailo", "onnx")).cure == "pip install -e '.[device]'"


@pytest.mark.parametrize("scheme", ["float32", "static_int8"])
def test_an_int8_bundle_is_only_suggested_for_a_larger_one(monkeypatch, scheme):
    slow = SelfTest("onnx", scheme, 1.0, 0.25, 150.0, 200.0, 0.6, 100.0)
    monkeypatch.setattr(bundle_checks, "python", lambda *_: Ended(0, json.dumps(asdict(slow)), ""))
    bundle = Bundle.open(PRETRAINED)
    finding, _ = bundle_checks.check_runtime(replace(read_machine(), model=None), bundle, "onnx", "onnxruntime")
    assert finding.state is State.WARNING
    assert finding.cure.startswith("use an int8 bundle, " if scheme == "float32" else "check power supply and cooling")


def older_python() -> str | None:
    names = [f"python3.{minor}" for minor in (9, 10)]
    folders = [*Path.home().glob(".pyenv/versions/3.9.*/bin"), *Path.home().glob(".pyenv/versions/3.10.*/bin")]
    found = [shutil.which(name, path=os.pathsep.join([*map(str, folders), os.environ["PATH"]])) for name in names]
    return next((path for path in found if path), None)


@pytest.mark.skipif(not older_python(), reason="needs Python 3.9 or 3.10 beside this one")
def test_an_old_python_is_reported():
    values = report(doctor(older_python(), "--json"))
    problem(values, "python", "is too old; 3.11", "bookworm")


def test_the_doctor_can_be_read_by_an_old_python():
    files = [ROOT / "edge" / "__init__.py", *(ROOT / "edge" / "doctor").glob("*.py")]
    assert len(files) > 8
    for path in files:
        ast.parse(path.read_text(), feature_version=(3, 9))


@pytest.mark.parametrize(
    ("cpuinfo", "path"),
    [
        ("flags\t\t: fpu sse2 ssse3 avx2 avx512bw avx512_vnni amx_int8\n", "AMX"),
        ("flags\t\t: fpu sse2 ssse3 avx2 avx_vnni\n", "AVX-VNNI"),
        ("flags\t\t: fpu sse2 ssse3 avx avx2\n", "AVX2 without VNNI"),
        ("flags\t\t: fpu sse2 ssse3 sse4_2\n", "SSSE3"),
        ("Features\t: fp asimd evtstrm crc32 cpuid\n", "ARM NEON"),
        ("Features\t: fp asimd atomics asimdhp asimddp\n", "ARM dot product"),
        ("processor\t: 0\n", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_instructions_that_add_8_bit_products_are_named(tmp_path, cpuinfo, path):
    assert read_machine(board(tmp_path, **{"proc/cpuinfo": cpuinfo})).int8_path == path
