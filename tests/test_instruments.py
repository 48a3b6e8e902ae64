"""Every instrument of benchmarks/ runs on a small trained run: what it writes has the figures it names."""

import argparse
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.accuracy import across_corpora, baselines, battery, robustness, systems, within_corpus
from benchmarks.accuracy.conditions import gain
from benchmarks.accuracy.functionals import functionals
from benchmarks.adaptation import enrolment, label_free
from benchmarks.device import false_alarms, live_label, nonspeech, stages
from benchmarks.export import compression
from benchmarks.harness import corpora, jobs, plots, recipes, train_runs
from benchmarks.harness.jobs import Job
from benchmarks.harness.results import rows_of
from crnn.data import prepare as preparation
from crnn.data.protocols import n_folds
from crnn.errors import InputError
from edge.bundle import PRETRAINED, Bundle
from edge.enroll.fit import Strength
from edge.export.trained import load_trained
from edge.stream.live_label import SmoothingConfig
from train import parse


@pytest.fixture
def job(small_run, tmp_path, monkeypatch) -> Job:
    """A finished run in a folder of its own: instruments store their evaluation there."""
    made = Job("small", "synthetic-demo", 0, 0)
    for module in (jobs, within_corpus, across_corpora):
        monkeypatch.setattr(module, "RUNS", tmp_path)
    shutil.copytree(small_run, tmp_path / made.name)
    monkeypatch.setattr(recipes, "jobs", lambda *_: [made])
    monkeypatch.setattr(corpora, "sexes", lambda names: {})
    return made


@pytest.fixture
def prepared(job) -> preparation.Prepared:
    trained = load_trained(job.folder)
    return preparation.prepare(trained.config, trained.data)


def run(instrument, monkeypatch, *arguments) -> None:
    monkeypatch.setattr(sys, "argv", [instrument.__file__, *map(str, arguments)])
    assert instrument.main() == 0


def test_within_a_corpus_every_scheme_and_mode_is_a_row_and_the_folds_are_pooled(job, tmp_path, monkeypatch):
    monkeypatch.setattr(within_corpus, "RESULTS", tmp_path)
    monkeypatch.setattr(within_corpus, "SCHEMES", ("float32",))
    run(within_corpus, monkeypatch, "--protocols", job.protocol)
    rows = rows_of(tmp_path / "accuracy.json")
    wanted = {(scheme, mode) for scheme in within_corpus.SCHEMES for mode in within_corpus.MODES}
    assert {(row["scheme"], row["mode"]) for row in rows} == wanted
    assert all(0 <= row["uar"] <= 1 and row["n_clips"] > 0 for row in rows)
    within_corpus.pool(job.recipe, job.protocol)
    if n_folds(job.protocol) == 1:
        assert len(rows_of(tmp_path / "accuracy_pooled.json")) == len(wanted)
        assert len(rows_of(tmp_path / "confidence.json")) == 1


def test_across_corpora_each_tested_corpus_has_figures_and_is_evaluated_once(job, monkeypatch):
    figures = across_corpora.evaluated(job)
    assert set(figures["figures"]) == set(figures["confidence"]) == {"synthetic"}
    assert set(within_corpus.KEYS) <= figures["figures"]["synthetic"].keys()
    assert set(within_corpus.CONFIDENCE) <= figures["confidence"]["synthetic"].keys()
    monkeypatch.setattr(across_corpora, "load_trained", None)
    assert across_corpora.evaluated(job) == figures


def test_systems_are_rows_with_cost_and_figures(job, tmp_path, monkeypatch):
    monkeypatch.setattr(systems, "RESULTS", tmp_path)
    monkeypatch.setattr(systems, "jobs", lambda *_: [job])
    for _ in range(2):
        run(systems, monkeypatch, "--protocols", job.protocol)
    (row,) = rows_of(tmp_path / "systems.json")
    made = jobs.metrics(job)
    assert (row["system"], row["n_params"], row["frozen_params"]) == ("small", made["n_params"], 0)
    assert row["uar"] == made["test"]["uar"]
    assert row["macs_per_second"] == pytest.approx(made["macs_per_window"] / (57_000 / 16_000), rel=1e-6)


def test_each_system_is_its_configuration_and_some_rest_on_the_speech_encoder(tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "folders", lambda *_: {})
    monkeypatch.setenv("SER_ENCODER", str(tmp_path))
    made = {job.recipe: job for job in systems.jobs(list(systems.SYSTEMS), ["emodb-loso"], [0, 1], [0])}
    assert len(made) == len(systems.SYSTEMS)
    for name in systems.SYSTEMS:
        _, config, _, _ = parse([*made[f"system-{name}"].settings])
        own = systems.own_encoder(name)
        assert config.system.encoder == (own or str(tmp_path) if "encoder" in config.model.kind else "")
    monkeypatch.delenv("SER_ENCODER")
    with pytest.raises(InputError, match="SER_ENCODER"):
        systems.jobs(["frozen-linear"], ["emodb-loso"], [0], [0])
    with pytest.raises(InputError, match="99"):
        systems.jobs(["cnn"], ["emodb-loso"], [99], [0])


