"""The exact stream: for every chunking, every decision equals the one recomputed from the window's own samples."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crnn.config import StreamGeometry
from crnn.features import LogMel
from crnn.models.crnn import CRNN
from crnn.models.head import OpenHead
from crnn.run_config import RunConfig
from edge import runtimes
from edge.bundle import PRETRAINED, Bundle
from edge.export.tflite_export import installed as tflite_extra
from edge.export.verify import TorchModel
from edge.stream.recognizer import StreamingRecognizer
from edge.stream.results import State

TOLERANCE = 1e-5
CHUNKS = (1, 7, 160, 1600, 16000, 16001, 10**9)


@pytest.fixture(scope="module", params=["onnx", "tflite", "shipped onnx", "shipped tflite"])
def recognizer(request, bundle_path):
    runtime = request.param.split()[-1]
    if request.param == "tflite" and not tflite_extra():
        pytest.skip("needs the tflite extra: make test EXTRAS=tflite")
    if not runtimes.installed(runtime):
        pytest.skip("needs the tflite or the litert extra: make test EXTRAS=tflite")
    return Bundle.open(PRETRAINED if "shipped" in request.param else bundle_path).recognizer(runtime)


def voice(n_samples: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(n_samples) / 16000
    tone = np.sin(2 * np.pi * (120 + 60 * np.sin(3 * time)) * time) * (np.sin(2 * np.pi * time) > -0.3)
    return (0.2 * tone + 0.01 * rng.standard_normal(n_samples)).astype(np.float32)


def stream(recognizer: StreamingRecognizer, waveform: np.ndarray, chunk: int) -> list:
    recognizer.reset()
    results = []
    for start in range(0, len(waveform), chunk):
        results += recognizer.push(waveform[start : start + chunk])
    return results + recognizer.flush()


def silent_around(waveform: np.ndarray, g: StreamGeometry) -> np.ndarray:
    """The clip between silence that stands where its first and its last frame do."""
    levels = np.median(waveform[: g.n_fft]), np.median(waveform[-g.n_fft :])
    return np.pad(waveform, g.padding(len(waveform)), constant_values=levels)


def recomputed(recognizer: StreamingRecognizer, waveform: np.ndarray) -> list[np.ndarray]:
    """Every decision anew, from nothing but the samples of its window."""
    g = recognizer.geometry
    padded = silent_around(waveform, g)
    log_mel = LogMel(recognizer.features)
    decisions = []
    for start in range(0, len(padded) - g.window_samples + 1, g.interval_samples):
        frames = log_mel(padded[start : start + g.window_samples])[None]
        blocks = [
            recognizer._encoder.run(np.ascontiguousarray(frames[:, :, at : at + g.block_frames]))
            for at in range(0, g.window_intervals * g.interval_frames, g.interval_frames)
        ]
        decisions.append(recognizer._head.run(np.concatenate(blocks, axis=1))[0])
    return decisions


def check(recognizer, waveform, chunk) -> None:
    results = stream(recognizer, waveform, chunk)
    g = recognizer.geometry
    assert len(results) == g.n_intervals(len(waveform))
    first = g.first_samples - g.lead_samples
    assert [r.seconds for r in results] == [(first + i * g.interval_samples) / 16000 for i in range(len(results))]
    decided = [r for r in results if r.logits is not None]
    assert all(r.state is State.WARMING_UP for r in results[: g.window_intervals - 1])
    assert all(r.state is State.DECIDING for r in results[g.window_intervals - 1 :])
    expected = recomputed(recognizer, waveform)
    assert len(decided) == len(expected)
    for result, row in zip(decided, expected, strict=True):
        arousal = [] if result.arousal is None else [[result.arousal]]
        assert np.abs(np.concatenate([result.logits, *arousal, result.pooled]) - row).max() <= TOLERANCE


@pytest.mark.parametrize("chunk", CHUNKS)
def test_stream_equals_recomputing_every_window(recognizer, chunk):
    check(recognizer, voice(60_123), chunk)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n_samples=st.integers(1, 90_000),
    chunk=st.sampled_from(CHUNKS[2:]) | st.integers(50, 70_000),
    seed=st.integers(0, 99),
)
def test_stream_equals_recomputing_for_any_length_and_chunk(recognizer, n_samples, chunk, seed):
    check(recognizer, voice(n_samples, seed), chunk)


def test_stream_equals_the_trained_model_over_the_whole_window():
    """The encoder on blocks of an interval against one pass of the torch model over all the window's frames."""
    config = RunConfig()
    torch.manual_seed(0)
    model = CRNN(config.features, config.model, 8).eval()
    g = config.geometry
    encoder = TorchModel(model.encoder, torch.zeros(1, config.features.n_mels, g.block_frames))
    head = TorchModel(OpenHead(model.head), torch.zeros(1, g.window_steps, encoder.contract.output_shape[-1]))
    recognizer = StreamingRecognizer(encoder, head, config.features, g, tuple("abcdefgh"))
    waveform = voice(80_000)
    decided = [r.logits for r in stream(recognizer, waveform, 1600) if r.logits is not None]
    padded = silent_around(waveform, g)
    log_mel = LogMel(config.features)
    with torch.inference_mode():
        for i, logits in enumerate(decided):
            window = padded[i * g.interval_samples : i * g.interval_samples + g.window_samples]
            expected = model(torch.from_numpy(log_mel(window))[None])[0].numpy()
            assert np.abs(logits - expected).max() <= TOLERANCE
        clip = model.clip_logits(torch.from_numpy(log_mel(padded))[None], torch.tensor([len(waveform)]), g)[0].numpy()
    assert np.abs(np.mean(decided, axis=0) - clip).max() <= TOLERANCE, "whole-clip evaluation is the stream's mean"


