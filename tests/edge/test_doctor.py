"""The doctor as a user runs it, in environments that really lack or break what it must name."""

import ast
import json
import os
import shutil
import subprocess
import sys
import time
import venv
from dataclasses import replace
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers import ROOT, edit_json, one_clear_line

from edge import doctor_checks
from edge.bundle import PRETRAINED, file_hash
from edge.doctor import diagnose
from edge.doctor_checks import State
from edge.machine import read_machine

ONNX = ("numpy", "onnxruntime", "flatbuffers", "packaging", "protobuf")
LITERT = ("numpy", "ai-edge-litert", "flatbuffers", "protobuf", "tqdm", "typing-extensions", "backports.strenum")
AUDIO = ("soundfile", "cffi", "pycparser", "typing-extensions", "soxr")
DEVICE = ONNX + AUDIO
CRASH = "import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n"
NEVER = "raise SystemExit('imported, though its version is known to be faulty')\n"

needs_litert = pytest.mark.skipif(not find_spec("ai_edge_litert"), reason="needs the tflite extra")
needs_pyaudio = pytest.mark.skipif(not find_spec("pyaudio"), reason="needs the mic extra")
needs_devices = pytest.mark.skipif(not find_spec("edge.microphone"), reason="needs edge.microphone")


@pytest.fixture
def python(tmp_path):
    """`python(*distributions)`: an environment that has these and nothing else, taken from the one the tests run in."""

    def make(*distributions: str) -> Path:
        folder = tmp_path / "environment"
        venv.create(folder, with_pip=False, symlinks=True)
        (site,) = folder.glob("lib/python*/site-packages")
        for name in set(distributions):
            distribution = metadata.distribution(name)
            for top in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
                if not (site / top).exists():
                    (site / top).symlink_to(distribution.locate_file(top))
        return folder / "bin" / "python"

    return make


def pretend(folder: Path, package: str, version: str, code: str) -> dict:
    """An environment in which `package` is installed in this version and runs `code` when it is imported."""
    info = folder / f"{package}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: {version}\n")
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text(code)
    return os.environ | {"PYTHONPATH": str(folder)}


def doctor(python: Path | str, *arguments, **options) -> subprocess.CompletedProcess:
    command = [str(python), "-m", "edge.doctor", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False, **options)


def report(result: subprocess.CompletedProcess) -> dict:
    """The --json report, its findings by name."""
    values = json.loads(result.stdout)
    assert result.returncode == (0 if values["healthy"] else 1), result.stderr
    assert result.stderr == ""
    return values | {"findings": {finding["name"]: finding for finding in values["findings"]}}


def problem(values: dict, name: str, *parts: str) -> None:
    """There is a problem of this name, and its text and cure say each of these."""
    finding = values["findings"][name]
    assert finding["state"] == "problem", finding
    assert finding["cure"]
    for part in parts:
        assert part in finding["what"] + " " + finding["cure"], finding


def test_a_device_that_has_what_it_needs_is_well(python):
    values = report(doctor(python(*DEVICE), "--no-mic", "--json"))
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


def test_the_text_says_what_the_json_says(python):
    here = python(*DEVICE)
    values, text = report(doctor(here, "--no-mic", "--json")), doctor(here, "--no-mic").stdout
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
def test_litert_alone_does(python):
    values = report(doctor(python(*LITERT, *AUDIO), "--no-mic", "--json"))
    assert values["healthy"]
    assert [test["runtime"] for test in values["self_tests"]] == ["tflite"]


def test_no_runtime(python):
    values = report(doctor(python("numpy", *AUDIO), "--no-mic", "--json"))
    problem(values, "runtime", "none of the bundle's runtimes (onnx, tflite)", "pip install '.[device]'")
    assert values["self_tests"] == []


def test_nothing_installed_at_all(python):
    values = report(doctor(python(), "--json"))
    problem(values, "numpy", "No module named 'numpy'", "pip install '.[device]'")
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


