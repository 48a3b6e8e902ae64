"""train.py, quantize.py and pytest's workers in processes forked from one that has imported PyTorch and its companions.

Importing them takes ten seconds of processor time; every worker needs them, and the tests run these scripts a hundred
times. A forked process is still one of its own, with its own arguments, environment, folder, streams, signals and exit
code, and runs the script as `__main__` from its first line. A test of imports, or of what differs from one interpreter
to the next (the seed of hashes), starts an interpreter instead (`helpers.script(..., fresh=True)`).

This module is both ends: `run` and `Started` ask, and so does `command()` where another program starts the script or,
for a worker, Python itself; the process that `offer` starts, `python tests/warm_scripts.py SOCKET`, imports once. It
forks a process for each that asks, which forks what is asked for.
"""

import atexit
import gc
import json
import os
import random
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path

LIBRARIES = (
    "torch", "lightning.pytorch", "torchmetrics", "torch.utils.tensorboard", "jsonargparse", "jinja2",
    "onnx", "soundfile", "soxr", "scipy.signal", "scipy.stats", "audiomentations", "matplotlib.figure", "litert_torch",
    "ai_edge_quantizer", "transformers", "fastapi",
)  # fmt: skip
"""None of this project's own modules: each process imports those anew. None that starts a thread."""
AT_START = ("PYTHON", "LD_", "LC_", "LANG", "OMP_", "OPENBLAS_", "MKL_")
"""Prefixes of environment variables that take effect when an interpreter starts or a library loads"""
MEASURES = "COVERAGE_PROCESS_CONFIG"
"""With this environment variable, which coverage sets, a process that starts measures its coverage."""
SECONDS = 600
ADDRESS = "SER_WARM_SCRIPTS"
"""Environment variable: the path of the socket"""
_connection: socket.socket | None = None


def serves(script: Path, environment: dict[str, str]) -> bool:
    """Whether `run` gives what an interpreter of its own would give."""
    if not hasattr(os, "fork") or script.name not in ("train.py", "quantize.py"):
        return False
    ours = os.environ
    names = {name for name in {*ours, *environment} if name.startswith(AT_START)}
    return all(ours.get(name) == environment.get(name) for name in names)


class Started:
    """A script that runs beside the test, in a session of its own, as far as the tests need `subprocess.Popen`."""

    def __init__(
        self, script: Path, arguments: list[str], cwd: Path, environment: dict[str, str], streams: list[Path]
    ) -> None:
        """`streams`: files for standard input, which must exist, standard output and standard error."""
        self.returncode: int | None = None
        self.pid: int = _asked(
            argv=[str(script), *arguments],
            cwd=str(cwd),
            environment=environment,
            streams=[*map(str, streams)],
        )

    def poll(self) -> int | None:
        """Exit code (negative: the number of the signal that ended it), None while it runs."""
        if self.returncode is None:
            self.returncode = _asked(poll=self.pid)
        return self.returncode

    def wait(self, timeout: float = SECONDS) -> int:
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.01)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def run(script: Path, arguments: list[str], cwd: Path, environment: dict[str, str], given: bytes) -> tuple:
    """Exit code as of `Started.poll`, standard output and standard error, as bytes."""
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder, name) for name in ("in", "out", "err")]
        streams[0].write_bytes(given)
        process = Started(script, arguments, cwd, environment, streams)
        return _asked(wait=process.pid), streams[1].read_bytes(), streams[2].read_bytes()


def command() -> list[str]:
    """What other programs start in place of an interpreter; SCRIPT ARGUMENTS... or -u -c CODE follow. What runs gets
    the folder and the environment of the command. CODE, a worker of pytest, also gets its streams; what a script
    printed, the command prints at the end."""
    if not hasattr(os, "fork"):
        return [sys.executable]
    if ADDRESS not in os.environ:
        offer()
    return [sys.executable, str(Path(__file__).resolve())]


