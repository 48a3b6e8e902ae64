"""The shipped files: two bundles that stream without torch, their model card, and the clip of the demonstration."""

import json

import numpy as np
import pytest
import soundfile
from helpers import ROOT, script

from crnn.synthetic import demo_clip
from edge.bundle import PRETRAINED, Bundle
from edge.stream.decision import probabilities

FOLDER = PRETRAINED.parent
CLIP = FOLDER / "synthetic_voice.flac"


@pytest.mark.parametrize("name", ["int8", "float32"])
def test_a_shipped_bundle_opens_and_agrees_with_its_golden_vector(name):
    bundle = Bundle.open(FOLDER / name)
    assert set(bundle.manifest.models) == {"onnx", "tflite"}
    recognizer = bundle.recognizer("onnx")
    assert recognizer.labels == ("neutral", "happy", "sad", "angry", "fearful", "disgust")
    assert bundle.manifest.provenance["protocol"] == "all-six-corpora"


def test_both_bundles_hold_the_same_model():
    provenance = [json.loads((FOLDER / name / "bundle.json").read_text())["provenance"] for name in ("int8", "float32")]
    for key in ("split_hash", "seed", "n_params", "trained_model"):
        assert provenance[0][key] == provenance[1][key]
    waveform, _ = soundfile.read(CLIP, dtype="float32")
    decided = []
    for name in ("int8", "float32"):
        recognizer = Bundle.open(FOLDER / name).recognizer("onnx")
        logits = [r.logits for r in recognizer.push(waveform) + recognizer.flush() if r.logits is not None]
        decided.append(probabilities(np.array(logits), recognizer.decision.temperature))
    assert np.abs(decided[0] - decided[1]).max() < 0.1


def test_the_model_card_names_the_origin_and_the_forbidden_uses():
    card = (FOLDER / "MODEL_CARD.md").read_text()
    for part in (
        "CC BY-NC-SA 4.0",
        "EMOVO",
        "must not be used",
        "Livingstone",
        "ODbL",
        "leaving a whole",
    ):
        assert part.lower() in card.lower() or part == "ODbL" and "Open Database Licence" in card
    assert "not measured" not in card


def test_the_clip_of_the_demonstration_is_generated():
    stored, rate = soundfile.read(CLIP, dtype="float32")
    assert rate == 16000
    assert np.abs(stored - demo_clip()).max() < 1e-3


def test_without_a_bundle_the_shipped_model_is_used():
    named = script("stream_infer.py", FOLDER / "int8", CLIP, "--json")
    alone = script("stream_infer.py", CLIP, "--json", cwd=ROOT)
    assert alone.returncode == 0, alone.stderr
    assert alone.stdout == named.stdout
    events = [json.loads(line) for line in alone.stdout.splitlines()]
    assert any(line["type"] == "segment" and line["probs"] for line in events)
