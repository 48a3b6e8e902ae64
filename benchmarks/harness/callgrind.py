"""Counted instructions: a program of this repository under `valgrind --tool=callgrind`, part by part.

The same number twice, whatever else the machine does. Valgrind shows an AVX2 processor without VNNI, so a count is that
of those kernels. x86-64 only: the program speaks to Valgrind by the instructions of its `valgrind.h`.
"""

import ctypes
import mmap
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness.environment import measured
from crnn.errors import require

ROOT = Path(__file__).resolve().parents[2]
CODE = bytes.fromhex("4889f8 4889f2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")
"""request(arguments, default) -> answer: rax and rdx as given; four rotations that together change nothing and an
exchange of rbx with itself, which Valgrind takes for a request; rdx returned. Outside Valgrind it returns `default`"""
RUNNING_ON_VALGRIND = 0x1001
ZERO, DUMP, START = (0x43540000 + number for number in (1, 3, 4))
"""Requests of callgrind: counters to zero; write them under a name; begin to count. Each beginning costs Valgrind the
code that it has translated, so there is one"""
NAME = re.compile(r"^desc: Trigger: Client Request: (.+)$", re.MULTILINE)
TOTAL = re.compile(r"^totals: (\d+)$", re.MULTILINE)


class Counter:
    """In the program that is counted: `count(name, call)` counts the instructions of a call."""

    def __init__(self) -> None:
        require(platform.machine() in ("x86_64", "AMD64"), f"{platform.machine()}: instructions are counted on x86-64")
        self._page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._page.write(CODE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        self._call = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t)(address)
        require(self._request(RUNNING_ON_VALGRIND) > 0, "not under Valgrind; run the program that starts this one")
        self._started = False

    def _request(self, code: int, argument: int | None = None) -> int:
        return self._call((ctypes.c_size_t * 6)(code, argument or 0), 0)

    def count(self, name: str, call: Callable[[], object]) -> None:
        """Call `call` and write the instructions that it took under `name`."""
        text = ctypes.create_string_buffer(name.encode())
        if not self._started:
            self._request(START)
            self._started = True
        self._request(ZERO)
        call()
        self._request(DUMP, ctypes.addressof(text))


def counted(module: str, arguments: list[str]) -> dict[str, int]:
    """Run `python -m module` under Valgrind: name -> instructions, of every `Counter.count` in it.

    Raises InputError where Valgrind is not installed, and with the end of what the program printed if it fails.
    """
    valgrind = shutil.which("valgrind")
    require(valgrind is not None, "valgrind is not installed (apt-get install valgrind)")
    with tempfile.TemporaryDirectory() as folder:
        options = ["--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/counts"]
        done = subprocess.run(
            [str(valgrind), *options, sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=measured(PYTHONHASHSEED="0"),
            capture_output=True,
            text=True,
            check=False,
        )
        require(done.returncode == 0, f"{module}: stopped with code {done.returncode}: {done.stderr[-500:]}")
        dumps = sorted(Path(folder).glob("counts.*"))
        return dict(instructions(path.read_text(errors="replace")) for path in dumps)


def instructions(dump: str) -> tuple[str, int]:
    """Name and number of instructions of one dump of callgrind.

    >>> instructions("version: 1\\ndesc: Trigger: Client Request: head\\nevents: Ir\\ntotals: 1234\\n")
    ('head', 1234)
    """
    name, total = NAME.search(dump), TOTAL.search(dump)
    require(name is not None and total is not None, f"callgrind wrote no count: {dump[:200]!r}")
    return name[1], int(total[1])
