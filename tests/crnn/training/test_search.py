"""python -m crnn.crossval --trials: what a search trains, chooses, refuses, and continues."""

import json
import signal
import sys
from pathlib import Path

import pytest
import yaml
from helpers import called, needs, one_clear_line, own_desk, started

from crnn import crossval
from crnn.data.protocols import corpora_of
from crnn.training.jobs import TrainingJob

needs("jsonargparse", "lightning", reason="needs the train extra")
needs("optuna", reason="needs the optuna extra")

SPACE = ("optim.learning_rate=1e-4:1e-2:log", "model.lstm_units=8:16", "loss.gamma=0.0,2.0", "optim.weight_decay=0:1")


class Stub:
    """Runs that end at once; their UAR is that of `uar`, in the development subset `subset`."""

    def __init__(self) -> None:
        self.jobs: list[TrainingJob] = []
        self.subsets = ("dev",)
        self.interrupt_at = -1
        self.fail: set[str] = set()

    def uar(self, settings: dict) -> float:
        return settings["model"]["lstm_units"] / 100 + settings["optim"]["learning_rate"]

    def start(self, job: TrainingJob) -> int:
        if len(self.jobs) == self.interrupt_at:
            self.interrupt_at = -1
            raise KeyboardInterrupt
        self.jobs.append(job)
        if f"{job.folder.parent.name}/{job.folder.name}" in self.fail:
            job.log.write_text("error: the loss is NaN\n")
            return 2
        settings = yaml.safe_load(Path(job.arguments[job.arguments.index("--config") + 1]).read_text())
        fold = int(job.arguments[job.arguments.index("--fold") + 1])
        figures = {"dev": {"uar": 0.0}} | {name: {"uar": self.uar(settings) + fold / 10} for name in self.subsets}
        job.folder.mkdir(parents=True)
        (job.folder / "metrics.json").write_text(json.dumps(figures))
        return 0

    def exit_code(self, started: int) -> int:
        return started

    def end(self, started) -> None:
        pass


@pytest.fixture
def stub(monkeypatch) -> Stub:
    made = Stub()
    monkeypatch.setattr(crossval, "Processes", lambda *_, **__: made)
    monkeypatch.setattr("crnn.training.jobs.PAUSE", 0.0)
    return made


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    return own_desk(tmp_path_factory.mktemp("desk"))


def search(desk: Path, out: Path, *more, trials: int = 2, space=SPACE):
    data = ("--protocol", "own-data", "--data", f"folder:{desk / 'own'}", "--cache", desk / "cache", "--out", out)
    count = ("--trials", trials) if trials is not None else ()
    return called(crossval.main, desk / "small.yaml", *data, *count, *(("--search", *space) if space else ()), *more)


def stored(out: Path) -> dict:
    return json.loads((out / "crossval.json").read_text())


class Warm(Stub):
    """train.py in processes that are forked from one with PyTorch."""

    def start(self, job):
        self.jobs.append(job)
        return started("train.py", *job.command()[2:], errors=job.log)

    def exit_code(self, process):
        return process.poll()

    def end(self, processes) -> None:
        for process in processes:
            process.send_signal(signal.SIGTERM)
            process.wait()


def test_trials_are_runs_that_read_no_test_speaker_and_the_best_settings_are_train_pys(desk, tmp_path, monkeypatch):
    import train

    monkeypatch.setattr(crossval, "Processes", lambda *_, **__: Warm())
    out = tmp_path / "out"
    result = search(desk, out, "--folds", "0", "--json", trials=1)
    assert result.returncode == 0, result.stderr
    made = json.loads(result.stdout)
    run = out / "trial-000" / "own-data-fold0-seed0"
    metrics = json.loads((run / "metrics.json").read_text())
    assert "test" not in metrics and made["best"]["dev_uar"] == pytest.approx(metrics["dev"]["uar"])
    config = json.loads((run / "config.json").read_text())["run"]
    _, best, augment, _ = train.parse(["--config", str(out / "best.yaml")])
    assert best.optim.learning_rate == config["optim"]["learning_rate"] == made["best"]["values"]["optim.learning_rate"]
    assert best.model.lstm_units == config["model"]["lstm_units"] and best.loss.gamma == config["loss"]["gamma"]
    assert best.protocol == "own-data" and best.optim.epochs == 1 and augment.copies == 2


