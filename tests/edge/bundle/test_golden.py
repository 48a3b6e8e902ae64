"""Golden values: what is written, that they are replayed within the stated limits, and which side an error blames."""

import re

import numpy as np
import pytest
from small_stream import FEATURES, GEOMETRY, LABELS, POSITIONS, small_recognizer

from crnn.config import FeatureConfig, ModelConfig, StreamGeometry, WindowConfig
from crnn.errors import InputError
from crnn.features import LogMel
from edge import runtimes
from edge.bundle import PRETRAINED, Bundle, golden


@pytest.mark.parametrize("name", ["int8", "float32"])
def test_the_waveform_is_the_one_of_the_shipped_bundles(name):
    """Bundles of this version and of the one before are compared by it."""
    bundle = Bundle.open(PRETRAINED.parent / name)
    with np.load(bundle.path / "golden.npz") as stored:
        made = golden.waveform(bundle.manifest.features, bundle.manifest.geometry)
        np.testing.assert_array_equal(made, stored["waveform"])
    assert made.dtype == np.int16


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_the_waveform_is_a_voice_of_varying_pitch_and_level_at_any_rate(rate):
    features = FeatureConfig(sample_rate=rate, n_fft=rate // 20, hop_length=rate // 80, f_max=3900.0)
    g = StreamGeometry.resolve(features, ModelConfig(), WindowConfig())
    made = golden.waveform(features, g).astype(int)
    assert made.shape == (g.window_samples + g.interval_samples,)
    (clicks,) = np.nonzero(made == 300)
    assert np.mean(clicks % (rate // 40) == 0) == 1, "40 clicks a second"
    made[:: rate // 40] -= 300
    (pulses,) = np.nonzero(made > 0)
    pitch = rate / np.diff(pulses)
    assert pitch.min() == pytest.approx(80, abs=2) and pitch.max() == pytest.approx(200, abs=5)
    level = made[pulses]
    assert level.min() == pytest.approx(1000, abs=50) and level.max() == pytest.approx(11000, abs=50)
    np.testing.assert_allclose(made[pulses[:-1] + 3], -0.7 * level[:-1], atol=1)


def written(folder, float32_offset: float = 0.0, **made) -> None:
    """Write golden values: for each runtime a recognizer."""
    golden.write(folder, LABELS, small_recognizer(offset=float32_offset), made)


def test_the_file_holds_what_each_runtime_and_the_float32_model_give(tmp_path):
    written(tmp_path, onnx=small_recognizer(offset=0.25), tflite=small_recognizer(gain=0.2))
    with np.load(tmp_path / "golden.npz", allow_pickle=False) as stored:
        values = dict(stored)
    names = {f"{name}_{what}" for name in ("float32", "onnx", "tflite") for what in ("logits", "pooled")}
    assert values.keys() == {"waveform", "labels", "log_mel", *names}
    assert values["labels"].tolist() == list(LABELS)
    np.testing.assert_array_equal(values["waveform"], golden.waveform(FEATURES, GEOMETRY))
    assert (tmp_path / "golden.npz").stat().st_size < 6000, "compressed"

    samples = np.pad(values["waveform"] / np.float32(32768), (GEOMETRY.lead_samples, 0))
    frames = LogMel(FEATURES)(samples)
    np.testing.assert_allclose(
        values["log_mel"], frames[:, GEOMETRY.block_frames - 8 : GEOMETRY.block_frames], atol=1e-5
    )
    decisions = (len(samples) - GEOMETRY.window_samples) // GEOMETRY.interval_samples + 1
    steps = np.stack([frames[:, at : at + 5].mean(axis=1) for at in range(0, frames.shape[1] - 4, 2)])
    pooled = np.stack([(steps[3 * i : 3 * i + 12] * POSITIONS[:, None]).mean(axis=0) for i in range(decisions)])
    for name, gain, offset in (("float32", 0.1, 0.0), ("onnx", 0.1, 0.25), ("tflite", 0.2, 0.0)):
        np.testing.assert_allclose(values[f"{name}_pooled"], pooled, atol=1e-4)
        np.testing.assert_allclose(values[f"{name}_logits"], gain * pooled[:, :3] + offset, atol=1e-4)


def test_the_arousal_is_written_and_compared_where_there_is_one(tmp_path):
    golden.write(
        tmp_path, LABELS, small_recognizer(arousal=True), {"onnx": small_recognizer(offset=0.25, arousal=True)}
    )
    with np.load(tmp_path / "golden.npz", allow_pickle=False) as stored:
        values = dict(stored)
    assert values["float32_arousal"].shape == values["float32_logits"].shape[:1]
    np.testing.assert_allclose(values["onnx_arousal"], values["float32_arousal"] + 0.25, atol=1e-6)
    assert np.ptp(values["float32_arousal"]) > 0
    check(tmp_path, small_recognizer(offset=0.2509, arousal=True))
    values["onnx_arousal"] += np.float32(0.0011)
    np.savez(tmp_path / "golden.npz", **values)
    found = refusal(tmp_path, small_recognizer(offset=0.25, arousal=True))
    assert "arousal under onnx differs from the golden values by 0.0011 (limit 0.001)" in found
    del values["onnx_arousal"]
    np.savez(tmp_path / "golden.npz", **values)
    assert "has no golden onnx_arousal" in refusal(tmp_path, small_recognizer(offset=0.25, arousal=True))


def check(folder, recognizer, runtime: str = "onnx", scheme: str = "float32") -> None:
    golden.check(recognizer, runtime, scheme, folder)


def refusal(folder, *arguments) -> str:
    with pytest.raises(InputError) as caught:
        check(folder, *arguments)
    return str(caught.value)


def changed(folder, change) -> None:
    written(folder, onnx=small_recognizer())
    with np.load(folder / "golden.npz") as stored:
        values = dict(stored)
    change(values)
    np.savez(folder / "golden.npz", **values)


def test_a_difference_up_to_the_limit_passes_and_the_stream_is_as_new(tmp_path):
    written(tmp_path, onnx=small_recognizer())
    recognizer = small_recognizer(offset=0.0009)
    check(tmp_path, recognizer)
    sound = np.random.default_rng(0).normal(0, 0.1, 5000).astype(np.float32)
    for one, other in zip(recognizer.push(sound), small_recognizer(offset=0.0009).push(sound), strict=True):
        assert (one.seconds, one.state, one.level_dbfs) == (other.seconds, other.state, other.level_dbfs)
    for offset in (0.0011, -0.0011):
        found = refusal(tmp_path, small_recognizer(offset=offset))
        assert re.match(rf"{tmp_path}: logits under onnx .* 0\.0011 \(limit 0\.001\)", found)
    check(tmp_path, small_recognizer(offset=-0.0009))


def test_pooled_vectors_are_compared_too(tmp_path):
    changed(tmp_path, lambda v: np.add.at(v["onnx_pooled"], (-1, -1), 0.002))
    assert re.search(r"pooled under onnx .* 0\.002 \(limit 0\.001\)", refusal(tmp_path, small_recognizer()))


def test_features_may_differ_by_a_tenth_of_that_and_no_side_is_blamed(tmp_path):
    for difference in (0.9e-4, -0.9e-4):
        changed(tmp_path, lambda v, d=difference: v.update(log_mel=v["log_mel"] + np.float32(d)))
        check(tmp_path, small_recognizer())
    changed(tmp_path, lambda v: v.update(log_mel=v["log_mel"] + np.float32(1.1e-4)))
    found = refusal(tmp_path, small_recognizer())
    assert found.startswith(f"{tmp_path}: log_mel under onnx ")
    assert "(limit 0.0001)" in found and "float32" not in found


@pytest.mark.parametrize(
    ("scheme", "packages", "limit"),
    [
        ("dynamic_int8", ("tflite_runtime",), 0.02),
        ("float32", ("tflite_runtime",), 0.001),
        ("dynamic_int8", ("ai_edge_litert", "tflite_runtime"), 0.001),
    ],
)
def test_int8_files_may_differ_more_under_another_package_than_made_the_values(
    tmp_path, monkeypatch, scheme, packages, limit
):
    written(tmp_path, tflite=small_recognizer())
    monkeypatch.setattr(runtimes, "find_spec", lambda name: name in packages or None)
    check(tmp_path, small_recognizer(offset=0.9 * limit), "tflite", scheme)
    assert f"(limit {limit:g})" in refusal(tmp_path, small_recognizer(offset=1.1 * limit), "tflite", scheme)


@pytest.mark.parametrize(
    ("made", "here", "blamed"),
    [(0.5, 0.125, "make the bundle again"),
     (0.125, 0.5, "this machine"),
     (0.25, -0.25, "this machine")],
)  # fmt: skip
def test_the_side_that_is_farther_from_the_float32_model_is_blamed(tmp_path, made, here, blamed):
    """`gain` 0, so that the differences of the logits are exact."""
    golden.write(tmp_path, LABELS, small_recognizer(0.0), {"onnx": small_recognizer(0.0, made)})
    found = refusal(tmp_path, small_recognizer(0.0, here))
    assert re.search(rf"float32 .*{abs(here):.2g} .*{made:.2g} .*{blamed}", found)
    assert ("make the bundle again" in found) == (blamed == "make the bundle again")


@pytest.mark.parametrize("change", [
    lambda v: v.pop("float32_logits"), lambda v: v.update(float32_logits=v["float32_logits"][:1]),
])  # fmt: skip
def test_without_values_of_the_float32_model_no_side_is_blamed(tmp_path, change):
    changed(tmp_path, change)
    found = refusal(tmp_path, small_recognizer(offset=0.5))
    assert " 0.5 (limit 0.001)" in found and "float32" not in found


WAVEFORM = golden.waveform(FEATURES, GEOMETRY)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda v: v.pop("waveform"), "golden.npz: .* waveform"),
        (lambda v: v.pop("labels"), "golden.npz: .* labels"),
        (lambda v: v.pop("log_mel"), "golden.npz: .* log_mel"),
        (lambda v: v.pop("onnx_pooled"), "golden.npz: .* onnx_pooled"),
        (lambda v: v.update(labels=np.zeros(3, np.float32)), "golden.npz: labels .*float32"),
        (lambda v: v.update(waveform=WAVEFORM / 1.0), "golden.npz: waveform .*float64"),
        (lambda v: v.update(onnx_logits=np.array([1, 2])), "golden.npz: onnx_logits .*int64"),
        (lambda v: v.update(waveform=WAVEFORM.astype(np.int32)), "golden.npz: .*waveform .*geometry"),
        (lambda v: v.update(waveform=WAVEFORM[1:]), "golden.npz: .*waveform .*geometry"),
        (lambda v: v.update(waveform=WAVEFORM[None]), "golden.npz: .*waveform .*geometry"),
        (lambda v: v.update(labels=np.array([LABELS])), "golden.npz: .*labels "),
        (lambda v: v.update(labels=np.array(LABELS[::-1])), f"labels {re.escape(str(LABELS))} "),
        (lambda v: v.update(onnx_logits=v["onnx_logits"][:1]), r"logits under onnx .*\(2, 3\).* \(1, 3\)"),
        (lambda v: v.update(log_mel=v["log_mel"][:, 1:]), r"log_mel under onnx .*\(8, 8\).* \(8, 7\)"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(tmp_path, change, part):
    changed(tmp_path, change)
    assert re.search(part, refusal(tmp_path, small_recognizer()))


def test_values_of_a_runtime_that_the_file_lacks_are_named(tmp_path):
    written(tmp_path, onnx=small_recognizer())
    assert "tflite_logits" in refusal(tmp_path, small_recognizer(), "tflite")


def test_the_file_is_not_read_through_a_link(tmp_path):
    written(tmp_path, onnx=small_recognizer())
    (tmp_path / "golden.npz").rename(tmp_path / "other")
    (tmp_path / "golden.npz").symlink_to(tmp_path / "other")
    assert "golden.npz: is a link" in refusal(tmp_path, small_recognizer())
