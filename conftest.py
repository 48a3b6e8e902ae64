"""Doctests are collected by importing every module; one whose optional package is not installed is skipped, and why."""

from importlib.util import find_spec

import pytest
from _pytest.doctest import DoctestModule

OWN = {"augment", "benchmarks", "crnn", "edge"}


def pytest_collectstart(collector):
    if not isinstance(collector, DoctestModule):
        return
    collect = collector.collect

    def collect_or_skip():
        try:
            yield from collect()
        except (pytest.Collector.CollectError, ImportError) as error:
            cause = error if isinstance(error, ImportError) else error.__cause__
            missing = cause.name.split(".")[0] if isinstance(cause, ModuleNotFoundError) and cause.name else ""
            if not missing or missing in OWN or find_spec(missing):
                raise  # the code is wrong, which no extra would mend
            pytest.skip(f"needs {missing}, which one of the extras in setup.py brings", allow_module_level=True)

    collector.collect = collect_or_skip
