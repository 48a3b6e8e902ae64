"""Many training runs: each is `train.py` as a user would start it, in a process of its own, several at a time.

A finished run is used as it is; an interrupted one continues. No torch.
"""

import os
import subprocess
import sys
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from crnn.cli.installed import ROOT
from crnn.cli.termination import starting_workers
from crnn.training.run_folder import RunFolder

PAUSE = 0.1
"""s between two looks at the running processes"""
LOG_END = 65536
"""Bytes of a log that are read for its last line"""


@dataclass(frozen=True)
class TrainingJob:
    """One run of train.py."""

    folder: Path
    """Its run folder"""
    arguments: tuple[str, ...] = ()
    """Of train.py, without --out, --resume and the --init of `after`"""
    after: "TrainingJob | None" = None
    """A run whose weights this one starts from"""

    @property
    def log(self) -> Path:
        """What train.py writes to its standard streams."""
        return self.folder.with_name(f"{self.folder.name}.log")

    def finished(self) -> bool:
        return RunFolder(self.folder).finished()

    def command(self) -> list[str]:
        """The command on this machine; train.py lies beside the packages, in a checkout and installed."""
        start = ["--init", str(self.after.folder)] if self.after else []
        folder = ["--out", str(self.folder), "--resume"]
        return [sys.executable, str(ROOT / "train.py"), *self.arguments, *start, *folder]

    def problem(self, code: int) -> str:
        """Why the run is not finished after exit code `code` (negative: a signal): the last line of its log."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - LOG_END))
                lines = log.read().decode("utf-8", "replace").split("\n")
        except OSError:  # it could not even be started
            lines = []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        cause = last.removeprefix("error: ") if last.startswith("error: ") else f"exit code {code}"
        return f"{cause}; see {self.log}"


@dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    job: TrainingJob
    problem: str = ""
    """Why it is not finished; empty if it is"""
    seconds: float = 0.0
    """Since it was started here; 0 if it was finished before"""


class Place(Protocol):
    """Where runs are trained."""

    def start(self, job: TrainingJob) -> Any:
        """Start the run; returns what stands for it in the other methods."""

    def exit_code(self, started: Any) -> int | None:
        """None while it runs; negative: the signal that ended it."""

    def end(self, started: Sequence[Any]) -> None:
        """End these runs as SIGTERM does and wait until they have ended."""


class Processes:
    """Runs on this machine.

    Args:
        threads: of each run, for computing.
        lent: file descriptors that each run holds open until it ends.
    """

    def __init__(self, threads: int, lent: Sequence[int] = ()) -> None:
        self._threads, self._lent = threads, lent

    def start(self, job: TrainingJob) -> subprocess.Popen:
        environment = os.environ | {"OMP_NUM_THREADS": str(self._threads)}
        # Ctrl-C in a terminal reaches all its processes; here it is this one that ends the others.
        with starting_workers(), job.log.open("w") as log:
            return subprocess.Popen(
                job.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, pass_fds=self._lent
            )

    def exit_code(self, started: subprocess.Popen) -> int | None:
        return started.poll()

    def end(self, started: Sequence[subprocess.Popen]) -> None:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()


def run_jobs(jobs: Iterable[TrainingJob], most: int, place: Place) -> Generator[Outcome, None, None]:
    """Run every job that is not finished, at most `most` at once, those that others start from first; yields each of
    `jobs` as soon as it has ended, whether it failed or not.

    Whatever ends the iteration (an exception, `close`) ends the runs as well.
    """
    wanted = list(dict.fromkeys(jobs))
    waiting = list(dict.fromkeys(job for each in wanted for job in _chain(each)))
    ended: dict[TrainingJob, str] = {}
    running: dict[TrainingJob, tuple[Any, float]] = {}
    try:
        while waiting or running:
            outcomes = [*_without_start(waiting, ended)]
            for job, (started, since) in running.items():
                code = place.exit_code(started)
                if code is not None:
                    outcomes.append(Outcome(job, "" if job.finished() else job.problem(code), time.monotonic() - since))
            for outcome in outcomes:
                running.pop(outcome.job, None)
                if outcome.job in waiting:
                    waiting.remove(outcome.job)
                ended[outcome.job] = outcome.problem
                if outcome.job in wanted:
                    yield outcome
            for job in [job for job in waiting if job.after is None or job.after in ended][: most - len(running)]:
                waiting.remove(job)
                job.folder.parent.mkdir(parents=True, exist_ok=True)
                running[job] = place.start(job), time.monotonic()
            if not outcomes:
                time.sleep(PAUSE)
    finally:
        place.end([started for started, _ in running.values()])


def _chain(job: TrainingJob) -> list[TrainingJob]:
    """The runs that it starts from, the first one first, and itself; of a finished run only itself."""
    return [*(_chain(job.after) if job.after and not job.finished() else []), job]


def _without_start(waiting: list[TrainingJob], ended: dict[TrainingJob, str]) -> Iterator[Outcome]:
    """Outcomes of jobs that need no process: they are finished, or what they start from failed."""
    for job in waiting:
        if job.finished():
            yield Outcome(job)
        elif job.after and ended.get(job.after):
            yield Outcome(job, f"starts from {job.after.folder.name}, which failed: {ended[job.after]}")
