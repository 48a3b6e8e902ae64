"""stream_infer.py as a user runs it, without torch: files, standard input, bad input."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from helpers import ROOT, broken_files, called, one_clear_line, script, tone

import stream_infer


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An environment in which torch cannot be imported: a folder with a torch.py that refuses, first on the path."""
    folder = tmp_path_factory.mktemp("no_torch")
    for name in ("torch", "torchaudio", "lightning", "scipy", "librosa"):
        (folder / f"{name}.py").write_text(f"raise ImportError('{name} is not on the device')\n")
    return os.environ | {"PYTHONPATH": str(folder)}


@pytest.fixture(scope="module")
def clip(voices):
    return next(voices.glob("Actor_01/03-01-05-*"))


def test_a_recording_is_answered_by_its_segments(bundle_path, clip, environment):
    result = script("stream_infer.py", bundle_path, clip, env=environment)
    assert result.returncode == 0, result.stderr
    segment, end = result.stdout.splitlines()
    assert "segment" in segment
    assert "stopped" in end


def test_every_decision_is_an_option(bundle_path, clip, environment):
    """Also between the names."""
    result = script("stream_infer.py", bundle_path, "--decisions", clip, env=environment)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) >= 11
    assert all("warming up" in line for line in lines[:10])
    assert "deciding" in lines[-3]
    assert "dBFS" in lines[-3]
    assert "angry" in lines[-3]
    assert "segment" in lines[-2]
    assert "stopped" in lines[-1]


def test_json_lines_from_file_and_standard_input_agree(bundle_path, clip, environment):
    from_file = script("stream_infer.py", bundle_path, clip, "--json", "--decisions", env=environment)
    samples, rate = soundfile.read(clip, dtype="int16")
    assert rate == 16000
    piped = script(
        "stream_infer.py",
        bundle_path,
        "-",
        "--json",
        "--decisions",
        env=environment,
        text=False,
        input=samples.astype("<i2").tobytes(),
    )
    assert from_file.returncode == piped.returncode == 0
    ours, theirs = ([json.loads(line) for line in text.splitlines()] for text in (from_file.stdout, piped.stdout))
    assert len(ours) == len(theirs)
    (segment,), (piped_segment,) = ([line for line in each if line["type"] == "segment"] for each in (ours, theirs))
    assert segment["probs"] == pytest.approx(piped_segment["probs"], abs=1e-4)
    assert segment["arousal"] == pytest.approx(piped_segment["arousal"], abs=1e-4)
    assert 0 < segment["arousal"] < 1
    shown = [line["arousal"] for line in ours if line["type"] == "hop" and "arousal" in line]
    assert shown and all(0 < value < 1 for value in shown)
    assert (segment["emotion"] is None) == (segment["verdict"] is not None)
    for a, b in zip(ours, theirs, strict=True):
        assert (a["type"], a["seconds"], a.get("state")) == (b["type"], b["seconds"], b.get("state"))
        if "probs" in a:
            assert a["probs"] == pytest.approx(b["probs"], abs=1e-4)
            assert sum(a["probs"].values()) == pytest.approx(1, abs=1e-4)
            assert a["confidence"] in a["probs"].values()


@pytest.mark.parametrize("vad", ["auto", "energy"])
@pytest.mark.parametrize("seconds", [0.05, 0.5, 600])
def test_any_length_streams(bundle_path, environment, tmp_path, seconds, vad):
    """Of steady noise, which gets no emotion and no end of segments."""
    path = tmp_path / "clip.flac"
    soundfile.write(path, 0.02 * np.random.default_rng(0).standard_normal(int(seconds * 16000)), 16000)
    result = script("stream_infer.py", bundle_path, path, "--json", "--vad", vad, env=environment)
    assert result.returncode == 0, result.stderr
    segment, end = map(json.loads, result.stdout.splitlines())
    assert (segment["type"], segment["emotion"]) == ("segment", None)
    assert segment["verdict"] in ("no speech", "noise")
    assert segment["end_seconds"] <= seconds
    assert end["kind"] == "stopped"


