"""Many training runs: each is `train.py` as a user would start it, on one thread, several at a time.

One thread each and two at a time make about a third more clips per second on two cores than one run on both. A finished
run is used as it is; an interrupted one continues.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.corpora import folders, speech_encoder
from benchmarks.harness.results import cpu_info
from crnn.errors import InputError
from crnn.training.run_folder import RunFolder

RUNS = Path(os.environ.get("SER_RUNS", "runs"))


def fast() -> tuple[str, ...]:
    """Settings of speed alone; bf16 only where the processor computes in it, elsewhere it is slower than float32."""
    flags = next((line for line in cpu_info() if line.startswith("flags")), "")
    bf16 = ("--loop.precision", "bf16-mixed") if "avx512_bf16" in flags or "amx_bf16" in flags else ()
    return (*bf16, "--loop.channels_last", "true")


@dataclass(frozen=True)
class Job:
    """One run of train.py."""

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

    def command(self) -> list[str]:
        data = [f"{corpus}:{folder}" for corpus, folder in folders(self.protocol, self.fold).items()]
        others = ["--init", str(self.after.folder.path)] if self.after else []
        others += ["--teacher.encoder", str(speech_encoder())] if self.taught else []
        return [
            *("train.py", "--protocol", self.protocol, "--fold", str(self.fold), "--seed", str(self.seed)),
            *("--out", str(self.folder.path), "--resume", *others, *fast(), *self.settings, "--data", *data),
        ]


def run_all(jobs: Iterable[Job], processes: int) -> Iterator[Job]:
    """Run every job that is not finished, those they start from first; yields each when it is finished.

    Raises InputError if recordings or the speech encoder are missing, or a run fails.
    """
    jobs = list(dict.fromkeys(jobs))
    for job in jobs:
        if not job.folder.finished():
            job.command()  # refuses missing recordings before anything is written
    first = list(dict.fromkeys(job.after for job in jobs if job.after is not None))
    if first:
        for _ in run_all(first, processes):
            pass
    RUNS.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(processes) as pool:
        waiting = {pool.submit(_run, job): job for job in jobs}
        for done in as_completed(waiting):
            done.result()
            yield waiting[done]


def _run(job: Job) -> None:
    if job.folder.finished():
        return
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (RUNS / f"{job.name}.log").open("w") as log:
        done = subprocess.run([sys.executable, *job.command()], stdout=log, stderr=log, env=environment, check=False)
    if done.returncode:
        raise InputError(f"{job.name} failed; see {RUNS / job.name}.log")


def metrics(job: Job) -> dict:
    return json.loads((job.folder.path / "metrics.json").read_text(encoding="utf-8"))
