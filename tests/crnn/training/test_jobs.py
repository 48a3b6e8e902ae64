"""Many runs: their order, their number at a time, failures, and what happens to them when the caller ends."""

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers import ROOT

from crnn.training.jobs import Place, Processes, TrainingJob, run_jobs
from crnn.training.ray_cluster import LOCAL, RayCluster

FINISHES = """
import json, pathlib, sys, time
folder = pathlib.Path(sys.argv[1]); folder.mkdir()
mark = folder.with_name(folder.name + ".running"); mark.touch()
time.sleep(0.05)
beside = len(list(folder.parent.glob("*.running")))
start = sys.argv[2:] and pathlib.Path(sys.argv[2], "metrics.json").is_file()
(folder / "metrics.json").write_text(json.dumps({"beside": beside, "start": start}))
mark.unlink()
"""
FAILS = "import sys; sys.stderr.write('one line\\nerror: the disk \\x1b[31mis red\\n'); sys.exit(2)"
DIES = "import os; os.kill(os.getpid(), 9)"
STAYS = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"


@dataclass(frozen=True)
class Program(TrainingJob):
    """A job whose program is a few lines in place of train.py."""

    program: str = FINISHES

    def command(self) -> list[str]:
        start = [str(self.after.folder)] if self.after else []
        return [sys.executable, "-c", self.program, str(self.folder), *start]


@pytest.fixture(scope="module", params=["processes", "ray"])
def place(request) -> Iterator[Place]:
    """Processes here, and two workers of a local Ray."""
    if request.param == "processes":
        yield Processes(1)
        return
    pytest.importorskip("ray", reason="needs ray: make test EXTRAS=ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT), str(Path(__file__).parent), str(ROOT / "tests"))))
        cluster = RayCluster(LOCAL, workers=2)
        yield cluster
        cluster.close()


def test_every_job_ends_and_at_most_so_many_run_at_once(place, tmp_path):
    jobs = [Program(tmp_path / f"run{number}") for number in range(6)]
    outcomes = [*run_jobs(jobs, 2, place)]
    assert {outcome.job for outcome in outcomes} == {*jobs}
    assert not any(outcome.problem for outcome in outcomes)
    beside = [json.loads((job.folder / "metrics.json").read_text())["beside"] for job in jobs]
    assert max(beside) <= 2


def test_a_run_starts_from_another_one_that_is_finished(place, tmp_path):
    first = Program(tmp_path / "first")
    jobs = [Program(tmp_path / f"run{number}", after=first) for number in range(2)]
    assert [outcome.job for outcome in run_jobs(jobs, 3, place)].count(first) == 0
    assert all(json.loads((job.folder / "metrics.json").read_text())["start"] for job in jobs)


def test_a_run_that_fails_is_named_and_the_others_go_on(place, tmp_path):
    bad, dead = Program(tmp_path / "bad", program=FAILS), Program(tmp_path / "dead", program=DIES)
    jobs = [bad, dead, Program(tmp_path / "after", after=bad), Program(tmp_path / "good")]
    problems = {outcome.job.folder.name: outcome.problem for outcome in run_jobs(jobs, 1, place)}
    assert problems["bad"].startswith("the disk") and str(bad.log) in problems["bad"]
    assert "-9" in problems["dead"]
    assert "bad" in problems["after"] and "the disk" in problems["after"]
    assert not problems["good"]
    assert not (tmp_path / "after").exists()


def test_a_finished_run_is_not_started_again_nor_what_it_began_with(place, tmp_path):
    job = Program(tmp_path / "run", program=FAILS, after=Program(tmp_path / "first", program=FAILS))
    job.folder.mkdir()
    (job.folder / "metrics.json").write_text("{}")
    (outcome,) = run_jobs([job, job], 1, place)
    assert (outcome.problem, outcome.seconds) == ("", 0)
    assert not job.log.exists()


def test_runs_end_with_their_caller(place, tmp_path):
    stays = Program(tmp_path / "stays", program=STAYS)
    with closing(run_jobs([stays, Program(tmp_path / "quick")], 2, place)) as outcomes:
        assert next(outcomes).job.folder.name == "quick"
        for _ in range(600):
            if stays.log.is_file() and stays.log.read_text().endswith("\n"):
                break
            time.sleep(0.05)
        process = int(stays.log.read_text())
        os.kill(process, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_runs_hold_what_they_were_lent_until_they_end(tmp_path):
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    other = os.open(tmp_path / "lock", os.O_RDWR)
    jobs = [Program(tmp_path / "stays", program=STAYS), Program(tmp_path / "quick")]
    with closing(run_jobs(jobs, 2, Processes(1, lent=(lock,)))) as outcomes:
        assert next(outcomes).job.folder.name == "quick"
        os.close(lock)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)


def test_the_command_is_train_py_with_the_start_of_the_run_before(tmp_path):
    job = TrainingJob(tmp_path / "run", ("--seed", "1"), TrainingJob(tmp_path / "first"))
    python, script, *rest = job.command()
    assert python == sys.executable and Path(script).name == "train.py" and Path(script).is_file()
    assert rest == ["--seed", "1", "--init", str(tmp_path / "first"), "--out", str(tmp_path / "run"), "--resume"]