def test_reset_forgets_and_flush_ends(recognizer):
    first = stream(recognizer, voice(50_000), 4000)
    stream(recognizer, voice(70_000, seed=5), 999)
    again = stream(recognizer, voice(50_000), 4000)
    assert all(np.array_equal(a.logits, b.logits) for a, b in zip(first, again, strict=True) if a.logits is not None)
    with pytest.raises(RuntimeError, match="reset"):
        recognizer.push(voice(100))
    recognizer.reset()
    assert recognizer.flush() == []
    recognizer.reset()
    with pytest.raises(ValueError, match="one dimension"):
        recognizer.push(np.zeros((2, 100), np.float32))


def test_buffers_do_not_grow(recognizer):
    recognizer.reset()
    sizes = [value.nbytes for value in vars(recognizer).values() if isinstance(value, np.ndarray)]
    for _ in range(40):
        recognizer.push(voice(16_000))
    assert [value.nbytes for value in vars(recognizer).values() if isinstance(value, np.ndarray)] == sizes


def test_unknown_and_absent_runtimes_are_named(bundle_path, monkeypatch):
    from crnn.errors import InputError

    with pytest.raises(InputError, match="openvino"):
        Bundle.open(bundle_path).recognizer("openvino")
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"runtimes .*\(onnx"):
        Bundle.open(bundle_path).recognizer()
    with pytest.raises(InputError, match="pip install"):
        runtimes.load("onnx", bundle_path / "encoder.static_int8.onnx")


def test_logits_are_an_affine_function_of_the_pooled_vector_beside_them(bundle_path):
    """So a profile works on what the classifier saw, under every runtime, int8 included."""
    bundle = Bundle.open(bundle_path)
    for runtime in filter(runtimes.installed, bundle.manifest.models):
        recognizer = bundle.recognizer(runtime)
        results = [
            r for seed in range(4) for r in stream(recognizer, voice(200_000, seed), 1600) if r.logits is not None
        ]
        logits, pooled = np.stack([r.logits for r in results]), np.stack([r.pooled for r in results])
        assert pooled.shape == (len(results), recognizer.pooled_width)
        seen = np.column_stack([pooled, np.ones(len(pooled))]).astype(np.float64)
        assert len(seen) > 3 * seen.shape[1]
        rest = logits - seen @ np.linalg.lstsq(seen, logits, rcond=None)[0]
        assert np.abs(rest).max() < 0.05 * np.ptp(logits)