def test_a_vad_whose_package_is_missing_is_named(bundle_path, clip, environment):
    code = (
        "import sys; from edge.audio import silero_vad; silero_vad.SOURCES = (('no_such_package', 'x.onnx'),); "
        "import stream_infer; "
        f"sys.exit(stream_infer.main([{str(bundle_path)!r}, {str(clip)!r}, '--vad', 'silero']))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    one_clear_line(result, "pip install -e '.[vad]'")


@pytest.mark.parametrize(
    ("subtype", "rate", "channels"), [("PCM_U8", 8000, 1), ("PCM_24", 96000, 2), ("FLOAT", 44100, 6)]
)
def test_any_format_streams(bundle_path, environment, tmp_path, subtype, rate, channels):
    soundfile.write(tmp_path / "a.wav", tone(1.0, rate, channels), rate, subtype=subtype)
    result = script("stream_infer.py", bundle_path, tmp_path / "a.wav", env=environment)
    assert result.returncode == 0, result.stderr


def test_bad_input_gives_one_clear_line(bundle_path, clip, environment, tmp_path):
    for name, part in (broken_files(tmp_path / "broken") | {"missing.wav": "no such file"}).items():
        one_clear_line(called(stream_infer.main, bundle_path, tmp_path / "broken" / name), name, part)
    cases = [
        ([], "--mic", "--help"),
        ([bundle_path], str(bundle_path), "is a bundle"),
        ([tmp_path], str(tmp_path), "no bundle.json", "/*.wav --csv FILE"),
        ([tmp_path, clip], str(tmp_path), "not a bundle"),
        ([tmp_path / "none", clip], "none: no such folder"),
        ([clip, clip], "is a file", "--csv FILE"),
        ([clip, bundle_path], str(bundle_path), "is a bundle"),
        ([bundle_path, tmp_path], str(tmp_path), "is a folder"),
        ([bundle_path, bundle_path, clip], str(bundle_path), "is a bundle"),
        ([bundle_path, clip, clip], "2 recordings", "--csv FILE"),
        ([bundle_path / "bundle.json", clip], "bundle.json", "folder"),
        ([bundle_path / "bundle.json"], "bundle.json", "no recording"),
        ([bundle_path, clip, "--mic"], "too many names"),
        ([clip, "--mic"], str(clip), "--mic"),
        ([bundle_path, clip, "--runtime", "openvino"], "openvino"),
        ([bundle_path, clip, "--threads", "0"], "threads", " 0"),
        ([bundle_path, clip, "--rules", tmp_path / "no.json"], "no.json"),
        ([bundle_path, clip, "--rules", clip], str(clip)),
    ]
    for arguments, *parts in cases:
        one_clear_line(called(stream_infer.main, *arguments), *parts)
    one_clear_line(script("stream_infer.py", bundle_path, "-", env=environment, input=""), "no samples")
    no_rate = script("stream_infer.py", bundle_path, "-", "--rate", "0", env=environment, input="")
    one_clear_line(no_rate, "0 Hz", "4000 to 192000 Hz")


def test_a_damaged_bundle_gives_one_clear_line(bundle_path, clip, environment, tmp_path):
    folder = shutil.copytree(bundle_path, tmp_path / "b")
    data = bytearray((folder / "head.dynamic_int8.onnx").read_bytes())
    data[100] ^= 0xFF
    (folder / "head.dynamic_int8.onnx").write_bytes(bytes(data))
    one_clear_line(script("stream_infer.py", folder, clip, env=environment), "head.dynamic_int8.onnx", "hash")


def test_a_reader_that_leaves_is_no_crash(bundle_path, clip, environment):
    command = f"{sys.executable} {ROOT / 'stream_infer.py'} {bundle_path} {clip} | head -n 1"
    result = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in result.stderr
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [("- <&-", "standard input is closed"), ("{clip} >&-", "standard output is closed")],
)
def test_what_is_closed_is_named(bundle_path, clip, environment, arguments, part):
    command = f"{sys.executable} {ROOT / 'stream_infer.py'} {bundle_path} {arguments.format(clip=clip)}"
    result = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)
    one_clear_line(result, part)


def test_one_signal_ends_it_while_standard_input_says_nothing(bundle_path, clip, environment):
    command = [sys.executable, ROOT / "stream_infer.py", bundle_path, "-"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        process.stdin.write(soundfile.read(clip, dtype="int16")[0].tobytes() + bytes(2 * 16000))
        process.stdin.flush()
        while b"segment" not in process.stdout.readline():
            pass
        time.sleep(1)  # the silence behind it has been processed: it waits
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0  # standard input is still open
        assert b"stopped" in process.stdout.read().splitlines()[-1]
    finally:
        process.kill()
        process.communicate()


def test_a_full_disk_under_the_output_is_named(bundle_path, clip, environment):
    command = f"{sys.executable} {ROOT / 'stream_infer.py'} {bundle_path} {clip} > /dev/full"
    result = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)
    one_clear_line(result, "No space left on device")


def test_an_error_that_has_no_number_says_what_it_is(environment):
    code = (
        "import sys, stream_infer\n"
        "def run(args): raise OSError('no library found')\n"
        "stream_infer.run = run; sys.exit(stream_infer.main([]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    one_clear_line(result, "no library found")
