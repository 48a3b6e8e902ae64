"""The doctor as a user runs it, in real environments where something is missing or broken.

Where recordings or the microphone are concerned no runtime is installed: the doctor would measure it for a second.
"""

import os
import shutil
import subprocess
import sys
import time
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers import edit_json, flip_bit, one_clear_line
from patients import AUDIO, CRASH, DEVICE, LITERT, board, doctor, examined, pretend, problem, report

from crnn.files.strict import file_hash
from edge.bundle import PRETRAINED
from edge.doctor import child
from edge.doctor.__main__ import diagnose
from edge.doctor.bundle_checks import check_bundle
from edge.doctor.finding import State

needs_litert = pytest.mark.skipif(not find_spec("ai_edge_litert"), reason="needs the tflite extra")
needs_pyaudio = pytest.mark.skipif(not find_spec("pyaudio"), reason="needs the mic extra")


def test_a_complete_device_has_no_problems_in_json_and_in_text(python):
    here = python(*DEVICE)
    values, text = report(doctor(here, "--no-mic", "--json")), doctor(here, "--no-mic").stdout
    assert values["healthy"]
    assert {finding["state"] for finding in values["findings"].values()} == {"ok"}
    assert "onnx is used" in values["findings"]["runtime"]["what"]
    (test,) = values["self_tests"]
    assert (test["runtime"], test["scheme"], test["hop_seconds"]) == ("onnx", "static_int8", 0.25)
    assert 0 < test["latency_ms_p50"] <= test["latency_ms_p95"]
    assert 0 < test["rtf"] < 1
    assert test["rss_mb"] > 10
    assert values["machine"]["architecture"] == os.uname().machine
    assert values["machine"]["python"] == list(sys.version_info[:3])
    for name in values["findings"]:
        assert f"ok       {name} " in text
    assert text.endswith("0 problem(s), 0 warning(s)\n")


@needs_litert
def test_two_runtimes_are_one_too_many(python):
    values = report(doctor(python(*DEVICE, *LITERT), "--no-mic", "--json"))
    assert values["healthy"]
    assert [test["runtime"] for test in values["self_tests"]] == ["onnx", "tflite"]
    assert values["findings"]["runtime"]["state"] == "warning"
    assert values["findings"]["runtime"]["cure"] == "pip uninstall ai-edge-litert"


@needs_litert
def test_litert_alone_suffices(python):
    values = report(doctor(python(*LITERT, *AUDIO), "--no-mic", "--json"))
    assert values["healthy"]
    assert [test["runtime"] for test in values["self_tests"]] == ["tflite"]


def test_no_runtime(python):
    values = report(doctor(python("numpy", *AUDIO), "--no-mic", "--json"))
    problem(values, "runtime", "none of the bundle's runtimes (onnx, tflite)", "pip install -e '.[device]'")
    assert values["self_tests"] == []


def test_nothing_installed_at_all(python):
    values = report(doctor(python(), "--json"))
    problem(values, "numpy", "No module named 'numpy'", "pip install -e '.[device]'")
    problem(values, "soundfile", "pip install soundfile")
    problem(values, "soxr", "pip install soxr")
    problem(values, "microphone", "PyAudio is not installed", "portaudio19-dev", "'.[mic]'")


def test_an_illegal_instruction_does_not_kill_the_doctor(python, tmp_path):
    environment = pretend(tmp_path / "fake", "onnxruntime", "1.99.0", CRASH)
    values = report(doctor(python("numpy", *AUDIO), "--no-mic", "--json", env=environment))
    problem(values, "runtime onnx", "onnxruntime 1.99.0: illegal instruction (SIGILL)", "--upgrade onnxruntime")
    assert values["findings"]["soxr"]["state"] == "ok"


def test_two_runtimes_that_crash(python, tmp_path):
    pretend(tmp_path / "fake", "onnxruntime", "1.99.0", CRASH)
    (tmp_path / "fake" / "tflite_runtime").mkdir()
    (tmp_path / "fake" / "tflite_runtime" / "__init__.py").write_text(CRASH)
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "fake"), "OMP_NUM_THREADS": "1"}
    values = report(doctor(python("numpy", *AUDIO), "--no-mic", "--json", env=environment))
    problem(values, "runtime onnx", "SIGILL")
    problem(values, "runtime tflite", "SIGILL")
    assert "runtime" not in values["findings"]


@needs_litert
def test_a_runtime_that_works_is_named_beside_one_that_crashes(python, tmp_path):
    environment = pretend(tmp_path / "fake", "onnxruntime", "1.99.0", CRASH)
    values = report(doctor(python(*LITERT, *AUDIO), "--no-mic", "--json", env=environment))
    problem(values, "runtime onnx", "SIGILL")
    problem(values, "runtime", "onnx is used", "does not work here", "--runtime tflite")
    assert values["findings"]["runtime tflite"]["state"] == "ok"


@pytest.fixture
def bundle(tmp_path) -> Path:
    return Path(shutil.copytree(PRETRAINED, tmp_path / "bundle"))


def test_a_damaged_bundle_is_a_problem(python, bundle):
    head = bundle / "head.dynamic_int8.onnx"
    flip_bit(head)
    values = report(doctor(python(*DEVICE), bundle, "--no-mic", "--json"))
    problem(values, "bundle", str(head), "copy or download the whole folder again")
    assert values["self_tests"] == []
    for lost, said in ((head, "missing"), (bundle / "bundle.json", "no such file")):
        lost.unlink()
        finding, opened = check_bundle(bundle)
        assert (finding.name, finding.state, opened) == ("bundle", State.PROBLEM, None)
        assert str(lost) in finding.what and said in finding.what
        assert finding.cure == "copy or download the whole folder again"


