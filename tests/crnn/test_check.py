"""python -m crnn.check: what it counts, what it calls a problem, what a warning, and its exit codes."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers import ROOT, broken_files, own_voices, tone

from crnn.check import check, main
from crnn.data.corpora import Utterance
from crnn.data.inspection import QUIET_DBFS, Sound
from crnn.data.inspection import listen as listen_to
from crnn.data.segments import ClipReader
from crnn.errors import InputError
from crnn.run_config import LAYOUT
from edge.audio.energy_vad import EnergyVad


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    return own_voices(tmp_path_factory.mktemp("own") / "mine")


@pytest.fixture
def mine(own, tmp_path) -> Path:
    return shutil.copytree(own, tmp_path / "mine")


def listen(path: Path) -> Sound:
    return listen_to(Utterance(path, "own", "anna", None, "joy"), ClipReader())


def look(folder: Path, protocol: str | None = None) -> dict:
    return check(f"folder:{folder}", LAYOUT, protocol, 0)


def test_a_plain_install_can_check(own):
    """Everything of the extras is missing: recordings can be checked before PyTorch is installed."""
    extras = (
        "torch torchaudio lightning scipy sklearn filelock jsonargparse audiomentations torchmetrics matplotlib yaml"
    )
    code = (
        f"import sys; sys.modules |= dict.fromkeys({extras.split()!r}); from crnn.check import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", code, "--data", f"folder:{own}"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "60 of 60" in result.stdout


def test_sound_recordings_have_no_problems(own, capsys):
    assert main(["--data", f"folder:{own}"]) == 0
    shown = capsys.readouterr().out
    for part in (
        "60 of 60",
        "3 emotions, 6 speakers",
        "voice1      4     3    3   10",
        "problems: none",
        "own-data fold 0",
    ):
        assert part in shown
    assert main(["--data", f"folder:{own}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["emotions"] == {"angry": 24, "calm": 18, "sad": 18}
    assert found["speakers"]["voice6"] == {"angry": 4, "calm": 3, "sad": 3}
    assert found["sample_rates"] == {"16000": 60}
    assert 0.9 < found["seconds"]["min"] <= found["seconds"]["median"] <= found["seconds"]["max"] < 3
    sets = found["split"]["sets"]
    assert [len(sets[part]["speakers"]) for part in ("train", "dev", "test")] == [3, 1, 2]
    assert sum(facts["clips"] for facts in sets.values()) == 60


def test_a_known_corpus_is_looked_at_under_its_own_protocol(voices):
    found = check(f"synthetic:{voices}", LAYOUT, None, 0)
    assert found["split"]["protocol"] == "synthetic-demo"
    assert found["split"]["sets"]["test"]["speakers"] == ["01", "02", "03", "04"]
    assert not found["problems"]


def test_it_answers_without_torch(own):
    code = f"""
import sys
sys.modules["torch"] = None
from crnn.check import main
sys.exit(main(["--data", "folder:{own}"]))
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_broken_files_are_named_with_their_reasons(mine, capsys):
    reasons = broken_files(mine / "angry" / "made")
    for name in reasons:
        shutil.move(mine / "angry" / "made" / name, mine / "angry" / f"voice1_{name}")
    soundfile.write(mine / "sad" / "voice1_short.wav", tone(0.1, 16000), 16000)
    soundfile.write(mine / "sad" / "voice1_silent.wav", np.zeros(16000), 16000)
    soundfile.write(mine / "sad" / "voice1_long.flac", tone(61, 8000), 8000)
    (mine / "sad" / "voice1_pointer.wav").write_bytes(b"version https://git-lfs.github.com/spec/v1\nsize 5\n")
    found = look(mine)
    assert found["usable"] == 60
    lines = "\n".join(found["problems"]["unusable"])
    assert len(found["problems"]["unusable"]) == len(reasons) + 3
    for part in (*reasons.values(), "0.10 s", "silent", "61 s"):
        assert part in lines
    assert "git-lfs pointer" in found["problems"]["left out"][0]
    assert main(["--data", f"folder:{mine}"]) == 1
    assert "5 more (--json)" in capsys.readouterr().out


def test_the_same_audio_is_a_problem_under_another_emotion_or_speaker_and_else_a_repeat(mine):
    clip = mine / "angry" / "voice1_00.wav"
    for copy in ("sad/voice1_90.wav", "angry/voice2_91.wav", "angry/voice1_92.wav"):
        shutil.copy(clip, mine / copy)
    samples, rate = soundfile.read(clip, dtype="int16")
    soundfile.write(mine / "calm" / "voice1_93.flac", samples, rate)  # other bytes, other name, same sound
    found = look(mine)
    lines = "\n".join(found["problems"]["same audio"])
    for part in ("as angry and as sad", "by voice1 and by voice2", "as angry and as calm"):
        assert part in lines
    assert len(found["problems"]["same audio"]) == 3
    (repeat,) = found["warnings"]["same audio"]
    assert "voice1_92.wav" in repeat