def _forward(arguments: list[str]) -> int:
    """What `command()` starts."""
    if arguments[:2] == ["-u", "-c"]:
        streams = [f"/proc/{os.getpid()}/fd/{number}" for number in range(3)]
        request = {"argv": arguments[1:], "cwd": str(Path.cwd()), "environment": dict(os.environ), "streams": streams}
        code = _asked(wait=_asked(**request))
    else:
        script = Path(arguments[0]).resolve()
        code, out, errors = run(script, arguments[1:], Path.cwd(), dict(os.environ), b"")
        sys.stdout.buffer.write(out)
        sys.stderr.buffer.write(errors)
    return code if code >= 0 else 128 - code


def offer() -> None:
    """Start the process that imports, when it is first asked, and forks. It ends with this one."""
    folder = Path(tempfile.mkdtemp(prefix="warm-scripts-"))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
        listening.listen()
        server = subprocess.Popen(
            [sys.executable, __file__, str(listening.fileno())],
            env={name: value for name, value in os.environ.items() if name != MEASURES},  # it runs nothing of ours
            pass_fds=[listening.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
    os.environ[ADDRESS] = str(folder / "socket")
    atexit.register(shutil.rmtree, folder)
    atexit.register(server.communicate)  # it ends with its standard input


def _asked(**request) -> int | None:
    """The answer of the process that forks for this one."""
    global _connection
    if _connection is None:
        if ADDRESS not in os.environ:
            offer()
        _connection = socket.socket(socket.AF_UNIX)
        _connection.connect(os.environ[ADDRESS])
    with _connection.makefile("rwb") as stream:
        stream.write(json.dumps(request).encode() + b"\n")
        stream.flush()
        return json.loads(stream.readline())


def _import() -> None:
    # ONNX Runtime starts a thread when it is imported, and TorchMetrics, which has no use for it here, imports it.
    sys.modules["onnxruntime"] = stand_in = module_from_spec(find_spec("onnxruntime"))
    stand_in.InferenceSession = None
    for name in LIBRARIES:
        if find_spec(name.partition(".")[0]):
            import_module(name)
    del sys.modules["onnxruntime"]
    gc.freeze()  # a forked process would go through these objects, and so copy their memory, at the latest at its end
    threads = len(list(Path("/proc/self/task").iterdir())) if Path("/proc/self/task").is_dir() else 1
    assert threads == 1, f"{threads} threads; only one of them would live on in a forked process"


def _serve(listening: socket.socket) -> None:
    """Fork for each that connects until standard input ends; return in a process that shall run a script."""
    imported = False
    while listening in select.select([listening, sys.stdin], [], [])[0]:
        if not imported:
            _import()
            imported = True
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            return _answer(connection)
        connection.close()
    os._exit(0)  # the forked processes end with their connections


def _answer(connection: socket.socket) -> None:
    """Answer each line: fork, or look at or wait for a forked process; return in the forked process."""
    with connection, connection.makefile("rwb") as stream:
        for line in stream:
            request = json.loads(line)
            if pid := request.get("poll") or request.get("wait"):
                ended, status = os.waitpid(pid, os.WNOHANG if "poll" in request else 0)
                answer = os.waitstatus_to_exitcode(status) if ended else None
            else:
                answer = os.fork()
                if answer == 0:
                    return _become(**request)
            stream.write(json.dumps(answer).encode() + b"\n")
            stream.flush()
    os._exit(0)


def _become(argv: list[str], cwd: str, environment: dict[str, str], streams: list[str]) -> None:
    for number, path in enumerate(streams):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    if argv[0] != "-c":
        os.setsid()  # every process that it starts can be found
        signal.alarm(SECONDS)  # ends this process, if it has not ended by then
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # read TMPDIR again
    sys.argv[:] = argv
    sys.path[0] = str(Path(argv[0]).parent)
    import numpy as np
    import torch

    if MEASURES in os.environ:
        from coverage import process_startup

        process_startup()
    random.seed()  # forked processes would otherwise share what is random in each interpreter
    np.random.seed()
    torch.seed()


if __name__ == "__main__":
    if not sys.argv[1].isdigit():
        sys.exit(_forward(sys.argv[1:]))
    _serve(socket.socket(fileno=int(sys.argv[1])))
    if sys.argv[0] == "-c":
        exec(sys.argv.pop(), {"__name__": "__main__"})  # noqa: S102 (of execnet, which pytest-xdist starts)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")
