"""How every command begins and ends: Ctrl-C while it imports, closed streams, names and texts that steer terminals."""

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from helpers import ROOT

from crnn.cli.command import command, log_to_stderr
from crnn.errors import InputError
from crnn.files.printable import shown
from edge.bundle import PRETRAINED

BUNDLE = PRETRAINED.parent / "float32"
COMMANDS = {
    "stream_infer": ["stream_infer.py", BUNDLE, "-"],
    "info": ["-m", "edge.bundle", BUNDLE],
    "doctor": ["-m", "edge.doctor", BUNDLE, "--no-mic"],
    "enroll": ["-m", "edge.enroll", BUNDLE, "--out", "nowhere/me.json"],
    "evaluate": ["-m", "edge.evaluate", BUNDLE],
    "battery": ["-m", "edge.battery", BUNDLE],
    "app": ["-m", "edge.page", "--port", "0"],
    "service": ["-m", "edge.serve", "--port", "0"],
}
WORKSTATION = {
    "train": ["train.py", "--data", "nowhere"],
    "quantize": ["quantize.py", "nowhere", "--out", "nowhere/bundle"],
    "synthetic": ["-m", "crnn.synthetic", "/proc/nowhere"],
}
BUSY = {name: [*COMMANDS[name], "--data", "ravdess:nowhere"] for name in ("evaluate", "battery")}
"""These begin with what takes long to import only where recordings are named."""
MOMENTS = (0.02, 0.05, 0.1, 0.2, 0.4)
"""s after the first module of this project was imported; before that Python itself does not handle signals"""


@pytest.mark.parametrize("name", COMMANDS | WORKSTATION)
def test_ctrl_c_while_it_starts_ends_it_without_a_traceback(name):
    for moment in MOMENTS:
        process = subprocess.Popen(
            [sys.executable, "-X", "importtime", *map(str, (COMMANDS | WORKSTATION | BUSY)[name])],
            cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        for line in process.stderr:
            if "| crnn.cli.interrupt" in line:
                break
        time.sleep(moment)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=120)  # the end of standard input may end it, too
        messages = [line for line in errors.splitlines() if not line.startswith("import time:")]
        finished = process.returncode in (0, 2) and (out or messages)  # it was quicker than the signal
        assert process.returncode == 130 or finished, (moment, process.returncode, messages)
        assert not any("Traceback" in line or "Exception ignored" in line for line in messages), (moment, messages)


@pytest.mark.parametrize("name", ["info", "doctor", "evaluate", "enroll"])
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_traceback(name, closed):
    line = " ".join(f"'{part}'" for part in (sys.executable, *COMMANDS[name]))
    result = subprocess.run(["sh", "-c", f"{line} {closed}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "Traceback" not in result.stderr
    if ">&-" in closed.split():
        assert result.returncode == 2
    if closed == ">&-":
        assert re.fullmatch("error: standard output .*\n", result.stderr)


def test_a_full_disk_under_standard_output_is_one_line():
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "edge.bundle", BUNDLE],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert result.returncode == 2
    assert result.stderr.endswith("output: No space left on device\n")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("problem", "code", "line"),
    [
        (InputError("\x1b[31mred\nsecond"), 2, "error: \\x1b[31mred\\nsecond\n"),
        (OSError(28, "No space left", "disk\u202e"), 2, "error: disk\\u202e: No space left\n"),
        (MemoryError(), 2, "error: not enough memory; close other programs, or give a smaller input\n"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_what_main_raises_is_one_line_and_a_code(problem, code, line, capsys):
    @command
    def main(argv=None):
        raise problem

    assert main([]) == code
    assert capsys.readouterr().err == line


def test_ctrl_c_while_an_error_is_reported_is_no_traceback(capsys):
    class Interrupted(InputError):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    @command
    def main(argv=None):
        raise Interrupted("reported")

    assert main([]) == 130
    assert capsys.readouterr().err == ""


def test_ctrl_c_inside_executed_text_gives_the_code_as_well(tmp_path):
    """As while a dataclass is made: CPython then ends a process by the signal, whatever it returns."""
    program = """
        import sys
        from crnn.cli.command import command

        @command
        def main(argv=None):
            exec("raise KeyboardInterrupt")

        sys.exit(main())
    """
    (tmp_path / "interrupted_inside.py").write_text(textwrap.dedent(program))
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    done = subprocess.run(
        [sys.executable, "-m", "interrupted_inside"], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_log_cannot_be_forged():
    code = "import logging; from crnn.cli.command import log_to_stderr; log_to_stderr(20); "
    code += r"logging.getLogger('x').warning('%s', 'a\x1b]0;title\x07\nerror: forged \udcff')"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stderr == "a\\x1b]0;title\\x07\\nerror: forged \\xff\n"
    assert log_to_stderr.__module__ == "crnn.cli.command"
    assert logging.getLogger("x").handlers == []


def test_shown_is_bounded_and_printable():
    hostile = "".join(map(chr, range(0x3000))) + "\udcff\ud800" * 1000
    assert shown(hostile).isprintable()
    assert len(shown("x" * 10**6)) < 3000
    assert shown("müde, 疲れた") == "müde, 疲れた"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root becomes nobody")
@pytest.mark.parametrize("name", COMMANDS | WORKSTATION)
def test_a_user_without_name_and_home(name, tmp_path):
    """As in a container that was started under a user id that nobody has; Python itself must stay readable to it."""
    rights = "+dac_read_search"
    nobody = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]
    bare = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path / "missing"), "PYTHONPATH": str(ROOT), "LANG": "C"}
    process = subprocess.Popen(
        [*nobody, f"--inh-caps={rights}", f"--ambient-caps={rights}", sys.executable]
        + [str(part) for part in (COMMANDS | WORKSTATION)[name]],
        cwd=ROOT, env=bare, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    if name in ("app", "service") and process.stdout.readline():  # it serves
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors
    assert process.returncode in (0, 1, 2, 130), errors


def is_here(language: str) -> bool:
    """Whether the C library has the locale; without it every program runs as under C."""
    code = f"import locale; locale.setlocale(locale.LC_ALL, {language!r})"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("language", ["C", "C.UTF-8", *filter(is_here, ["en_US.ISO-8859-1"])])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_name_in_no_known_encoding(name, language, tmp_path):
    strange = os.fsencode(tmp_path) + b"/caf\xe9\x1b[31m"
    sound = ["--out", tmp_path / "me.json", "--files", b"neutral=" + strange]
    arguments = {"stream_infer": [BUNDLE, strange], "enroll": [BUNDLE, *sound]}.get(name, [strange])
    result = subprocess.run(
        [sys.executable, *(COMMANDS[name][:1] if name == "stream_infer" else COMMANDS[name][:2]), *arguments],
        cwd=ROOT,
        env=os.environ | {"LC_ALL": language, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        stdin=subprocess.DEVNULL, capture_output=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2, result.stderr
    assert result.stderr.count(b"\n") == 1, result.stderr
    assert b"Traceback" not in result.stderr
    assert b"caf\\xe9\\x1b[31m" in result.stderr
