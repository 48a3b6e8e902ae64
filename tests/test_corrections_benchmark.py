"""The simulation of corrections: it trains like train.py and corrects the least certain clips first."""

import shutil

import pytest
import torch
import yaml
from helpers import script

from augment.config import AugmentConfig
from benchmarks.adaptation import corrections, homes
from benchmarks.adaptation.homes import ALL, NONE, RANDOM, UNCERTAINTY, open_fold, order
from benchmarks.adaptation.learners import Profiles, Training
from crnn.training.checkpoint import model_weights
from crnn.training.run_folder import RunFolder

SETTINGS = {
    "loss": {"gamma": 0, "label_smoothing": 0.1},
    "optim": {
        "schedule": "cosine", "warmup_epochs": 1, "epochs": 2, "eval_every": 2, "epoch_clips": 64, "batch_size": 16,
        "corpus_balance": 1, "learning_rate": 0.002, "ema_decay": 0.5,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def fold(small_run, tmp_path_factory):
    """The people are training speakers: what is equal here does not depend on who speaks."""
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    patch.setattr(homes, "RUNS", tmp_path_factory.mktemp("runs"))
    yield open_fold(RunFolder(small_run), "train", AugmentConfig(noise=False, room=False, copies=2))
    patch.undo()


def test_it_learns_bit_by_bit_as_train_py_does(fold, small_run, voices, cache, tmp_path):
    person = fold.people[0]
    corrected = order(fold, person, UNCERTAINTY, 0)[:3]
    ours, _ = Training(fold, SETTINGS).model_of(person, corrected)

    for u in corrected:
        target = tmp_path / "stored" / "corrected" / u.emotion / f"home_{u.path.stem}.wav"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(u.path, target)
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(SETTINGS))
    result = script(
        *("train.py", "--config", tmp_path / "settings.yaml", "--protocol", "synthetic-demo", "--init", small_run),
        *("--augment.noise", "false", "--augment.room", "false", "--augment.copies", "2", "--cache", cache),
        *("--out", tmp_path / "run", "--data", f"synthetic:{voices}", f"corrections:{tmp_path / 'stored'}"),
    )
    assert result.returncode == 0, result.stderr[-2000:]
    theirs = model_weights(tmp_path / "run" / "checkpoints" / "best.ckpt")
    before = model_weights(small_run / "checkpoints" / "best.ckpt")
    assert ours.state_dict().keys() == theirs.keys()
    for name, value in ours.state_dict().items():
        assert torch.equal(value, theirs[name]), name
    assert not torch.equal(theirs["head.classifier.weight"], before["head.classifier.weight"]), "and it has learned"


def test_pool_and_judged_share_no_sentence(fold):
    pooled = set()
    for person in fold.people:
        sentences = [{u.sentence for u in part} for part in (person.pool, person.judged)]
        assert not sentences[0] & sentences[1]
        assert {u.speaker for u in (*person.pool, *person.judged)} == {person.voice}
        pooled |= sentences[0]
    assert len(pooled) == 2, "the pools are not all of the same sentence"


def test_the_least_certain_come_first_and_random_ones_do_not(fold):
    person = fold.people[0]
    ranked = order(fold, person, UNCERTAINTY, 0)
    assert sorted(u.name for u in ranked) == sorted(u.name for u in person.pool)
    draws = [[u.name for u in order(fold, person, RANDOM, draw)] for draw in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    profiles = Profiles(fold)
    logits, _ = profiles._made_of(ranked)
    sure = torch.softmax(torch.from_numpy(logits) / fold.temperature, dim=1).max(dim=1).values
    assert torch.all(sure.diff() > -1e-5)


def test_cases_hold_every_count_once_and_where_nothing_is_chosen_one(fold):
    pool = len(fold.people[0].pool)
    found = [
        (case.strategy, case.n, case.draw)
        for case in corrections.cases(fold, [UNCERTAINTY, RANDOM], (0, 2, pool), 2)
        if case.person is fold.people[0]
    ]
    assert found == [(NONE, 0, 0), (UNCERTAINTY, 2, 0), (RANDOM, 2, 0), (RANDOM, 2, 1), (ALL, pool, 0)]


def test_a_profile_needs_every_emotion(fold):
    profiles, person = Profiles(fold), fold.people[0]
    assert not profiles.learn(person, list(person.pool[:1]))["made"]
    whole = profiles.learn(person, list(person.pool))
    assert whole["made"] == ({u.emotion for u in person.pool} == set(fold.labels))


def test_an_interrupted_run_computes_nothing_twice(fold, tmp_path, monkeypatch):
    monkeypatch.setattr(corrections, "RUNS", tmp_path)
    case = next(corrections.cases(fold, [RANDOM], (2,), 1))
    asked = []

    def learn(corrected):
        asked.append(len(corrected))
        return {"confusion": [[1, 0], [0, 1]]}

    for _ in range(2):
        assert corrections.simulate(fold, "train", "x=1", case, learn) == {"confusion": [[1, 0], [0, 1]]}
    corrections.simulate(fold, "train", "x=2", case, learn)
    assert asked == [2, 2], "other settings are another result"


def test_a_row_is_a_mean_over_speakers_not_over_clips():
    sure, half = [[10, 0], [0, 10]], [[1, 1], [1, 1]]
    row = corrections.row_of(
        {
            "a": [{"before": half, "confusion": sure}, {"before": half, "confusion": half}],
            "b": [{"before": half, "confusion": half}, {"before": half, "confusion": half}],
        }
    )
    assert row["uar_without"] == 0.5
    assert row["uar"] == pytest.approx((0.75 + 0.5) / 2)
    assert row["speakers_better"] == 0.5
    assert row["worst_speaker_delta"] == 0
    assert row["uar_ci95"] == pytest.approx([0.5, 0.75])
    assert (row["n_speakers"], row["n_draws"], row["dev_uar"]) == (2, 2, None)
