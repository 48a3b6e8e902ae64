"""The larger bundle from a tiny random Whisper: made by one command, proved, and used as every other bundle."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from helpers import ROOT, called, edit_json, flip_bit, one_clear_line
from tiny_whisper import write_tiny_whisper

import quantize
import stream_infer
from crnn.errors import InputError
from edge.bundle import PRETRAINED, Bundle
from edge.bundle.find import find_bundle
from edge.bundle.manifest import list_files

WIDE = ("--max-uar-drop", 1, "--max-flip-rate", 1, "--max-abs-diff-int8", 1, "--max-ece-rise", 1)
"""Random weights of 16 values may lose more to 8 bits than trained ones of 512"""
LARGE_FILES = {"bundle.json", "encoder.weight_int8.onnx", "golden.npz", "head.float32.onnx", "speakers.npz"}


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    return write_tiny_whisper(tmp_path_factory.mktemp("whisper"), layers=4, positions=150)


@pytest.fixture(scope="module")
def arguments(whisper, voices, cache):
    data = ("--protocol", "synthetic-demo", "--data", f"synthetic:{voices}", "--cache", cache)
    return ("--large", whisper, *data, *WIDE)


@pytest.fixture(scope="module")
def home(tmp_path_factory, arguments):
    """$XDG_DATA_HOME after the one command, which wrote the bundle where --model large looks for it."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(home))
        made = called(quantize.main, *arguments, "--json")
    assert made.returncode == 0, made.stderr[-2000:]
    found = json.loads(made.stdout)
    assert found["bundle"] == str(home / "ser" / "large")
    assert [row["scheme"] for row in found["rows"]] == ["weight_int8"]
    assert found["bytes"] == sum(path.stat().st_size for path in (home / "ser" / "large").iterdir())
    return home


@pytest.fixture(scope="module")
def large(home):
    return Bundle.open(home / "ser" / "large")


@pytest.fixture(scope="module")
def recognizer(large):
    return large.recognizer("onnx")


@pytest.fixture(scope="module")
def clip(voices):
    return sorted(voices.glob("Actor_01/*"))[0]


def test_it_has_a_schema_of_its_own_and_says_what_it_contains(large, recognizer, whisper):
    manifest = large.manifest
    assert (manifest.schema, manifest.kind) == (6, "window")
    assert {path.name for path in large.path.iterdir()} == LARGE_FILES
    assert manifest.provenance["contains"]["name"] == whisper.name
    assert manifest.provenance["corpora_heard"] == ["synthetic"]
    assert recognizer.pooled_width == 32
    assert large.speakers(recognizer).center.shape == (32,)


def test_a_window_is_answered_from_the_encoders_embedding_of_it(large, recognizer, whisper):
    from crnn.models.pretrained import open_encoder
    from edge import runtimes

    window = np.random.default_rng(0).normal(0, 0.1, 48000).astype(np.float32)
    embedding = open_encoder(whisper, (3, 4)).embed(window)
    expected = runtimes.load("onnx", large.path / "head.float32.onnx").run(embedding[None])[0]
    recognizer.reset()
    result = recognizer.push(window)[-1]
    got = np.concatenate([result.logits, result.pooled])
    assert np.abs(got - expected).max() < 0.1 * np.abs(expected).max()
    assert np.ptp(expected) > 0.1


def test_stored_weights_are_eight_bits_and_the_answer_that_of_float32(large, recognizer):
    with np.load(large.path / "golden.npz") as golden:
        for what in ("logits", "pooled"):
            exact, ours = golden[f"float32_{what}"], golden[f"onnx_{what}"]
            assert 0 < np.abs(exact - ours).max() < 0.15 * np.abs(exact).max()
    kinds = large.manifest.provenance["tensors"]["encoder.weight_int8.onnx"]
    assert kinds["int8"] > 5 * 16 * 80


