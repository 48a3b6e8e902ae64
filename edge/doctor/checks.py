"""The doctor's checks: each looks at one thing and yields what it found, with the cure of what is wrong.

Whatever may crash (NumPy, a runtime, PortAudio) is imported in a process of its own. Versions with known faults are
recognised from their metadata, without importing them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from crnn.cli.installed import install
from edge.doctor.machine import Machine

if TYPE_CHECKING:  # the types alone: these modules need a newer Python and a NumPy that loads
    from edge.bundle import Bundle
    from edge.doctor.selftest import SelfTest

ROOT = Path(__file__).resolve().parents[2]
PYTHON_NEEDED = (3, 11)
TIMEOUT_SECONDS = 600  # an emulated machine is slow; a real one answers in seconds
SLOW_RTF = 0.5
THROTTLING = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "temperature limit reached"}

LIST_DEVICES = """
import dataclasses, json
from edge.audio.microphone import list_devices
print(json.dumps([dataclasses.asdict(device) for device in list_devices()]))
"""


class State(str, Enum):  # noqa: UP042 (StrEnum came with Python 3.11, which may be what is missing)
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    """Works, but worse than it could"""
    PROBLEM = "problem"
    """Something does not work until it is cured"""


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    name: str
    """What was looked at"""
    state: State
    what: str
    cure: str = ""
    """What to do about it; empty where nothing needs doing"""


@dataclass(frozen=True)
class Ended:
    """How a process of Python ended."""

    code: int | None
    """Exit code; negative: killed by that signal; None: did not end in time"""
    stdout: str
    stderr: str

    @property
    def how(self) -> str:
        """In words: the signal that killed it, or the last line it left."""
        if self.code is None:
            return f"did not end within {TIMEOUT_SECONDS} s"
        if self.code < 0:
            name = signal.Signals(-self.code).name
            return {"SIGILL": "illegal instruction (SIGILL)"}.get(name, f"killed by {name}")
        return (self.stderr.strip().splitlines() or [f"exit code {self.code}"])[-1]


def python(*arguments: str) -> Ended:
    """Run this Python with `arguments`, in a process of its own that finds this project's packages."""
    try:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Ended(None, "", "")
    return Ended(done.returncode, done.stdout, done.stderr)


def version_of(package: str) -> str | None:
    """Installed version of an import package, from its metadata alone."""
    try:
        return metadata.version(package.replace("_", "-"))
    except metadata.PackageNotFoundError:
        return None


def check_python(machine: Machine) -> Finding:
    version = ".".join(map(str, machine.python))
    if machine.python[:2] >= PYTHON_NEEDED:
        return Finding("python", State.OK, version)
    return Finding(
        "python",
        State.PROBLEM,
        f"{version} is too old; {PYTHON_NEEDED[0]}.{PYTHON_NEEDED[1]} or newer is needed (nothing else was checked)",
        "use Raspberry Pi OS bookworm (Python 3.11) or trixie (3.13), 64-bit",
    )


def check_system(machine: Machine) -> Iterator[Finding]:
    """Word size and C library: they decide which wheels there are."""
    if machine.user_bits == 32:
        kernel = " under a 64-bit kernel" if machine.kernel_bits == 64 else ""
        yield Finding(
            "system",
            State.WARNING,
            f"32-bit user space{kernel}: ONNX Runtime and LiteRT have no wheels for it",
            "install the 64-bit Raspberry Pi OS (Pi 3, 4, 5, Zero 2)",
        )
    if machine.musl:
        yield Finding(
            "system",
            State.WARNING,
            "the C library is musl, not glibc: ONNX Runtime and LiteRT have no wheels for it",
            "use a system with glibc (Raspberry Pi OS, Debian, Ubuntu)",
        )


def check_power(machine: Machine) -> Iterator[Finding]:
    """What slows the processor down."""
    if machine.throttled:
        now = [what for bit, what in THROTTLING.items() if machine.throttled >> bit & 1]
        since = [what for bit, what in THROTTLING.items() if machine.throttled >> (bit + 16) & 1]
        when = f"now: {', '.join(now)}" if now else f"since it started: {', '.join(since)}"
        yield Finding(
            "power",
            State.WARNING,
            f"the firmware slows the processor down ({when})",
            "use the power supply made for this board, and a heat sink or fan",
        )
    if machine.governor == "powersave":
        yield Finding(
            "governor",
            State.WARNING,
            "powersave keeps the processor at its lowest frequency",
            "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
        )


