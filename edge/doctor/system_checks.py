"""Checks of the machine: Python, system, power."""

from __future__ import annotations

from collections.abc import Iterator

from edge.doctor.finding import Finding, State
from edge.doctor.machine import Machine

PYTHON_NEEDED = (3, 11)
THROTTLING = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "temperature limit reached"}


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
    """Word size and C library, which decide which wheels exist."""
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
    """Power supply, temperature and clock governor."""
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
