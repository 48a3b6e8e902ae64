"""Checks of the packages for numbers and recordings, each imported in a child process."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from crnn.cli.installed import install
from edge.doctor.child import python
from edge.doctor.finding import Finding, State


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


def check_recordings() -> Iterator[Finding]:
    """The packages that read files and resample."""
    for package, reads in (("soundfile", "recordings"), ("soxr", "audio that is not at the model's rate")):
        ended = python("-c", f"import {package}; print({package}.__version__)")
        if ended.code == 0:
            yield Finding(package, State.OK, ended.stdout.strip())
        elif "sndfile" in ended.how:
            yield Finding(package, State.PROBLEM, f"libsndfile is missing: {ended.how}", "sudo apt install libsndfile1")
        else:
            yield Finding(package, State.PROBLEM, f"{ended.how}; it reads {reads}", f"pip install {package}")
