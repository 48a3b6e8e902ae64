"""The properties of this machine, read from the kernel and from Python.

Uses only the standard library and the syntax of Python 3.9, so that the doctor runs on any machine.
"""

from __future__ import annotations

import os
import platform
import re
import struct
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

# A Raspberry Pi's kernel reports the part number of the core, not its name.
ARM_CORES = {
    "0xb76": "ARM1176",
    "0xc07": "Cortex-A7",
    "0xd03": "Cortex-A53",
    "0xd08": "Cortex-A72",
    "0xd0b": "Cortex-A76",
}
# Flag of /proc/cpuinfo -> instructions that add 8-bit products; the best first, x86 before ARM.
INT8_PATHS = {
    "amx_int8": "AMX",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI",
    "avx512bw": "AVX-512 without VNNI",
    "avx2": "AVX2 without VNNI",
    "ssse3": "SSSE3",
    "i8mm": "ARM i8mm",
    "asimddp": "ARM dot product",
    "asimd": "ARM NEON",
    "neon": "ARM NEON, 32-bit",
}
THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
GOVERNOR = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"


@dataclass(frozen=True)
class Machine:
    """The properties that the checks need; None where the kernel does not report one."""

    model: str | None
    """Name of the board"""
    processor: str
    """Name of the core"""
    int8_path: str
    """The best instructions it has for adding 8-bit products; "unknown" if the kernel lists none"""
    cores: int
    architecture: str
    """Of the kernel: aarch64, armv7l, x86_64 ..."""
    user_bits: int
    """32 or 64: what this Python was built for"""
    libc: str
    """glibc or musl, with its version where known"""
    python: tuple[int, int, int]
    memory_mb: int | None
    """MiB of physical memory"""
    available_mb: int | None
    """MiB of memory that programs can still use"""
    governor: str | None
    """Of the first core's frequency"""
    throttled: int | None
    """The Raspberry Pi firmware's bits: 0 to 3 what is wrong now, 16 to 19 what was wrong since it started"""

    @property
    def kernel_bits(self) -> int:
        """32 or 64."""
        return 64 if self.architecture.endswith("64") or self.architecture in ("s390x", "ppc64le") else 32

    @property
    def musl(self) -> bool:
        return self.libc.startswith("musl")


def read_machine(root: Path = Path("/")) -> Machine:
    """Read /proc and /sys below `root`."""
    memory = dict(re.findall(r"^(\w+):\s+(\d+) kB", _text(root / "proc/meminfo") or "", re.MULTILINE))
    throttled = _text(root / THROTTLED)
    cpuinfo = _text(root / "proc/cpuinfo") or ""
    return Machine(
        model=_text(root / "proc/device-tree/model"),
        processor=_processor(cpuinfo),
        int8_path=_int8_path(cpuinfo),
        cores=os.cpu_count() or 1,
        architecture=os.uname().machine,
        user_bits=8 * struct.calcsize("P"),
        libc=_libc(),
        python=(sys.version_info[0], sys.version_info[1], sys.version_info[2]),
        memory_mb=int(memory["MemTotal"]) // 1024 if "MemTotal" in memory else None,
        available_mb=int(memory["MemAvailable"]) // 1024 if "MemAvailable" in memory else None,
        governor=_text(root / GOVERNOR),
        throttled=int(throttled, 16) if throttled else None,
    )


def _text(path: Path) -> str | None:
    """The content of a kernel file without its final NUL or newline; None if it is missing, unreadable or empty."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def _processor(cpuinfo: str) -> str:
    named = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    part = re.search(r"^CPU part\s*:\s*(\w+)$", cpuinfo, re.MULTILINE)
    if part and part[1].lower() in ARM_CORES:
        return ARM_CORES[part[1].lower()]
    return named[1] if named else platform.machine()


def _int8_path(cpuinfo: str) -> str:
    listed = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    flags = set(listed[1].split()) if listed else set()
    return next((name for flag, name in INT8_PATHS.items() if flag in flags), "unknown")


def _libc() -> str:
    if "musl" in (sysconfig.get_config_var("SOABI") or "") or "musl" in (sysconfig.get_config_var("MULTIARCH") or ""):
        return "musl"
    return " ".join(platform.libc_ver()).strip() or "unknown"
