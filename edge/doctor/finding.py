"""The result of a check, and how to fix a problem."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(str, Enum):  # noqa: UP042 (StrEnum needs Python 3.11, which may be missing)
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    """Works, but not as well as it could"""
    PROBLEM = "problem"
    """Does not work until it is fixed"""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    """What was checked"""
    state: State
    what: str
    cure: str = ""
    """How to fix it; empty if nothing needs fixing"""