def test_a_changed_byte_and_other_golden_values_are_refused(large, tmp_path):
    folder = shutil.copytree(large.path, tmp_path / "large")
    path = folder / "encoder.weight_int8.onnx"
    flip_bit(path)
    with pytest.raises(InputError, match=r"encoder.weight_int8.onnx: its hash"):
        Bundle.open(folder)
    shutil.copy(large.path / path.name, path)
    values = dict(np.load(folder / "golden.npz"))
    np.savez(folder / "golden.npz", **values | {"onnx_logits": values["onnx_logits"] + 0.01})
    (folder / "bundle.json").rename(tmp_path / "bundle.json")
    files = list_files(folder)
    (tmp_path / "bundle.json").rename(folder / "bundle.json")
    edit_json(folder / "bundle.json", lambda v: v.update(files=files))
    with pytest.raises(InputError, match=r"onnx_logits|logits under onnx differs .*golden"):
        Bundle.open(folder).proved("onnx", threads=1)


def test_files_of_other_shapes_are_refused(large, tmp_path):
    folder = shutil.copytree(large.path, tmp_path / "large")
    edit_json(folder / "bundle.json", lambda v: v["geometry"].update(window_hops=2))
    with pytest.raises(InputError, match=r"encoder.weight_int8.onnx: log_mel \(1, 80, 300\).*\(1, 80, 200\)"):
        Bundle.open(folder).proved("onnx", threads=1)


