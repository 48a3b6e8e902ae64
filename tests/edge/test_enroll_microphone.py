"""The guided session at a real PyAudio device: prompts out, a voice in, a profile at the end; Ctrl-C leaves nothing."""

import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers import ROOT
from virtual_microphone import PATIENCE, House

pytest.importorskip("pyaudio", reason="needs the mic extra: make test EXTRAS=mic")
pytest.importorskip("tenacity", reason="needs the mic extra: make test EXTRAS=mic")
if not shutil.which("pulseaudio"):
    pytest.skip("needs PulseAudio (see .ci/run for the Debian packages)", allow_module_level=True)


@pytest.fixture
def house(tmp_path) -> Iterator[House]:
    made = House(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def start(house: House, *arguments) -> subprocess.Popen:
    command = [sys.executable, "-m", "edge.enroll", *map(str, arguments), "--device", "pulse", "--json"]
    return subprocess.Popen(
        command, cwd=ROOT, env=house.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def prompts(process: subprocess.Popen) -> Iterator[str]:
    """The lines in quotation marks: what the person is to say."""
    timer = threading.Timer(3 * PATIENCE, process.kill)
    timer.start()
    try:
        yield from (line for line in process.stderr if line.startswith('    "'))
    finally:
        timer.cancel()


def test_a_session_at_a_microphone(house, bundle_path, voices, tmp_path):
    waveform, rate = soundfile.read(next(voices.glob("Actor_01/03-01-01-*")), dtype="float32")
    said = np.concatenate([waveform, np.zeros(rate // 2, np.float32)])
    out: Path = tmp_path / "me.json"
    process = start(house, bundle_path, "--out", out, "--takes", "2")
    playing = [house.play(said) for _ in prompts(process)]
    assert len(playing) == 3, "the level, and two sentences"
    assert process.wait(PATIENCE) == 0
    told = json.loads(process.stdout.read())
    assert told["sentences"] == {"neutral": 2}
    assert json.loads(out.read_text())["bundle"] == told["bundle"]
    assert not list(tmp_path.glob("neutral*")), "no audio is stored"


def test_ctrl_c_leaves_no_profile(house, bundle_path, tmp_path):
    process = start(house, bundle_path, "--out", tmp_path / "me.json")
    assert next(prompts(process))
    process.send_signal(signal.SIGINT)
    _, last = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "stopped; no profile is written" in last
    assert "Traceback" not in last
    assert not (tmp_path / "me.json").exists()
