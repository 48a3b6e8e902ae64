"""When each rule has fired: in memory, and in a file so that a restart does not forget it."""

import json
import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path

from crnn.errors import InputError
from crnn.files.atomic import replacing
from crnn.files.strict import read_json

log = logging.getLogger(__name__)

MOST_BYTES = 2**20
OWNER_ONLY = 0o600
"""It says when somebody was angry: not for other users of the machine"""


def default_path() -> Path:
    """Where a loop that listens stores it: the user's folder for state (XDG base directories).

    Raises InputError where nobody knows a home folder (a container with an unknown user id and no $HOME).
    """
    state = os.environ.get("XDG_STATE_HOME", "")
    try:
        return (Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state") / "ser" / "rules.json"
    except RuntimeError as error:
        raise InputError("no home folder to store when rules fire; set XDG_STATE_HOME or HOME") from error


class Firings:
    """Times at which rules fired, s since 1970.

    A file that cannot be read or written is logged and does not end the loop: the limits then hold for this process
    alone. A time in the future, from a clock that was wrong, counts as the moment at which it is first looked at. The
    loops of one user share the file: each keeps what the others stored, and limits its own rules by its own times.

    Args:
        path: where they are stored; None: nowhere.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path, self._failed = path, False
        self._times: dict[str, list[float]] = {} if path is None else self._load(path)

    def of(self, rule: str, now: float, seconds: float) -> list[float]:
        """Times at which `rule` fired within the last `seconds` s, oldest first."""
        times = self._times[rule] = [min(t, now) for t in self._times.get(rule, ())]
        return [t for t in times if now - t < seconds]

    def add(self, rule: str, now: float, remember: float) -> None:
        """`rule` fires now; its times older than `remember` s are dropped."""
        self._times[rule] = [*self.of(rule, now, remember), now]
        if self._path is not None:
            times = _of_both({} if self._failed else self._load(self._path), self._times)
            times[rule] = [t for t in times[rule] if t <= now and now - t < remember]
            self._save(self._path, times)

    def _load(self, path: Path) -> dict[str, list[float]]:
        try:
            values = read_json(path, MOST_BYTES)
        except FileNotFoundError:
            return {}
        except (OSError, InputError) as error:
            log.warning("when rules fired before is not known: %s", error)
            return {}
        return {name: _numbers(times) for name, times in values.items()}

    def _save(self, path: Path, times: Mapping[str, list[float]]) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path, mode=OWNER_ONLY) as file:
                file.write(json.dumps(times).encode("ascii") + b"\n")
        except OSError as error:
            if not self._failed:
                log.warning("%s: when rules fire is not stored (%s)", path, error.strerror)
            self._failed = True


def _of_both(stored: Mapping[str, list[float]], own: Mapping[str, list[float]]) -> dict[str, list[float]]:
    return {rule: sorted({*stored.get(rule, ()), *own.get(rule, ())}) for rule in {**stored, **own}}


def _numbers(times: object) -> list[float]:
    """The finite numbers of a list; another program may have written the file."""
    if not isinstance(times, list):
        return []
    return [float(t) for t in times if type(t) in (int, float) and math.isfinite(t)]