def test_robustness_states_what_each_condition_costs(job, tmp_path, monkeypatch, voices):
    monkeypatch.setenv("SER_DATA", str(voices))
    clean = ("clean", ""), lambda waveform, rng: waveform
    monkeypatch.setattr(robustness, "conditions", lambda _: dict([clean, (("gain", "-30 dB"), gain(-30))]))
    out = tmp_path / "robustness.json"
    for _ in range(2):  # the second time nothing is measured again
        run(robustness, monkeypatch, "--protocol", job.protocol, "--out", out)
    rows = rows_of(out)
    assert [(row["condition"], row["uar_clean"] - row["uar_lost"] == row["uar"]) for row in rows] == [
        ("clean", True),
        ("gain", True),
    ]
    assert rows[0]["uar_lost"] == 0


def test_the_baseline_is_chosen_on_development_speakers(job, tmp_path, monkeypatch):
    data = load_trained(job.folder).data

    def loudness(cache, corpus, name, sample_rate, same_level):
        return {clip: np.array([np.std(cache.waveform(clip)), np.max(cache.waveform(clip))]) for clip in cache.clips}

    monkeypatch.setattr(baselines, "functionals", loudness)
    monkeypatch.setattr(corpora, "folders", lambda protocol, fold: data)
    out = tmp_path / "baselines.json"
    baselines.run_fold(job.protocol, 0, "eGeMAPSv02", out)
    (row,) = rows_of(out)
    assert row["C"] in baselines.C_VALUES
    assert 0 <= row["uar"] <= 1


def test_functionals_are_computed_once_for_each_clip_of_a_corpus(tmp_path, monkeypatch):
    pytest.importorskip("opensmile", reason="needs opensmile")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    noise = np.random.default_rng(0).standard_normal(16000).astype(np.float32) / 10
    cache = SimpleNamespace(clips={"a/1": 0, "b/1": 0}, hashes={"a/1": "x", "b/1": "y"}, waveform=lambda name: noise)
    made = functionals(cache, "a", "eGeMAPSv02", 16000)
    assert made["a/1"].shape == (88,)
    assert np.isfinite(made["a/1"]).all()
    cache.waveform = None
    assert np.array_equal(functionals(cache, "a", "eGeMAPSv02", 16000)["a/1"], made["a/1"])


def test_enrolment_judges_on_clips_that_were_not_enrolled(job, prepared):
    material = enrolment.material(job, "test")
    voice = material.voices[0]
    for enrolled, judged in enrolment.draws_of(material, voice, "neutral", 1, 2):
        assert len(enrolled) == 1
        assert not set(enrolled) & set(judged)
        assert set(material.voices[judged]) == {voice}
    tally = enrolment.Tally()
    enrolment.judge(material, "neutral", 1, 2, Strength(), tally)
    row = tally.row()
    assert row["n_speakers"] + row["n_speakers_too_few_clips"] == len({u.speaker for u in prepared.split.test})
    assert 0 <= row["uar"] <= 1


def test_adaptation_without_labels_is_chosen_on_development_speakers(job, tmp_path, monkeypatch):
    """And read on test speakers with what was chosen; the model runs once on each clip."""
    of_job, results = label_free.clips_of, tmp_path / "adaptation.json"
    monkeypatch.setattr(label_free, "RESULTS", results)
    monkeypatch.setattr(label_free, "clips_of", lambda job, part: of_job(job, part.removesuffix("_unseen")))
    for name, (adapter, tried) in list(label_free.METHODS.items()):
        monkeypatch.setitem(label_free.METHODS, name, (adapter, tried[:2]))
    monkeypatch.setattr(sys, "argv", [label_free.__file__])
    assert label_free.main(["--set", "test", "--repetitions", "2"]) == 2, "nothing is chosen yet"
    for part in ("dev", "test"):
        assert label_free.main(["--set", part, "--repetitions", "2"]) == 0
    dev, test = (rows_of(results, set=part) for part in ("dev", "test"))
    assert len(dev) == 2 * len(label_free.METHODS)
    assert len(test) == len(label_free.STREAMS) * len(label_free.METHODS)
    for row in test:
        of_method = [tried for tried in dev if tried["method"] == row["method"]]
        assert row["settings"] == label_free.chosen(of_method)["settings"]
        assert row["gain_after"]["50"] == row["gain"] >= row["worst_gain"]
        assert row["gain_ci95"][0] <= row["gain"] <= row["gain_ci95"][1]
        assert row["worst_of_all_by_chance"] <= row["worst_by_chance"] <= 0
    monkeypatch.setattr(label_free, "clip_means", None)
    assert len(of_job(job, "test").voices) == test[0]["n_clips"]


