"""A larger bundle with a small one beside it: both models answer together."""

import json
import shutil

import numpy as np
import pytest
import soundfile
from helpers import called, edit_json, flip_bit, one_clear_line
from tiny_whisper import write_tiny_whisper

import quantize
from crnn.errors import InputError
from edge.bundle import PRETRAINED, Bundle
from edge.stream.recognizer import clip_results

WIDE = ("--max-uar-drop", 1, "--max-flip-rate", 1, "--max-abs-diff-int8", 1, "--max-ece-rise", 1)
"""Random weights of 16 values may lose more to 8 bits than trained ones of 512"""


@pytest.fixture(scope="module")
def arguments(tmp_path_factory, voices, cache):
    whisper = write_tiny_whisper(tmp_path_factory.mktemp("whisper"), layers=4, positions=150)
    data = ("--protocol", "synthetic-demo", "--data", f"synthetic:{voices}", "--cache", cache)
    return ("--large", whisper, *data, *WIDE)


@pytest.fixture(scope="module")
def folders(tmp_path_factory, arguments, bundle_path):
    """The larger bundle alone, and with the small one beside it."""
    home = tmp_path_factory.mktemp("bundles")
    for name, more in (("alone", ()), ("pair", ("--beside", bundle_path))):
        made = called(quantize.main, *arguments, *more, "--out", home / name)
        assert made.returncode == 0, made.stderr[-2000:]
    return home


@pytest.fixture(scope="module")
def alone(folders):
    return Bundle.open(folders / "alone").recognizer("onnx")


@pytest.fixture(scope="module")
def pair(folders):
    return Bundle.open(folders / "pair").recognizer("onnx")


@pytest.fixture(scope="module")
def small(bundle_path):
    return Bundle.open(bundle_path).recognizer("onnx")


@pytest.fixture(scope="module")
def speech(voices):
    """Eight seconds of a clip and its repetitions."""
    samples = soundfile.read(sorted(voices.glob("Actor_02/*"))[3], dtype="float32")[0]
    return np.resize(samples, 8 * 16000)


def together(large: np.ndarray, results: list) -> np.ndarray:
    """The mean of log-probabilities, computed in another way: the product of the probabilities, as a logarithm."""
    small = np.mean([result.logits for result in results], axis=0)
    parts = [np.exp(logits.astype(np.float64)) / np.exp(logits.astype(np.float64)).sum() for logits in (large, small)]
    return np.log(np.prod(parts, axis=0)) / 2


@pytest.mark.parametrize("seconds", [0.4, 1.7, 3.0, 3.2, 8.0])
def test_each_answer_is_that_of_both_on_the_sound_of_its_window(alone, pair, small, speech, seconds):
    """The small one is given the last three seconds as a clip: not what was before, nor what completes the window."""
    clip = speech[: round(seconds * 16000)]
    large, both = clip_results(alone, clip), clip_results(pair, clip)
    assert len(both) == len(large) == max(1, int(np.ceil(seconds)) - 2)
    for result, other in zip(both, large, strict=True):
        assert (result.seconds, result.level_dbfs) == (other.seconds, other.level_dbfs)
        end = min(round(result.seconds * 16000), len(clip))
        ours = clip_results(small, clip[max(0, round((result.seconds - 3) * 16000)) : end])
        assert np.abs(result.logits - together(other.logits, ours)).max() < 1e-5
        assert result.arousal == pytest.approx(np.mean([each.arousal for each in ours]), abs=1e-6)
        assert np.array_equal(result.pooled, other.pooled)


def test_a_gap_of_chunks_and_streams_side_by_side_change_nothing(pair, speech):
    whole = clip_results(pair, speech)
    one, other = pair.another(), pair.another()
    found = []
    for start in range(0, len(speech), 3700):
        found += one.push(speech[start : start + 3700])
        other.push(speech[::-1][start : start + 1111])
    found += one.flush()
    decided = [result for result in found if result.logits is not None]
    assert [result.seconds for result in decided] == [result.seconds for result in whole]
    assert np.array_equal([result.logits for result in decided], [result.logits for result in whole])


def test_it_has_a_schema_of_its_own_and_says_what_it_contains(folders, bundle_path, pair):
    from edge.bundle.__main__ import main as describe

    manifest = Bundle.open(folders / "pair").manifest
    assert manifest.provenance["corpora_heard"] == ["synthetic"]
    assert (manifest.schema, manifest.kind, manifest.arousal, pair.pooled_width) == (7, "window", True, 32)
    assert manifest.provenance["beside"]["identity"] == Bundle.open(bundle_path).manifest.identity
    described = called(describe, folders / "pair")
    assert described.returncode == 0, described.stdout[-2000:]
    (row,) = manifest.provenance["files_on_dev"]
    names = row["files"].split(" + ")
    assert names == [
        "encoder.weight_int8.onnx",
        "head.float32.onnx",
        "small.encoder.static_int8.onnx",
        "small.head.dynamic_int8.onnx",
    ]
    assert row["bytes"] == sum((folders / "pair" / name).stat().st_size for name in names)
    assert f"{row['files']}, both models together: UAR {row['uar']:.1%} on dev" in described.stdout
    assert set(manifest.provenance["tensors"]) == set(names)
    assert manifest.provenance["tensors"]["small.head.dynamic_int8.onnx"]["int8"] > 0
    assert "arousal    0 to 1" in described.stdout