@pytest.mark.parametrize(
    ("moved", "cure"),
    [
        (["onnx_logits"], "this machine computes correctly: have the bundle made again"),
        (["onnx_logits", "float32_logits"], "the arithmetic is wrong here"),
    ],
)
def test_other_golden_values_name_the_side_that_is_wrong(python, bundle, moved, cure):
    """If only the scheme's values differ, the bundle is at fault; if the float32 values do too, this machine is."""
    import numpy as np

    with np.load(bundle / "golden.npz") as golden:
        values = dict(golden)
    np.savez_compressed(bundle / "golden.npz", **values | {key: values[key] + 1 for key in moved})
    digest, size = file_hash(bundle / "golden.npz"), (bundle / "golden.npz").stat().st_size
    edit_json(bundle / "bundle.json", lambda v: v["files"].update({"golden.npz": {"sha256": digest, "bytes": size}}))
    values = report(doctor(python(*DEVICE), bundle, "--no-mic", "--json"))
    assert values["findings"]["bundle"]["state"] == "ok"
    problem(values, "runtime onnx", "differs from the golden values by 1", cure)


def test_a_folder_that_is_not_there_is_bad_input(tmp_path):
    one_clear_line(doctor(sys.executable, tmp_path / "nothing"), str(tmp_path / "nothing"), "no such folder")


@pytest.mark.parametrize("missing", ["soundfile", "soxr"])
def test_audio_packages_missing(python, missing):
    values = report(doctor(python("numpy", *(p for p in AUDIO if p != missing)), "--no-mic", "--json"))
    problem(values, missing, f"No module named '{missing}'", f"pip install {missing}")


def test_libsndfile_missing(python, tmp_path):
    """The wheel has no copy, and a copy of the system cannot be loaded."""
    here = python("numpy", *(p for p in AUDIO if p != "soundfile"))
    (site,) = here.parents[1].glob("lib/python*/site-packages")
    distribution = metadata.distribution("soundfile")
    for name in ("soundfile.py", "_soundfile.py"):
        shutil.copy(distribution.locate_file(name), site)
    (tmp_path / "libsndfile.so.1").write_bytes(b"")
    values = report(doctor(here, "--no-mic", "--json", env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)}))
    problem(values, "soundfile", "libsndfile is missing", "sudo apt install libsndfile1")


@needs_pyaudio
def test_portaudio_missing(python, tmp_path):
    (tmp_path / "libportaudio.so.2").write_bytes(b"")
    environment = os.environ | {"LD_LIBRARY_PATH": str(tmp_path)}
    values = report(doctor(python("numpy", "pyaudio"), "--json", env=environment))
    problem(values, "microphone", "PortAudio is missing", "sudo apt install libportaudio2")


@pytest.fixture
def sound(tmp_path) -> dict:
    """The environment of a user with a sound server of their own that does not start by itself."""
    (tmp_path / "pulse").mkdir()
    (tmp_path / "pulse" / "client.conf").write_text("autospawn = no\n")
    places = ("XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH", "HOME", "XDG_CONFIG_HOME")
    return os.environ | dict.fromkeys(places, str(tmp_path))


@needs_pyaudio
@pytest.mark.skipif(any(Path("/dev/snd").glob("pcmC*D*c")), reason="this machine has a sound card")
def test_no_input_device(python, sound):
    values = report(doctor(python("numpy", "pyaudio"), "--json", env=sound))
    problem(values, "microphone", "no input device", "arecord -l")
    assert values["microphones"] == []


@needs_pyaudio
@pytest.mark.skipif(not shutil.which("pulseaudio"), reason="needs PulseAudio")
def test_a_microphone_is_listed(python, sound):
    modules = ["-L", "module-native-protocol-unix", "-L", "module-null-sink sink_name=speaker rate=16000 channels=1"]
    server = subprocess.Popen(["pulseaudio", "-n", "--exit-idle-time=-1", "--log-level=error", *modules], env=sound)
    try:
        command = ["pactl", "set-default-source", "speaker.monitor"]
        deadline = time.monotonic() + 60
        while subprocess.run(command, env=sound, capture_output=True, check=False).returncode:
            assert time.monotonic() < deadline, "PulseAudio does not start"
            time.sleep(0.1)
        values = report(doctor(python("numpy", "pyaudio"), "--json", env=sound))
    finally:
        server.kill()
        server.wait()
    assert values["findings"]["microphone"]["state"] == "ok"
    assert "pulse" in values["findings"]["microphone"]["what"]
    assert any(device["default"] for device in values["microphones"])


@pytest.mark.skipif(os.getuid() == 0 and not shutil.which("setpriv"), reason="root needs setpriv to give up rights")
def test_a_user_who_may_not_open_the_microphone(python, tmp_path):
    root = board(tmp_path / "root", **{"dev/snd/pcmC1D0c": ""})
    (root / "dev/snd/pcmC1D0c").chmod(0)
    unprivileged = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.getuid() == 0 else ()
    values = examined(python("numpy"), root, before=unprivileged)
    problem(values, "audio group", "pcmC1D0c", "sudo usermod -aG audio")


def test_a_process_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(child, "TIMEOUT_SECONDS", 0.001)
    findings = {finding.name: finding for finding in diagnose(microphone=False).findings}
    assert findings["numpy"].state is State.PROBLEM
    assert "did not end within" in findings["numpy"].what