def test_suspicions(mine):
    loud = np.clip(5 * tone(1.0, 16000), -1, 1)
    soundfile.write(mine / "angry" / "voice1_80.wav", loud, 16000)
    quiet = np.concatenate([1e-4 * tone(4.0, 16000), np.zeros((100, 1))])
    soundfile.write(mine / "angry" / "voice1_81.wav", quiet, 16000, subtype="FLOAT")
    shutil.copy(mine / "calm" / "voice3_04.wav", mine / "sad" / "voice3_04.wav")
    for number, path in enumerate(sorted((mine / "sad").iterdir())):
        samples, _ = soundfile.read(path)
        soundfile.write(path, np.repeat(samples[:, None], 1 + number % 2, axis=1), 8000)
    (mine / "anger").mkdir()
    shutil.move(mine / "angry" / "voice2_00.wav", mine / "anger" / "voice2_00.wav")
    found = look(mine)
    warnings = {kind: "\n".join(lines) for kind, lines in found["warnings"].items()}
    assert "voice1_80.wav: 5" in warnings["clipping"]
    assert "voice1_81.wav: 100%" in warnings["silence"]
    assert re.search("voice1_81.wav: .*-65 dBFS", warnings["quiet"])
    assert re.search("19 recordings .*8000 Hz.* 4000 Hz", warnings["sample_rates"])
    assert re.search("0% of sad .*16000 Hz", warnings["sample_rates"])
    assert "anger and angry" in warnings["labels"]
    assert "calm and as sad" in warnings["labels"]
    assert found["channels"] == {1: 54, 2: 9}


def test_numbering_that_starts_anew_in_every_folder_is_no_suspicion(mine):
    for emotion in ("angry", "calm", "sad"):
        for number, path in enumerate(sorted((mine / emotion).glob("voice?_*.wav"))):
            path.rename(path.with_name(f"{path.name.split('_')[0]}_n{number % 3}{'b' * (number // 3)}.wav"))
    assert "labels" not in look(mine)["warnings"]


def test_names_that_are_no_speakers_are_suspected(tmp_path):
    for number, emotion in enumerate(("joy", "fear") * 3):
        (tmp_path / emotion).mkdir(exist_ok=True)
        soundfile.write(tmp_path / emotion / f"{number:04d}_anna.wav", tone(0.5 + number / 10, 16000), 16000)
    lines = look(tmp_path)["warnings"]["speakers"]
    assert "6 speakers in 6 recordings" in lines[0]
    assert "one emotion" in lines[1]


def test_whether_a_split_is_possible_is_known_before_anyone_trains(mine):
    for path in [p for p in mine.rglob("*.wav") if p.name[5] not in "12"]:
        path.unlink()
    found = look(mine)
    assert found["split"] is None
    assert "2 (voice1, voice2)" in found["problems"]["split"][0]
    assert look(mine, "own-data-speaker-dependent")["split"]["sets"]["train"]["clips"] == 10


def test_rows_that_are_wrong_are_all_listed(mine):
    rows = [f"{p.relative_to(mine)},{p.parent.name},{p.name[:6]}" for p in sorted(mine.rglob("*.wav"))]
    (mine / "my.csv").write_text("\n".join(["path,emotion,speaker", *rows, "gone.wav,joy,voice1", "x,,", rows[0]]))
    problems = check(f"csv:{mine / 'my.csv'}", LAYOUT, None, 0)["problems"]["list"]
    assert [line.split("my.csv ")[1].split(":")[0] for line in problems] == ["line 62", "line 63", "line 64"]


def test_a_leaking_split_column_is_a_problem(mine):
    rows = [f"{p.relative_to(mine)},{p.parent.name},{p.name[:6]}" for p in sorted(mine.rglob("*.wav"))]
    parts = [("train", "train", "train", "dev", "test", "test")[int(row[-1]) - 1] for row in rows]
    parts[0] = "test"
    lines = [f"{row},{part}" for row, part in zip(rows, parts, strict=True)]
    (mine / "my.csv").write_text("\n".join(["path,emotion,speaker,split", *lines]))
    found = check(f"csv:{mine / 'my.csv'}", LAYOUT, None, 0)
    assert re.search("voice1 of own .*train .*test", found["problems"]["split"][0])