def test_profiles_and_statistics_of_speakers_belong_to_both(folders, pair, alone):
    ours, theirs = (Bundle.open(folders / name).speakers(r) for name, r in (("pair", pair), ("alone", alone)))
    assert np.array_equal(ours.center, theirs.center)
    assert np.abs(ours.neutral_mean - theirs.neutral_mean).max() > 1e-3


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda v: v.pop("beside"), "schema 7 without a model beside it"),
        (lambda v: v.update(beside=None), "schema 7 without a model beside it"),
        (lambda v: v.update(schema=6, arousal=False), "schema 6 with a model beside it"),
        (lambda v: v["beside"].update(models={}), "0 runtimes"),
        (
            lambda v: v["beside"]["models"]["onnx"].update(encoder="missing.onnx"),
            "beside.models.onnx.encoder is .missing.onnx., ",
        ),
        (lambda v: v["beside"]["features"].update(sample_rate=22050), "beside.features.sample_rate is 22050, "),
        (lambda v: v["beside"]["features"].update(n_fft=512), "beside.geometry does not fit"),
        (lambda v: v["beside"].update(labels=["a"]), "unknown key .*beside.labels"),
        (lambda v: v.update(beside=[]), "beside must hold named values"),
        (lambda v: v.update(arousal=False), "has arousal, which the manifest has not"),
    ],
)
def test_a_changed_manifest_is_refused(folders, tmp_path, edit, says):
    folder = shutil.copytree(folders / "pair", tmp_path / "pair")
    edit_json(folder / "bundle.json", edit)
    with pytest.raises(InputError, match=says):
        Bundle.open(folder).proved("onnx", threads=1)


def test_a_changed_byte_of_the_small_model_is_refused(folders, tmp_path):
    folder = shutil.copytree(folders / "pair", tmp_path / "pair")
    path = folder / "small.head.dynamic_int8.onnx"
    flip_bit(path)
    with pytest.raises(InputError, match=r"small.head.dynamic_int8.onnx: its hash"):
        Bundle.open(folder)


def test_the_benchmark_measures_both_alike(folders, small_run, arguments, voices, cache, tmp_path, pair, monkeypatch):
    from benchmarks.accuracy import across_corpora
    from benchmarks.accuracy import large as instrument
    from benchmarks.harness import recipes
    from edge.export.large import LargeRequest, fit_large, prepare_large

    request = LargeRequest(arguments[1], tmp_path / "no", {"synthetic": str(voices)}, "synthetic-demo", cache=cache)
    bundle, prepared = Bundle.open(folders / "pair"), prepare_large(request)
    joined = instrument.recognizer_of(fit_large(request, prepared), bundle, tmp_path)
    window = np.random.default_rng(0).normal(0, 0.1, 48000).astype(np.float32)
    ours, theirs = instrument.pair_of(joined, small_run).push(window)[-1], clip_results(pair, window)[-1]
    assert np.abs(ours.logits - theirs.logits).max() < 0.2, "the small model in float32, and in int8"
    monkeypatch.setattr(across_corpora, "RESULTS", tmp_path)
    instrument.evaluate(bundle, request, prepared, beside=small_run)
    rows = json.loads((tmp_path / "cross_corpus.json").read_text())["rows"]
    assert [row["model"] for row in rows] == [recipes.LARGE, recipes.PAIR]


def test_what_cannot_stand_beside_it_is_refused_in_one_line(arguments, folders, bundle_path, tmp_path):
    def refused(beside, *says: str) -> None:
        one_clear_line(called(quantize.main, *arguments, "--beside", beside, "--out", tmp_path / "no"), *says)
        assert not (tmp_path / "no").exists()

    refused(folders / "alone", str(folders / "alone"), "a small bundle")
    refused(tmp_path, str(tmp_path))
    refused(PRETRAINED, str(PRETRAINED), "emotions")
    other = shutil.copytree(bundle_path, tmp_path / "other")
    edit_json(other / "bundle.json", lambda v: v["provenance"].update(split_hash="0123456789ab"))
    refused(other, str(other), "0123456789ab", "--fold")
    longer = shutil.copytree(bundle_path, tmp_path / "longer")
    edit_json(longer / "bundle.json", lambda v: v["geometry"].update(window_hops=24))
    refused(longer, str(longer), "of 3 s")
    for name in ("corpora_heard", "n_params"):
        shutil.copytree(bundle_path, tmp_path / name)
        edit_json(tmp_path / name / "bundle.json", lambda v, name=name: v["provenance"].update({name: [3]}))
        refused(tmp_path / name, str(tmp_path / name), name)
    one_clear_line(called(quantize.main, "RUN", "--beside", bundle_path, "--out", tmp_path / "no"), "--beside")


def test_the_one_that_ships_has_the_small_one_that_ships_beside_it():
    """`corpora_heard` decides on which recordings it may be evaluated, and its licence."""
    large, small = (Bundle.open(PRETRAINED.with_name(name)).manifest for name in ("large", "float32"))
    assert large.provenance["beside"]["identity"] == small.identity, "make it again: docs/large.md"
    assert {*small.provenance["corpora_heard"]} <= {*large.provenance["corpora_heard"]}
