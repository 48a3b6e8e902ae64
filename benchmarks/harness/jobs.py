"""The training runs of the benchmarks: `crnn.training.jobs` with their folders, names and settings of speed.

One thread each and two at a time make about a third more clips per second on two cores than one run on both.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.corpora import folders, speech_encoder
from benchmarks.harness.results import cpu_info
from crnn.errors import require
from crnn.training.jobs import Processes, TrainingJob, run_jobs
from crnn.training.run_folder import RunFolder

RUNS = Path(os.environ.get("SER_RUNS", "runs"))


def fast() -> tuple[str, ...]:
    """Settings of speed alone; bf16 only where the processor computes in it, elsewhere it is slower than float32."""
    flags = next((line for line in cpu_info() if line.startswith("flags")), "")
    bf16 = ("--loop.precision", "bf16-mixed") if "avx512_bf16" in flags or "amx_bf16" in flags else ()
    return (*bf16, "--loop.channels_last", "true")


@dataclass(frozen=True)
class Job:
    """One run of a recipe."""

    recipe: str
    """Names the settings; part of the run folder's name"""
    protocol: str
    fold: int
    seed: int
    settings: tuple[str, ...] = ()
    after: "Job | None" = None
    """A run whose weights this one starts from"""
    taught: bool = False
    """By the speech encoder in $SER_ENCODER"""

    @property
    def name(self) -> str:
        return f"{self.recipe}-{self.protocol}-fold{self.fold}-seed{self.seed}"

    @property
    def folder(self) -> RunFolder:
        return RunFolder(RUNS / self.name)

    def training(self) -> TrainingJob:
        """The run of train.py. Raises InputError if recordings or the speech encoder are missing."""
        data = [f"{corpus}:{folder}" for corpus, folder in folders(self.protocol, self.fold).items()]
        arguments = ("--protocol", self.protocol, "--fold", str(self.fold), "--seed", str(self.seed))
        arguments += ("--teacher.encoder", str(speech_encoder())) if self.taught else ()
        after = None
        if self.after:
            after = TrainingJob(self.after.folder.path) if self.after.folder.finished() else self.after.training()
        return TrainingJob(self.folder.path, (*arguments, *fast(), *self.settings, "--data", *data), after)


def run_all(jobs: Iterable[Job], processes: int) -> Iterator[Job]:
    """Run every job that is not finished, those they start from first; yields each when it is finished.

    Raises InputError if recordings or the speech encoder are missing, before anything is written, or, after all others
    have ended, if a run failed.
    """
    jobs = list(dict.fromkeys(jobs))
    waiting = {job.training(): job for job in jobs if not job.folder.finished()}
    yield from (job for job in jobs if job.folder.finished())
    failed = []
    with closing(run_jobs(waiting, processes, Processes(threads=1))) as outcomes:
        for outcome in outcomes:
            if outcome.problem:
                failed.append(f"{outcome.job.folder.name}: {outcome.problem}")
            else:
                yield waiting[outcome.job]
    require(not failed, f"failed: {'; '.join(failed)}")


def metrics(job: Job) -> dict:
    return json.loads((job.folder.path / "metrics.json").read_text(encoding="utf-8"))