def test_the_live_label_changes_less_with_smoothing(prepared, bundle_path):
    recognizer = Bundle.open(bundle_path).recognizer("onnx")
    free, calm = (
        live_label.live_label(recognizer, prepared, "test", smoothing)
        for smoothing in (SmoothingConfig(0.0, 0.0), SmoothingConfig(1.0, 0.3))
    )
    assert free["minutes"] > 0
    assert calm["changes_per_minute"] <= free["changes_per_minute"]


def test_false_alarms_are_counted_on_the_loop(monkeypatch):
    monkeypatch.setattr(nonspeech, "SESSION_SECONDS", 6)
    args = argparse.Namespace(bundle=PRETRAINED, split="dev", hours=6 / 3600, seed=0, rules=())
    made = false_alarms.measure("white noise", ["energy"], args)
    assert made["energy"]["hours"] == pytest.approx(6 / 3600, abs=1e-4)
    assert made["energy"]["alarms"] <= made["energy"]["segments"]


def test_the_stages_of_an_interval_add_up(tmp_path, monkeypatch):
    out = tmp_path / "stages.json"
    run(stages, monkeypatch, "--rounds", 3, "--out", out)
    of_onnx = {row["part"]: row for row in rows_of(out, system="onnx")}
    assert set(of_onnx) == {*stages.PARTS, "python", "interval"}
    assert of_onnx["interval"]["share"] == 1
    assert {row["part"] for row in rows_of(out, system="recomputed")} == set(stages.PARTS)


def test_the_battery_is_a_row_per_test_and_one_for_all(voices, tmp_path, monkeypatch):
    (tmp_path / "synthetic").symlink_to(voices)
    monkeypatch.setenv("SER_DATA", str(tmp_path))
    out = tmp_path / "battery.json"
    run(battery, monkeypatch, "--bundles", "int8", "--corpora", "synthetic", "--quick", 6, "--out", out)
    (whole,) = rows_of(out, group="all")
    assert whole["n_passed"] == len(rows_of(out, passed=True))
    assert whole["n_rows"] == whole["n_passed"] + len(rows_of(out, passed=False))
    assert {row["n_clips"] for row in rows_of(out)} == {6}
    assert {row["group"] for row in rows_of(out)} == {"all", "correctness", "fairness", "robustness"}


def test_without_corpora_the_battery_plays_those_that_a_bundle_was_not_trained_on(tmp_path, monkeypatch, capsys):
    bundle = Bundle.open(PRETRAINED)
    trained_on = bundle.manifest.provenance["corpora_heard"]
    for name in (*trained_on, "synthetic", "noise"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("SER_DATA", str(tmp_path))
    assert battery.main(["--out", str(tmp_path / "battery.json")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(part in line for part in (str(PRETRAINED), *trained_on, "savee"))
    assert not (tmp_path / "battery.json").exists()
    for name in ("tess", "savee"):
        (tmp_path / name).mkdir()
    assert sorted(battery.unseen(bundle)) == ["savee", "tess"]


def test_compression_measures_the_schemes_of_a_runtime(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr(compression, "REGISTRY", {"onnx": compression.REGISTRY["onnx"]})
    monkeypatch.setattr(compression, "ROUNDS", 1)
    export_all, two = compression.export_all, ("float32", "static_int8")
    monkeypatch.setattr(compression, "export_all", lambda *made: [each for each in export_all(*made) if each[1] in two])
    rows = compression.measure(small_run, [], tmp_path)
    assert {row["scheme"] for row in rows} == set(two)
    float32 = next(row for row in rows if row["scheme"] == "float32")
    assert (float32["flip_rate"], float32["ms_ratio"], float32["interval_ratio"]) == (0, 1, 1)
    assert all(0 < row["model_bytes"] < row["bytes"] for row in rows)


def test_runs_are_trained_only_where_they_are_not_finished(job, monkeypatch, capsys):
    def none(*_, **__):
        raise AssertionError("a finished run is trained again")

    monkeypatch.setattr(jobs.Processes, "start", none)
    run(train_runs, monkeypatch, "--protocols", job.protocol)
    assert job.name in capsys.readouterr().out


@pytest.mark.parametrize("figure", [plots.coverage, plots.speakers, plots.robustness])
def test_figures_are_drawn_from_the_result_files(figure):
    axes = figure().axes
    assert axes
    assert all(len(each.lines) or len(each.patches) for each in axes)
    assert np.all(np.isfinite([each.get_xlim() for each in axes]))


@pytest.mark.parametrize("recipe", recipes.RECIPES)
def test_train_takes_the_settings_of_every_recipe(recipe):
    """They are a configuration and what differs from it, which together may contradict each other."""
    for protocol in (recipes.LEAVE_ONE_OUT, "cross-single"):
        made = recipes.job(recipe, protocol, 0, 0)
        encoder = ["--teacher.encoder", "whisper"] if made.taught else []
        config = parse([*made.settings, *encoder])[1]
        assert config.optim.epochs % config.optim.eval_every == 0
        assert config.features.n_mels == (80 if recipe in recipes.TAUGHT else 96)