def test_it_runs_where_torch_and_transformers_cannot_be_imported(large, clip):
    program = (
        "import sys; sys.modules.update(torch=None, transformers=None, sklearn=None); from edge import open_model; "
        f"model = open_model({str(large.path)!r}, vad='energy'); print(model); print(model.recognize({str(clip)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "window   3 s, a decision every 1 s" in done.stdout
    assert "segments=1" in done.stdout


def test_stream_infer_finds_it_by_name(home, clip, monkeypatch, tmp_path, large):
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    table = tmp_path / "emotions.csv"
    said = called(stream_infer.main, "--model", "large", clip, "--vad", "energy", "--csv", table)
    assert said.returncode == 0, said.stderr[-2000:]
    head, row = table.read_text().splitlines()
    assert {f"prob_{name}" for name in large.manifest.labels} <= set(head.split(","))
    assert clip.name in row
    one_clear_line(called(stream_infer.main, "--model", "large", large.path, clip), "--model", str(large.path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert find_bundle("large") == PRETRAINED.with_name("large"), "the one that ships"


def test_enrolment_evaluation_doctor_and_description_work_with_it(large, voices, cache, tmp_path, clip):
    from edge.bundle.__main__ import main as describe
    from edge.doctor.selftest import self_test
    from edge.enroll.__main__ import main as enroll
    from edge.evaluate.__main__ import main as evaluate

    codes = dict(enumerate(("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"), start=1))
    of_voice = {
        name: sorted(voices.glob(f"Actor_01/03-01-{code:02}-*"))[:2]
        for code, name in codes.items()
        if name in large.manifest.labels
    }
    named = [f"{name}=" + ",".join(map(str, paths)) for name, paths in of_voice.items()]
    out = tmp_path / "me.json"
    made = called(enroll, large.path, "--out", out, "--vad", "energy", "--json", "--files", *named)
    assert made.returncode == 0, made.stderr[-2000:]
    assert out.stat().st_size < 2**20
    samples = soundfile.read(clip, dtype="float32")[0]
    adapted, plain = large.recognizer("onnx", profile=out), large.recognizer("onnx")
    logits = [(r.push(samples) + r.flush())[-1].logits for r in (adapted, plain)]
    assert np.abs(logits[0] - logits[1]).max() > 0
    own = ("--protocol", "synthetic-demo", "--data", f"synthetic:{voices}", "--cache", cache, "--vad", "energy")
    assert called(evaluate, large.path, *own, "--json").returncode == 0
    assert self_test(large.path, "onnx", decisions=2).hop_seconds == 1.0
    described = called(describe, large.path)
    assert described.returncode == 0, described.stdout[-2000:]
    assert "contains" in described.stdout


def test_what_cannot_use_it_says_so_in_one_line(large):
    from edge.export.weights import open_start
    from edge.page.__main__ import open_bundles

    for refuses in (lambda: open_bundles([large.path]), lambda: open_start(str(large.path))):
        with pytest.raises(InputError, match=f"^{large.path}: a larger bundle[^\n]*$"):
            refuses()


def test_what_makes_no_larger_bundle_is_refused(arguments, whisper, tmp_path):
    def refused(*more, says: str) -> None:
        one_clear_line(called(quantize.main, *more, *arguments, "--out", tmp_path / "no"), says)
        assert not (tmp_path / "no").exists()

    refused("RUN", says="--large takes no run")
    refused("--prune", 0.5, says="--large takes no prune")
    for epochs in (3, 8):
        refused("--fine-tune-epochs", epochs, says="--fine-tune-epochs: does nothing without RUN")
    for scheme in ("float16", "int8"):
        refused("--scheme", scheme, says=f"--scheme {scheme}: ")
    for temperature in ("0", "nan"):
        refused("--temperature", temperature, says=f"--temperature {float(temperature)}")
    one_clear_line(called(quantize.main, *arguments, "--out", whisper), str(whisper))
    one_clear_line(called(quantize.main, "RUN"), "--out")
    one_clear_line(called(quantize.main, "--out", "b"), "--large")
    short = write_tiny_whisper(tmp_path / "short", layers=4)
    one_clear_line(
        called(quantize.main, *arguments, "--large", short, "--out", tmp_path / "no"), str(short), "2 s", "3 s"
    )


def test_an_export_past_a_limit_writes_nothing(arguments, tmp_path):
    failed = called(quantize.main, *arguments, "--max-abs-diff-int8", 0, "--out", tmp_path / "no")
    assert failed.returncode == 1
    assert "max difference" in failed.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_benchmark_joins_the_encoder_with_the_head_of_another_fit(
    large, recognizer, whisper, voices, cache, tmp_path
):
    from benchmarks.accuracy import across_corpora
    from benchmarks.accuracy import large as instrument
    from edge.export.large import LargeRequest, fit_large, prepare_large

    request = LargeRequest(whisper, tmp_path / "no", {"synthetic": str(voices)}, "synthetic-demo", cache=cache)
    prepared = prepare_large(request)
    joined = instrument.recognizer_of(fit_large(request, prepared), large, tmp_path)
    window = np.random.default_rng(0).normal(0, 0.1, 48000).astype(np.float32)
    for stream in (joined, recognizer):
        stream.reset()
    assert np.abs(joined.push(window)[-1].logits - recognizer.push(window)[-1].logits).max() < 1e-4
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(across_corpora, "RESULTS", tmp_path)
        instrument.evaluate(large, request, prepared, beside=None)
    (row,) = json.loads((tmp_path / "cross_corpus.json").read_text())["rows"]
    assert (row["protocol"], row["n_clips"]) == ("synthetic-demo", len(prepared.split.test))


def test_the_cost_is_measured_beside_the_small_bundle(large, tmp_path, monkeypatch):
    from benchmarks.device import larger

    taken = {"hop_seconds": 1.0, **dict.fromkeys(larger.MEASURED, 2.0)}
    monkeypatch.setattr(larger, "turn", lambda bundle: taken)
    out = tmp_path / "larger.json"
    assert called(larger.main, large.path, "--rounds", 1, "--out", out).returncode == 0
    small, big = json.loads(out.read_text())["rows"]
    assert (small["system"], big["system"], big["rtf"]) == ("small", "large", 2.0)
    assert big["bytes"] == sum(path.stat().st_size for path in large.path.iterdir())
    assert small["bytes"] < sum(path.stat().st_size for path in (ROOT / "edge/pretrained/int8").iterdir())
    one_clear_line(called(larger.main, ROOT / "edge/pretrained/int8"), "no larger bundle")