@pytest.mark.parametrize(
    ("data", "part"),
    [
        ("folder:/nowhere", "/nowhere: no such folder"),
        ("nonsense:/x", "nonsense"),
        ("/x", "CORPUS:FOLDER"),
        ("ravdess:/nowhere", "/nowhere: no such folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(data, part, capsys):
    assert main(["--data", data]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("error: ")
    assert part in said[-1]


def test_nothing_usable_is_bad_input(tmp_path, capsys):
    (tmp_path / "joy").mkdir()
    (tmp_path / "joy" / "anna_1.wav").write_bytes(b"")
    assert main(["--data", f"folder:{tmp_path}"]) == 2
    assert "anna_1.wav" in capsys.readouterr().err.splitlines()[-1]


def test_what_is_measured_of_a_sound(tmp_path):
    half = np.concatenate([tone(1.0, 48000, 2), np.zeros((48000, 2))])
    soundfile.write(tmp_path / "a.wav", half, 48000, subtype="FLOAT")
    sound = listen(tmp_path / "a.wav")
    assert (sound.rate, sound.channels, sound.seconds) == (48000, 2, 2.0)
    assert sound.silent == pytest.approx(0.5, abs=0.03)
    assert sound.zeros == pytest.approx(0.5, abs=0.01)
    assert sound.clipped == 0
    assert sound.loudest_dbfs == pytest.approx(20 * np.log10(0.3 / np.sqrt(2)), abs=0.2)
    with pytest.raises(InputError, match="no such file"):
        listen(tmp_path / "b.wav")


@pytest.mark.parametrize("above", [10, 30, 60])
@pytest.mark.parametrize("offset", [0.0, 0.1])
def test_how_far_speech_stands_above_the_noise(tmp_path, above, offset):
    noise = 0.1 * 10 ** (-above / 20) * np.random.default_rng(0).standard_normal(48000)
    speech = np.concatenate([np.zeros(16000), 0.1 * np.sqrt(2) * np.sin(np.arange(16000) * 0.3), np.zeros(16000)])
    soundfile.write(tmp_path / "a.wav", speech + noise + offset, 16000, subtype="FLOAT")
    assert listen(tmp_path / "a.wav").above_noise_db == pytest.approx(above, abs=1.0)


def test_what_the_noise_gives_away_is_measured_where_asked(mine, capsys):
    rng = np.random.default_rng(0)
    for path in (mine / "sad").iterdir():  # digital silence elsewhere
        samples, rate = soundfile.read(path)
        soundfile.write(path, samples + 0.003 * rng.standard_normal(len(samples)), rate)
    assert "above_noise_db" not in look(mine)
    assert main(["--data", f"folder:{mine}", "--noise", "--json"]) == 0
    levels = json.loads(capsys.readouterr().out)["above_noise_db"]
    assert list(levels)[0] == "sad", "the lowest first"
    assert levels["sad"] + 10 < min(levels["angry"], levels["calm"])
    assert main(["--data", f"folder:{mine}", "--noise"]) == 0
    assert f"{levels['sad']:.0f} dB sad" in capsys.readouterr().out


def test_too_quiet_is_what_the_device_takes_for_silence():
    assert inspect.signature(EnergyVad).parameters["min_dbfs"].default == QUIET_DBFS


def test_it_begins_and_ends_like_every_command(mine):
    """A closed output, a reader who has gone, a name that is not UTF-8, one that steers a terminal."""

    def run(place: bytes, redirected: str) -> subprocess.CompletedProcess:
        line = f'exec {sys.executable} -m crnn.check --data "csv:$0" {redirected}'
        return subprocess.run(
            ["bash", "-c", f"set -o pipefail; {line}", place], cwd=ROOT, capture_output=True, timeout=120, check=False
        )

    mine = bytes(mine)
    rows = b"path,emotion,speaker\n" + b"".join(
        b"%s/voice%d_0%d.wav,%s,voice%d\n" % (emotion, v, number, emotion, v)
        for v in range(1, 7)
        for number, emotion in ((0, b"angry"), (2, b"sad"))
    )
    plain, latin, steering = mine + b"/a.csv", mine + b"/\xe9.csv", mine + b"/\x1b[31m.csv"
    for name in (plain, latin, steering):
        Path(os.fsdecode(name)).write_bytes(rows)
    closed, gone, full = run(plain, ">&-"), run(plain, "| true"), run(plain, ">/dev/full")
    assert (closed.returncode, gone.returncode, full.returncode) == (2, 0, 2)
    assert b"standard output" in closed.stderr
    assert b"No space left" in full.stderr
    odd, red = run(latin, "<&- 2>&1"), run(steering, "2>&1")
    assert (odd.returncode, red.returncode) == (0, 0), odd.stdout + red.stdout
    assert rb"\xe9.csv" in odd.stdout
    assert b"\x1b" not in red.stdout
    for result in (closed, gone, full, odd, red):
        assert b"Traceback" not in result.stdout + result.stderr


def test_real_corpora(recordings):
    found = check(f"emodb:{recordings / 'emodb'}", LAYOUT, None, 0)
    assert (found["recordings"], found["usable"], len(found["speakers"])) == (535, 535, 10)
    assert not found["problems"]
    assert "same audio" not in found["warnings"]
