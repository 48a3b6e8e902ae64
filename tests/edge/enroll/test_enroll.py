"""Enrolment at a microphone or from files, and the profile in the scripts."""

import json
import re
import subprocess
import sys
import wave
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile
from helpers import ROOT, broken_files, called, one_clear_line, script

from crnn.errors import InputError
from edge.audio.events import AudioEvent, AudioEventKind
from edge.audio.vad import make_vad
from edge.bundle import Bundle
from edge.enroll.__main__ import as_text, judge, main
from edge.enroll.fit import make_profile
from edge.enroll.session import SENTENCES, SETTINGS, Sentence, SentenceCollector, Session, from_file
from edge.loop.utterances import UtteranceRecognizer
from edge.stream.decision import probabilities
from edge.stream.profile import load_profile
from edge.stream.recognizer import clip_decisions
from edge.stream.results import Segment

RATE = 16000


def enroll(*arguments) -> subprocess.CompletedProcess:
    # The energy VAD, because the neural one does not detect the SYNTHETIC voices.
    command = [sys.executable, "-m", "edge.enroll", "--vad", "energy", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture(scope="module")
def bundle(bundle_path) -> Bundle:
    return Bundle.open(bundle_path)


@pytest.fixture
def collector(bundle) -> SentenceCollector:
    return SentenceCollector(UtteranceRecognizer(bundle.recognizer("onnx"), make_vad("energy", RATE), SETTINGS))


@pytest.fixture(scope="module")
def of_emotion(voices) -> dict[str, list]:
    """Emotion -> the SYNTHETIC clips of the first voice."""
    codes = dict(enumerate(("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"), start=1))
    return {name: sorted(voices.glob(f"Actor_01/03-01-{code:02}-*")) for code, name in codes.items()}


def files_of(of_emotion, n: int) -> list[str]:
    return [f"{name}=" + ",".join(str(path) for path in paths[:n]) for name, paths in of_emotion.items()]


def test_from_files_to_a_profile_that_the_scripts_use(bundle_path, bundle, of_emotion, tmp_path):
    out = tmp_path / "me.json"
    made = enroll(bundle_path, "--out", out, "--json", "--files", *files_of(of_emotion, 2))
    assert made.returncode == 0, made.stderr[-2000:]
    report = json.loads(made.stdout)
    assert report["bundle"] == bundle.manifest.identity
    assert report["sentences"] == {name: 2 for name in bundle.manifest.labels}
    assert 0 <= report["right_with"] <= report["n_sentences"] == 16
    assert report["recommended"] == (report["right_with"] > report["right_without"])
    clip = of_emotion["angry"][0]
    lines = []
    for options in ((), ("--profile", out)):
        result = script("stream_infer.py", bundle_path, clip, "--runtime", "onnx", "--json", *options)
        assert result.returncode == 0, result.stderr[-2000:]
        lines.append([json.loads(line) for line in result.stdout.splitlines()])
    plain, mine = (next(e["probs"] for e in events if e["type"] == "segment") for events in lines)
    assert max(abs(plain[name] - mine[name]) for name in plain) > 1e-3, "the profile is used"
    assert mine["angry"] > plain["angry"], "towards what was enrolled"


def spoken(bundle, shift: float, lean: float, takes: int, seed: int = 0) -> list[tuple[str, Sentence]]:
    """Sentences whose logits are right by `lean`, of a voice that moves one logit by `shift` and the pooled vector."""
    rng = np.random.default_rng(seed)
    labels, width = tuple(bundle.manifest.labels), bundle.recognizer("onnx").pooled_width
    segment = Segment(0.0, 1.0, labels[0], None, 1.0, {})
    said = []
    for index, emotion in enumerate(labels):
        place = np.zeros(width)
        place[index] = 5.0
        for _ in range(takes):
            logits = lean * np.eye(len(labels))[index] + shift * np.eye(len(labels))[0]
            pooled = (place if shift else 0) + 0.01 * rng.standard_normal(width)
            said.append((emotion, Sentence(segment, logits.astype(np.float32), pooled.astype(np.float32), -20.0)))
    return said


@pytest.mark.parametrize(
    ("shift", "lean", "takes", "recommended", "advice"),
    [
        (6.0, 1.0, 3, True, "use it: "),
        (0.0, 1.0, 3, False, "not recommended: all 24 "),
        (0.0, 0.0, 3, False, "not recommended: .*3 of 24 "),
        (6.0, 1.0, 1, None, "not recommended yet: "),
    ],
    ids=["a gain", "all right", "no gain", "untested"],
)
def test_a_profile_is_recommended_only_if_its_own_test_gains(bundle, shift, lean, takes, recommended, advice):
    said = spoken(bundle, shift, lean, takes)
    labels = tuple(bundle.manifest.labels)
    found = judge(bundle.manifest.identity, labels, bundle.speakers(bundle.recognizer("onnx")), said)
    assert found["recommended"] is recommended
    report = {"profile": "me.json", "sentences": {}, "n_sentences": len(said), "voice": takes > 1, **found}
    lines = as_text(report).splitlines()
    assert any("biometric" in line for line in lines) == report["voice"]
    assert re.match(advice, lines[-1])
    assert any("use it" in line for line in lines) == bool(recommended)


def test_a_profile_in_the_stream_equals_a_profile_after_the_stream(bundle, of_emotion, tmp_path):
    """Applied during the stream it gives the same as applied to the logits and pooled vectors of a plain stream."""
    recognizer = bundle.recognizer("onnx")
    waveform, _ = soundfile.read(of_emotion["sad"][0], dtype="float32")
    results = [r for r in recognizer.push(waveform) + recognizer.flush() if r.logits is not None]
    logits, pooled = np.stack([r.logits for r in results]), np.stack([r.pooled for r in results])
    emotions = list(recognizer.labels)
    rng = np.random.default_rng(0)
    many = rng.normal(size=(len(emotions), pooled.shape[1])).astype(np.float32)
    profile = make_profile(
        bundle.manifest.identity, recognizer.labels, bundle.speakers(recognizer), 0 * many[:, :8], many, emotions
    )
    profile.save(tmp_path / "me.json")
    personal = bundle.recognizer("onnx", profile=tmp_path / "me.json")
    assert np.abs(clip_decisions(personal, waveform) - profile.adapt(logits, pooled)).max() < 1e-5
    loop = UtteranceRecognizer(personal, make_vad("energy", RATE))
    segment = (loop.push(waveform) + loop.flush())[-1]
    streamed = np.array([segment.probs[name] for name in recognizer.labels])
    temperature = personal.decision.temperature
    expected = probabilities(profile.adapt(logits, pooled).mean(axis=0), temperature)
    assert np.abs(streamed - expected).max() < np.abs(streamed - probabilities(logits.mean(axis=0), temperature)).max()


def test_neutral_alone_and_a_folder(bundle_path, bundle, voices, of_emotion, tmp_path):
    from edge.evaluate.__main__ import main as evaluate  # of the workstation half

    (tmp_path / "voice" / "neutral").mkdir(parents=True)
    for path in of_emotion["neutral"]:
        (tmp_path / "voice" / "neutral" / path.name).write_bytes(path.read_bytes())
    out = tmp_path / "me.json"
    made = enroll(bundle_path, "--out", out, "--folder", tmp_path / "voice")
    assert made.returncode == 0, made.stderr[-2000:]
    assert "lowered: " in made.stdout or "nothing is changed" in made.stdout
    profile = load_profile(out, bundle.manifest.identity, bundle.manifest.labels, bundle.recognizer().pooled_width)
    assert not profile.weights.any()
    assert (profile.bias <= 0).all()
    arguments = (bundle_path, "--data", f"synthetic:{voices}", "--profile", tmp_path / "none.json")
    one_clear_line(called(evaluate, *arguments), "none.json: ")


def test_a_profile_of_another_bundle_is_refused(bundle_path, of_emotion, tmp_path):
    out = tmp_path / "me.json"
    assert enroll(bundle_path, "--out", out, "--files", f"neutral={of_emotion['neutral'][0]}").returncode == 0
    clip = of_emotion["happy"][0]
    one_clear_line(script("stream_infer.py", clip, "--profile", out), "me.json: ", "bundle", "enrol again")
    out.write_bytes(out.read_bytes()[:100])
    one_clear_line(script("stream_infer.py", bundle_path, clip, "--profile", out), "me.json: ", "damaged")


def test_bad_input_gives_one_clear_line_and_no_profile(bundle_path, of_emotion, tmp_path):
    neutral = of_emotion["neutral"][0]
    out = tmp_path / "me.json"
    soundfile.write(tmp_path / "silence.wav", np.zeros(2 * RATE), RATE)
    loud = np.clip(40 * soundfile.read(neutral)[0], -1, 1)
    soundfile.write(tmp_path / "loud.wav", loud, RATE)
    soundfile.write(tmp_path / "click.wav", np.zeros(1), 48000)
    soundfile.write(tmp_path / "word.wav", np.pad(soundfile.read(neutral)[0][4000:9000], RATE), RATE)
    broken = {f"neutral={tmp_path / 'broken' / name}": part for name, part in broken_files(tmp_path / "broken").items()}
    cases = {
        "neutral": "EMOTION=FILE",
        f"glad={neutral}": "glad",
        f"happy={neutral}": "neutral, ",
        f"neutral={tmp_path / 'none.wav'}": "none.wav: no such file",
        f"neutral={tmp_path / 'silence.wav'}": "silence.wav: ",
        f"neutral={tmp_path / 'click.wav'}": "click.wav: ",
        f"neutral={tmp_path / 'loud.wav'}": "loud.wav: |too loud",
        f"neutral={tmp_path / 'word.wav'}": "word.wav: |too short",
        **dict(list(broken.items())[:2]),
    }

    def refused(*arguments) -> subprocess.CompletedProcess:
        return called(main, bundle_path, "--vad", "energy", *arguments)

    for files, part in cases.items():
        one_clear_line(refused("--out", out, "--files", files), *part.split("|"))
        assert not out.exists()
    one_clear_line(refused("--out", out, "--folder", tmp_path / "nowhere"), "no such folder")
    one_clear_line(refused("--out", out, "--takes", "0"), "--takes 0", "1 to 10")
    one_clear_line(refused("--out", "/proc/me.json", "--takes", "0"), "/proc/me.json: ")
    out.write_text("mine")
    one_clear_line(refused("--out", out, "--files", f"neutral={neutral}"), "exists already")
    assert out.read_text() == "mine"


def speech(path, seconds_of_quiet: float = 1.5) -> np.ndarray:
    """A clip and a quiet room after it."""
    waveform = soundfile.read(path, dtype="float32")[0]
    quiet = 3e-4 * np.random.default_rng(0).standard_normal(round(seconds_of_quiet * RATE))
    return np.concatenate([waveform, quiet.astype(np.float32)])


def scripted(*parts: np.ndarray | AudioEvent) -> Iterator[np.ndarray | AudioEvent]:
    """Chunks and events as a microphone yields them."""
    quiet = 3e-4 * np.random.default_rng(1).standard_normal(RATE)
    for part in (quiet.astype(np.float32), *parts):
        if isinstance(part, AudioEvent):
            yield part
        else:
            yield from (part[at : at + 1600] for at in range(0, len(part), 1600))


def test_the_guided_session_asks_again_until_a_sentence_can_be_used(collector, of_emotion, tmp_path):
    good = speech(of_emotion["neutral"][0])
    loud, room = np.clip(40 * good, -1, 1), good[-24000:]
    short = np.concatenate([room, good[4000:9000], room])
    lost = AudioEvent(AudioEventKind.OPENED, "USB microphone", 3.0)
    said: list[str] = []
    audio = scripted(good, loud, short, lost, good, good, room)
    made = list(Session(collector, audio, said.append, tmp_path).run(("neutral", "happy"), 1))
    assert [emotion for emotion, _ in made] == ["neutral", "happy"]
    assert all(sentence.problem is None and sentence.pooled.size for _, sentence in made)
    text = "\n".join(said)
    assert text.index("level") < text.index("NEUTRAL") < text.index("HAPPY")
    assert "too loud" in text
    assert "too short" in text
    assert "opened: USB microphone" in text
    assert text.count(SENTENCES[0]) == 2 + text.count("Once more")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["happy-1.wav", "neutral-1.wav"]
    with wave.open(str(tmp_path / "neutral-1.wav")) as file:
        stored = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767
    lag = np.correlate(stored, good[6000:14000], mode="valid")
    found = stored[lag.argmax() : lag.argmax() + 8000]
    assert np.corrcoef(found, good[6000:14000])[0, 1] > 0.999, "the stored sound is the spoken one"


def test_prompts_for_a_quiet_voice_and_silence_and_an_error_for_an_early_end(collector, of_emotion):
    said: list[str] = []
    nobody = (3e-4 * np.random.default_rng(2).standard_normal(45 * RATE)).astype(np.float32)
    with pytest.raises(InputError, match="ended .*no profile"):
        list(Session(collector, scripted(nobody, speech(of_emotion["neutral"][0])), said.append).run(("neutral",), 1))
    assert sum(" 20 s" in line for line in said) == 2
    assert any(re.search(r"level .*dBFS", line) for line in said)


def test_no_audio_is_buffered_unless_it_is_to_be_stored(collector, of_emotion):
    session = Session(collector, scripted(*[speech(of_emotion["neutral"][0])] * 3), lambda line: None)
    assert len(list(session.run(("neutral",), 2))) == 2
    assert not session._recent


def test_a_file_gives_the_same_as_a_microphone(collector, of_emotion):
    """The same sentence gives the same values, except for the noise around it."""
    path = of_emotion["angry"][0]
    file = from_file(collector, path)
    collector.reset()
    (_, mic), *_ = list(Session(collector, scripted(speech(path), speech(path)), lambda line: None).run(("angry",), 1))
    assert np.abs(file.logits - mic.logits).max() < 0.5 * np.abs(file.logits).max()


def test_enrolling_with_a_profile_in_use_is_refused(bundle):
    recognizer = bundle.recognizer("onnx")
    recognizer.profile = object()
    with pytest.raises(InputError, match="profile"):
        SentenceCollector(UtteranceRecognizer(recognizer, make_vad("energy", RATE)))
