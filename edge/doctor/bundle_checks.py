"""Checks of the bundle and of the runtimes that run it.

A version with a known fault is recognized from its metadata, without importing it.
"""

from __future__ import annotations

import json
import signal
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from crnn.cli.installed import install
from edge.doctor.child import python
from edge.doctor.finding import Finding, State
from edge.doctor.machine import Machine

if TYPE_CHECKING:  # these modules need a newer Python and a NumPy that can be imported
    from edge.bundle import Bundle
    from edge.doctor.selftest import SelfTest

SLOW_RTF = 0.5


def check_bundle(path: Path | None) -> tuple[Finding, Bundle | None]:
    """Manifest and hashes of a bundle (None: the shipped one); `check_runtimes` tries its models."""
    from crnn.errors import InputError
    from edge.bundle import PRETRAINED, Bundle

    path = path or PRETRAINED
    try:
        bundle = Bundle.open(path)
    except InputError as error:
        return Finding("bundle", State.PROBLEM, str(error), "copy or download the whole folder again"), None
    return Finding("bundle", State.OK, f"{path}: {len(bundle.manifest.files)} files, every hash right"), bundle


def check_runtimes(machine: Machine, bundle: Bundle) -> tuple[list[Finding], list[SelfTest]]:
    """Try every installed runtime that the bundle has files for; the findings also name the one that is used."""
    from edge import runtimes

    tried, tests = [], []
    have = {name: package for name in bundle.manifest.models if (package := runtimes.package(name))}
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
        if works:  # otherwise the findings above suffice
            cure = f"cure {chosen} (above), uninstall it, or choose the one that works: --runtime {works[0]}"
            tried.append(Finding("runtime", State.PROBLEM, f"{what}, but it does not work here", cure))
    elif len(have) > 1:
        spare = ", ".join(package.replace("_", "-") for name, package in have.items() if name != chosen)
        tried.append(Finding("runtime", State.WARNING, f"{what}; one is enough", f"pip uninstall {spare}"))
    else:
        tried.append(Finding("runtime", State.OK, what))
    return tried, tests


def no_runtime(machine: Machine, wanted: tuple[str, ...]) -> Finding:
    """That none of the runtimes `wanted` is installed, and which one to install."""
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
    """One runtime: known faults, then import, golden values, speed and memory."""
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
            cure = "this machine computes correctly: have the bundle made again with this version of quantize.py"
        elif ended.code == 2 and "golden" in ended.how:
            cure = (
                "copy the bundle again; if the problem remains, the arithmetic is wrong here: install another version "
                f"of {package.replace('_', '-')}, or report the problem with the int8 path above ({machine.int8_path})"
            )
        else:
            cure = f"pip install --force-reinstall {package.replace('_', '-')}"
        return Finding(title, State.PROBLEM, f"{called}: {ended.how.removeprefix('error: ')}", cure), None
    test = SelfTest(**json.loads(ended.stdout.splitlines()[-1]))
    what = (
        f"{called}: golden values right; {test.latency_ms_p50:.2f} ms per decision (p95 {test.latency_ms_p95:.2f}), "
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


def version_of(package: str) -> str | None:
    """Installed version of an import package, from its metadata alone."""
    try:
        return metadata.version(package.replace("_", "-"))
    except metadata.PackageNotFoundError:
        return None