def check_numpy() -> Finding:
    ended = python("-c", "import numpy; print(numpy.__version__)")
    if ended.code == 0:
        return Finding("numpy", State.OK, ended.stdout.strip())
    if "openblas" in ended.stderr:
        cure = "sudo apt install libopenblas0"
    elif find_spec("numpy"):
        cure = "pip install --force-reinstall numpy"
    else:
        cure = install("device")
    return Finding("numpy", State.PROBLEM, f"{ended.how} (the model was not tried)", cure)


def check_bundle(path: Path | None) -> tuple[Finding, Bundle | None]:
    """Manifest and hashes (None: of the bundle that ships); the models are the runtimes' business."""
    from crnn.errors import InputError
    from edge.bundle import PRETRAINED, Bundle

    path = path or PRETRAINED
    try:
        bundle = Bundle.open(path)
    except InputError as error:
        return Finding("bundle", State.PROBLEM, str(error), "copy or download the whole folder again"), None
    return Finding("bundle", State.OK, f"{path}: {len(bundle.manifest.files)} files, every hash right"), bundle


def check_runtimes(machine: Machine, bundle: Bundle) -> tuple[list[Finding], list[SelfTest]]:
    """Every installed runtime the bundle has files for: known faults, then import, golden vector and speed."""
    from edge import runtimes

    tried, tests = [], []
    have = {name: runtimes.package(name) for name in bundle.manifest.models if runtimes.package(name)}
    if not have:
        return [no_runtime(machine, tuple(bundle.manifest.models))], []
    for name, package in have.items():
        finding, test = check_runtime(machine, bundle, name, package)
        tried.append(finding)
        tests += [test] if test else []
    chosen = bundle.default_runtime()
    works = [test.runtime for test in tests]
    what = f"{chosen} is used: the first of the bundle's ({', '.join(bundle.manifest.models)}) that is installed"
    if chosen not in works:
        if works:  # where none does, their own findings say all there is to say
            cure = f"cure {chosen} (above), uninstall it, or choose the one that works: --runtime {works[0]}"
            tried.append(Finding("runtime", State.PROBLEM, f"{what}, but it does not work here", cure))
    elif len(have) > 1:
        spare = ", ".join(package.replace("_", "-") for name, package in have.items() if name != chosen)
        tried.append(Finding("runtime", State.WARNING, f"{what}; one is enough", f"pip uninstall {spare}"))
    else:
        tried.append(Finding("runtime", State.OK, what))
    return tried, tests


def no_runtime(machine: Machine, wanted: tuple[str, ...]) -> Finding:
    from edge.runtimes import REGISTRY

    what = f"none of the bundle's runtimes ({', '.join(wanted)}) is installed"
    if machine.user_bits == 32:
        what += ", and ONNX Runtime and LiteRT have no wheel for 32-bit user space"
        cure = "install the 64-bit Raspberry Pi OS; for a board that has none see docs/raspberry-pi.md, 32 bits"
    elif machine.musl:
        what += ", and ONNX Runtime and LiteRT have no wheel for musl"
        cure = "use a system with glibc (Raspberry Pi OS, Debian, Ubuntu)"
    else:
        known = [name for name in wanted if name in REGISTRY]
        cure = " or ".join(install(REGISTRY[name].extra) for name in known) or "update this software"
    return Finding("runtime", State.PROBLEM, what, cure)