def board(folder: Path, **files: str) -> Path:
    """A folder with the kernel files of a machine, to be examined in place of this one's."""
    for path, text in files.items():
        at = folder / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text(text)
    return folder


def examined(python: Path, root: Path, environment: dict | None = None, before: tuple[str, ...] = ()) -> dict:
    """The report on the machine whose files are in `root`."""
    code = (
        "import sys; from pathlib import Path; from edge import doctor;"
        "report = doctor.diagnose(microphone=sys.argv[2] == 'mic', root=Path(sys.argv[1]));"
        "print(doctor.as_json(report)); sys.exit(not report.healthy)"
    )
    microphone = "mic" if (root / "dev").exists() else "none"
    command = [*before, str(python), "-c", code, str(root), microphone]
    return report(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment))


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
    problem(values, "runtime tflite", "tflite-runtime 2.14.0", "_ARRAY_API not found", "pip install '.[litert]'")


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


def test_throttling_of_the_past_is_told_as_past(tmp_path):
    root = board(tmp_path, **{"sys/devices/platform/soc/soc:firmware/get_throttled": "10000\n"})
    (finding,) = doctor_checks.check_power(read_machine(root))
    assert "since it started: under-voltage" in finding.what


def test_32_bits_and_musl_have_no_wheels():
    here = replace(read_machine(), user_bits=64, libc="glibc 2.36")
    assert list(doctor_checks.check_system(here)) == []
    for machine, word, cure in (
        (replace(here, user_bits=32, architecture="aarch64"), "32-bit user space under a 64-bit kernel", "64-bit"),
        (replace(here, user_bits=32, architecture="armv7l"), "32-bit user space:", "64-bit"),
        (replace(here, libc="musl"), "musl", "glibc"),
    ):
        (finding,) = doctor_checks.check_system(machine)
        assert finding.state is State.WARNING
        assert word in finding.what
        assert cure in finding.cure
        absent = doctor_checks.no_runtime(machine, ("onnx", "tflite"))
        assert absent.state is State.PROBLEM
        assert cure in absent.cure


def older_python() -> str | None:
    names = [f"python3.{minor}" for minor in (9, 10)]
    folders = [*Path.home().glob(".pyenv/versions/3.9.*/bin"), *Path.home().glob(".pyenv/versions/3.10.*/bin")]
    found = [shutil.which(name, path=os.pathsep.join([*map(str, folders), os.environ["PATH"]])) for name in names]
    return next((path for path in found if path), None)


@pytest.mark.skipif(not older_python(), reason="needs Python 3.9 or 3.10 beside this one")
def test_an_old_python_is_told_so():
    values = report(doctor(older_python(), "--json"))
    problem(values, "python", "is too old; 3.11", "bookworm")


def test_the_doctor_can_be_read_by_an_old_python():
    for name in ("doctor", "doctor_checks", "machine", "__init__"):
        ast.parse((ROOT / "edge" / f"{name}.py").read_text(), feature_version=(3, 9))


@pytest.fixture
def bundle(tmp_path) -> Path:
    return Path(shutil.copytree(PRETRAINED, tmp_path / "bundle"))


