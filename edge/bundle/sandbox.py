"""Tries a bundle from elsewhere in a child process before it runs in this one.

Hashes do not say who computed them: a file may crash a runtime written in C++, need too much memory or never finish. So
a child process with limited memory and computing time loads the files and replays the golden waveform first. The cost
of later inputs is the same, because inputs have one shape and models have no control flow. The shipped bundles are as
trusted as this code and are not tried.
"""

import json
import subprocess
import sys
from pathlib import Path

from crnn.errors import InputError, require

CPU_SECONDS = 60
"""s of computing time; a Raspberry Pi Zero 2 needs a few"""
SECONDS = 180.0
"""s of wall-clock time, enough for a busy machine"""
MEMORY_BYTES = 2**30
"""Of private memory; a shipped bundle needs a tenth"""
# The child uses our search path, as with multiprocessing, so that it imports the same modules.
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from edge.bundle.sandbox import main; sys.exit(main())"
)
_passed: set[tuple[str, str]] = set()


def prove(folder: Path, runtime: str, key: str) -> None:
    """Load and replay the bundle `folder` under `runtime` in a child process, once for each `key` (its manifest).

    Raises InputError with the child's error, or how it ended.
    """
    if (key, runtime) in _passed:
        return
    command = [sys.executable, "-I", "-c", PROGRAM, json.dumps(sys.path), str(folder), runtime]
    try:
        child = subprocess.run(
            command,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{folder}: its {runtime} files do not finish; not run") from error
    except OSError as error:
        raise InputError(f"{folder}: cannot be tried in a child process ({error.strerror})") from error
    errors = child.stderr.decode("utf-8", "replace").strip().splitlines()
    refusals = [line.removeprefix("error: ") for line in errors if line.startswith("error: ")]
    if child.returncode == 2 and refusals:
        named = refusals[-1].startswith(str(folder))  # messages of a runtime name no file
        raise InputError(refusals[-1] if named else f"{folder}: {refusals[-1]}; not run")
    require(
        child.returncode == 0,
        f"{folder}: its {runtime} files crash the runtime, or take more than {MEMORY_BYTES >> 20} MiB or "
        f"{CPU_SECONDS} s (status {child.returncode}); not run",
    )
    _passed.add((key, runtime))


def main() -> int:
    """Run the child; its arguments are the search path, the bundle and the runtime."""
    import resource

    for limit, value in (
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_DATA, MEMORY_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
    from edge.bundle.reader import Bundle

    folder, runtime = Path(sys.argv[2]), sys.argv[3]
    try:
        Bundle.open(folder).proved(runtime, threads=1)
    except (InputError, MemoryError) as error:
        sys.stderr.write(f"error: {str(error) or f'{folder}: its files need too much memory'}\n")
        return 2
    return 0