def check_runtime(machine: Machine, bundle: Bundle, name: str, package: str) -> tuple[Finding, SelfTest | None]:
    """One runtime: is it known to be faulty, does it load, does it give the golden values, is it fast enough?"""
    from edge.bundle.golden import BUNDLE_AT_FAULT
    from edge.doctor.runtime_faults import known_fault
    from edge.doctor.selftest import SelfTest

    version = version_of(package)
    title, called = f"runtime {name}", f"{package.replace('_', '-')} {version or 'of unknown version'}"
    fault = known_fault(package, version, version_of("numpy"), machine.model)
    if fault:
        return Finding(title, State.PROBLEM, *fault), None
    ended = python("-m", "edge.doctor.selftest", str(bundle.path.resolve()), name)
    if ended.code != 0:
        if ended.code == -signal.SIGILL:
            cure = f"this build is not for this processor: pip install --upgrade {package.replace('_', '-')}"
        elif ended.code == 2 and BUNDLE_AT_FAULT in ended.how:
            cure = "this machine computes rightly: get the bundle made again by this version of quantize.py"
        elif ended.code == 2 and "golden" in ended.how:
            cure = (
                "copy the bundle again; if it stays, the arithmetic is wrong here: install another version of "
                f"{package.replace('_', '-')}, or report it with the int8 path above ({machine.int8_path})"
            )
        else:
            cure = f"pip install --force-reinstall {package.replace('_', '-')}"
        return Finding(title, State.PROBLEM, f"{called}: {ended.how.removeprefix('error: ')}", cure), None
    test = SelfTest(**json.loads(ended.stdout.splitlines()[-1]))
    what = (
        f"{called}: golden vector right; hop {test.latency_ms_p50:.2f} ms (p95 {test.latency_ms_p95:.2f}), "
        f"rtf {test.rtf:.4f}, start {test.startup_s:.1f} s, {test.rss_mb:.0f} MiB, 1 thread"
    )
    if test.rtf >= SLOW_RTF:
        late = "cannot keep up with a microphone" if test.rtf >= 1 else "leaves little for anything else"
        smaller = "" if "int8" in test.scheme else "use an int8 bundle, "
        cure = f"{smaller}check power supply and cooling, stop other programs, or use a faster board"
        return Finding(title, State.PROBLEM if test.rtf >= 1 else State.WARNING, f"{what}: {late}", cure), test
    if machine.available_mb is not None and machine.available_mb < 2 * test.rss_mb:
        low = f"{what}; only {machine.available_mb} MiB of memory are available"
        return Finding(title, State.WARNING, low, "stop other programs (a desktop is not needed)"), test
    return Finding(title, State.OK, what), test


def check_recordings() -> Iterator[Finding]:
    """What reading files and resampling need."""
    for package, reads in (("soundfile", "recordings"), ("soxr", "audio that is not at the model's rate")):
        ended = python("-c", f"import {package}; print({package}.__version__)")
        if ended.code == 0:
            yield Finding(package, State.OK, ended.stdout.strip())
        elif "sndfile" in ended.how:
            yield Finding(package, State.PROBLEM, f"libsndfile is missing: {ended.how}", "sudo apt install libsndfile1")
        else:
            yield Finding(package, State.PROBLEM, f"{ended.how}; it reads {reads}", f"pip install {package}")


def check_microphone(root: Path = Path("/")) -> tuple[list[Finding], list[dict]]:
    """PyAudio, PortAudio, the devices they give, and the right to use them (device nodes below `root`)."""
    found, devices = [], []
    loaded = python("-c", "import pyaudio")
    if loaded.code == 0:
        listed = python("-c", LIST_DEVICES)
        if listed.code == 0:
            devices = json.loads(listed.stdout.splitlines()[-1])
        else:
            cure = "listen to the input with `arecord -d 3 test.wav`; if that fails too, the sound system is at fault"
            found.append(Finding("microphone", State.PROBLEM, listed.how, cure))
    elif "portaudio" in loaded.stderr:
        missing = f"PortAudio is missing: {loaded.how}"
        found.append(Finding("microphone", State.PROBLEM, missing, "sudo apt install libportaudio2"))
    elif not find_spec("pyaudio"):
        cure = f"sudo apt install portaudio19-dev python3-dev gcc, then {install('mic')}"
        found.append(Finding("microphone", State.PROBLEM, "PyAudio is not installed", cure))
    else:
        cure = "pip install --force-reinstall --no-binary :all: pyaudio"
        found.append(Finding("microphone", State.PROBLEM, f"PyAudio does not load: {loaded.how}", cure))

    nodes = sorted((root / "dev/snd").glob("pcmC*D*c"))
    if devices:
        names = "; ".join(f"{d['index']}: {d['name']}{' (default)' if d['default'] else ''}" for d in devices)
        found.append(Finding("microphone", State.OK, names))
    elif nodes and not any(os.access(node, os.R_OK | os.W_OK) for node in nodes):
        what = f"this user may not open {nodes[0]}: not in the audio group"
        found.append(Finding("audio group", State.PROBLEM, what, "sudo usermod -aG audio $USER, then log in again"))
    elif not found:
        cure = "connect a microphone (USB or HAT); `arecord -l` must list it. Not needed here? --no-mic"
        found.append(Finding("microphone", State.PROBLEM, "no input device", cure))
    return found, devices