def test_a_damaged_bundle_is_a_problem(python, bundle):
    head = bundle / "head.dynamic_int8.onnx"
    data = bytearray(head.read_bytes())
    data[len(data) // 2] ^= 1
    head.write_bytes(data)
    values = report(doctor(python(*DEVICE), bundle, "--no-mic", "--json"))
    problem(values, "bundle", str(head), "copy or download the whole folder again")
    assert values["self_tests"] == []
    head.unlink()
    problem(report(doctor(python(*DEVICE), bundle, "--no-mic", "--json")), "bundle", str(head), "missing")
    (bundle / "bundle.json").unlink()
    problem(report(doctor(python(*DEVICE), bundle, "--no-mic", "--json")), "bundle", "bundle.json: no such file")


def test_wrong_arithmetic_is_a_problem_of_the_runtime(python, bundle):
    """The golden vector of another model: what a runtime that calculates wrongly looks like."""
    import numpy as np

    with np.load(bundle / "golden.npz") as golden:
        values = dict(golden)
    np.savez_compressed(bundle / "golden.npz", **values | {"onnx_logits": values["onnx_logits"] + 1})
    digest, size = file_hash(bundle / "golden.npz"), (bundle / "golden.npz").stat().st_size
    edit_json(bundle / "bundle.json", lambda v: v["files"].update({"golden.npz": {"sha256": digest, "bytes": size}}))
    values = report(doctor(python(*DEVICE), bundle, "--no-mic", "--json"))
    assert values["findings"]["bundle"]["state"] == "ok"
    problem(values, "runtime onnx", "differs from the golden values by 1", "its arithmetic is wrong here")


def test_a_folder_that_is_not_there_is_bad_input(tmp_path):
    one_clear_line(doctor(sys.executable, tmp_path / "nothing"), str(tmp_path / "nothing"), "no such folder")


@pytest.mark.parametrize("missing", ["soundfile", "soxr"])
def test_audio_packages_missing(python, missing):
    values = report(doctor(python(*ONNX, *(p for p in AUDIO if p != missing)), "--no-mic", "--json"))
    problem(values, missing, f"No module named '{missing}'", f"pip install {missing}")


def test_libsndfile_missing(python, tmp_path):
    """No copy in the wheel, and the system's, if there is one, cannot be loaded."""
    here = python(*ONNX, *(p for p in AUDIO if p != "soundfile"))
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
    values = report(doctor(python(*DEVICE, "pyaudio"), "--json", env=environment))
    problem(values, "microphone", "PortAudio is missing", "sudo apt install libportaudio2")


@pytest.fixture
def sound(tmp_path) -> dict:
    """The environment of a user whose sound server is nobody else's, and does not start by itself."""
    (tmp_path / "pulse").mkdir()
    (tmp_path / "pulse" / "client.conf").write_text("autospawn = no\n")
    places = ("XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH", "HOME", "XDG_CONFIG_HOME")
    return os.environ | dict.fromkeys(places, str(tmp_path))


@needs_pyaudio
@needs_devices
@pytest.mark.skipif(any(Path("/dev/snd").glob("pcmC*D*c")), reason="this machine has a sound card")
def test_no_input_device(sound):
    values = report(doctor(sys.executable, "--json", env=sound))
    problem(values, "microphone", "no input device", "arecord -l")
    assert values["microphones"] == []


@needs_pyaudio
@needs_devices
@pytest.mark.skipif(not shutil.which("pulseaudio"), reason="needs PulseAudio")
def test_a_microphone_is_listed(sound):
    modules = ["-L", "module-native-protocol-unix", "-L", "module-null-sink sink_name=speaker rate=16000 channels=1"]
    server = subprocess.Popen(["pulseaudio", "-n", "--exit-idle-time=-1", "--log-level=error", *modules], env=sound)
    try:
        command = ["pactl", "set-default-source", "speaker.monitor"]
        deadline = time.monotonic() + 60
        while subprocess.run(command, env=sound, capture_output=True, check=False).returncode:
            assert time.monotonic() < deadline, "PulseAudio does not start"
            time.sleep(0.1)
        values = report(doctor(sys.executable, "--json", env=sound))
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
    values = examined(python(*DEVICE), root, before=unprivileged)
    problem(values, "audio group", "pcmC1D0c", "sudo usermod -aG audio")


def test_a_process_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(doctor_checks, "TIMEOUT_SECONDS", 0.001)
    findings = {finding.name: finding for finding in diagnose(microphone=False).findings}
    assert findings["numpy"].state is State.PROBLEM
    assert "did not end within" in findings["numpy"].what