def test_the_best_of_all_trials_by_the_mean_of_the_folds_is_stored_and_ranked_first(desk, tmp_path, stub):
    out = tmp_path / "an ?odd%20#name"
    result = search(desk, out, "--folds", "0", "1", "--set", "optim.epochs=4", trials=4)
    assert result.returncode == 0, result.stderr
    made = stored(out)
    assert [trial["number"] for trial in made["trials"]] == [0, 1, 2, 3]
    for trial in made["trials"]:
        values = trial["values"]
        expected = values["model.lstm_units"] / 100 + values["optim.learning_rate"] + 0.05
        assert trial["dev_uar"] == pytest.approx(expected)
        assert 1e-4 <= values["optim.learning_rate"] <= 1e-2 and values["loss.gamma"] in (0.0, 2.0)
        assert values["model.lstm_units"] in range(8, 17) and values["optim.weight_decay"] in (0, 1)
    assert made["best"]["dev_uar"] == max(trial["dev_uar"] for trial in made["trials"])
    best = yaml.safe_load((out / "best.yaml").read_text())
    assert best["model"]["lstm_units"] == made["best"]["values"]["model.lstm_units"]
    assert best["optim"]["learning_rate"] == made["best"]["values"]["optim.learning_rate"]
    assert best["optim"]["epochs"] == 4 and best["model"]["channels"] == [8, 8, 8, 8]
    assert result.stdout.splitlines()[2].split()[0] == str(made["best"]["number"])
    assert len(stub.jobs) == 8
    for job in stub.jobs:
        assert job.arguments[job.arguments.index("--test") + 1] == "false"


def test_of_a_corpus_left_out_its_own_development_speakers_choose(desk, tmp_path, stub):
    stub.subsets = ("dev_unseen",)
    assert search(desk, tmp_path / "out", "--folds", "0").returncode == 0
    assert stored(tmp_path / "out")["best"]["dev_uar"] > 0


def test_a_run_that_has_read_its_test_speakers_is_refused(desk, tmp_path, stub):
    stub.subsets = ("dev", "test")
    out = tmp_path / "out"
    one_clear_line(search(desk, out, "--folds", "0"), "trial-000", "test speakers")
    assert not (out / "best.yaml").exists() and "trials" not in stored(out)


def test_an_interrupted_search_continues_and_chooses_what_an_uninterrupted_one_does(desk, tmp_path, stub):
    import optuna
    from sqlalchemy import URL

    whole, out = tmp_path / "whole", tmp_path / "out"
    assert search(desk, whole, "--folds", "0", "1", "--processes", "1", trials=13).returncode == 0
    stub.jobs.clear()
    stub.interrupt_at = 23  # trial 11, which TPE chooses, has one of its two runs
    ended = search(desk, out, "--folds", "0", "1", "--processes", "1", trials=13)
    assert ended.returncode == 128 + signal.SIGINT and "the same command continues" in ended.stderr
    assert not (out / "best.yaml").exists() and "trials" not in stored(out)
    assert search(desk, out, "--folds", "0", "1", "--processes", "1", trials=13).returncode == 0
    assert len(stub.jobs) == len({job.folder for job in stub.jobs}) == 26, "nothing is trained twice"
    assert stored(out)["trials"] == stored(whole)["trials"]

    url = URL.create("sqlite", database=str(out / "study.db")).render_as_string()
    optuna.load_study(study_name="search", storage=url).ask()  # killed before its values were stored
    assert search(desk, out, "--folds", "0", "1", trials=14).returncode == 0
    assert [trial["number"] for trial in stored(out)["trials"]] == [*range(13), 14]
    assert (stored(out)["trials"][:13], len(stub.jobs)) == (stored(whole)["trials"], 28)


def test_a_trial_that_fails_is_named_and_tried_again(desk, tmp_path, stub):
    out = tmp_path / "out"
    stub.fail = {"trial-001/own-data-fold0-seed0"}
    failed = search(desk, out, "--folds", "0", trials=3)
    assert failed.returncode == 2
    assert "FAILED: trial 1 fold 0 seed 0: the loss is NaN" in failed.stdout
    assert [trial["number"] for trial in stored(out)["trials"]] == [0, 2]
    stub.fail = set()
    assert search(desk, out, "--folds", "0", trials=3).returncode == 0
    assert [trial["number"] for trial in stored(out)["trials"]] == [0, 1, 2] and stored(out)["failed"] == []


def test_a_search_whose_first_trial_cannot_be_trained_ends_there(desk, tmp_path, stub):
    stub.fail = {"trial-000/own-data-fold0-seed0"}
    ended = search(desk, tmp_path / "out", "--folds", "0", trials=3)
    one_clear_line(ended, "trial 0", "the loss is NaN")
    assert len(stub.jobs) == 1 and "trials" not in stored(tmp_path / "out")


def test_other_settings_or_a_damaged_study_are_refused(desk, tmp_path, stub):
    out = tmp_path / "out"
    assert search(desk, out, "--folds", "0", trials=1).returncode == 0
    other = search(desk, out, "--folds", "0", trials=1, space=("loss.gamma=0.0,1.0", *SPACE[:2], SPACE[3]))
    one_clear_line(other, "search.space.loss.gamma.choices was [0.0, 2.0], now [0.0, 1.0]")
    one_clear_line(search(desk, out, "--folds", "1", trials=1), "search.folds was [0], now [1]")
    one_clear_line(search(desk, out, trials=None, space=()), str(out), "search.")
    (out / "study.db").write_text("no database, however long it may be")
    one_clear_line(search(desk, out, "--folds", "0", trials=1), "study.db", "another --out")


@pytest.mark.parametrize(
    ("trials", "space", "parts"),
    [
        (2, (), ["--trials", "--search"]),
        (None, SPACE, ["--trials", "--search"]),
        (0, SPACE, ["--trials is 0"]),
        (2, ("optim.lerning_rate=1:2",), ["unknown key optim.lerning_rate"]),
        (2, ("optim.learning_rate=1e-2:1e-4",), ["--search optim.learning_rate=1e-2:1e-4", "below"]),
        (2, ("optim.learning_rate=0:1e-2:log",), ["logarithmic", "above 0"]),
        (2, ("model.lstm_units=8.5:16",), ["model.lstm_units", "int"]),
        (2, ("loss.gamma=-1.0,2.0",), ["loss.gamma is -1.0"]),
        (2, ("test=true,false",), ["--search test", "no test speaker"]),
        (2, ("seed=0:5",), ["--search seed"]),
        (2, (SPACE[0], "loss.adversary_share=0.1:0.9"), ["loss.adversary_share", "nothing", "loss.adversary_weight"]),
        (2, ("model.kind=crnn,rnn",), ["model.kind is rnn", "frozen-encoder"]),
        (2, ("loss.gamma=0:1", "loss.gamma=2:3"), ["loss.gamma twice"]),
    ],
)
def test_a_wrong_search_is_one_line_and_nothing_is_written(trials, space, parts, desk, tmp_path):
    one_clear_line(search(desk, tmp_path / "out", trials=trials, space=space), *parts)
    assert not (tmp_path / "out").exists()


def test_reading_the_test_speakers_is_refused_in_a_search(desk, tmp_path):
    refused = search(desk, tmp_path / "out", "--set", "test=true")
    one_clear_line(refused, "--set test=true", "no test speaker")
    assert not (tmp_path / "out").exists()


def test_a_search_without_optuna_is_refused_with_the_extra(desk, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    one_clear_line(search(desk, tmp_path / "out"), "--trials needs optuna", "[optuna]")
    assert not (tmp_path / "out").exists()


def test_a_protocol_that_tests_nobody_is_not_refused_for_it(desk, tmp_path, voices):
    """all-corpora, which crnn.crossval without a search refuses; here it only lacks recordings."""
    given = ("--protocol", "all-corpora", "--out", tmp_path / "out", "--trials", "1", "--search", SPACE[0])
    result = called(crossval.main, desk / "small.yaml", *given, "--data", *_every_corpus_in(voices))
    one_clear_line(result, "usable", "recording")
    assert "no test speaker" not in result.stderr


def _every_corpus_in(folder: Path) -> list[str]:
    return [f"{corpus}:{folder}" for corpus in corpora_of("all-corpora", 0)]
