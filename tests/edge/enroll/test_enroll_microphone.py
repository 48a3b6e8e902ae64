"""The guided session at a real PyAudio device gives a profile; Ctrl-C leaves none."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import virtual_microphone
from helpers import ROOT
from virtual_microphone import PATIENCE, House

from edge.enroll.session import LEVEL_CHECK, SENTENCES

virtual_microphone.needed()


@pytest.fixture
def house(tmp_path) -> Iterator[House]:
    made = House(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def start(house: House, *arguments) -> subprocess.Popen:
    # The energy VAD, because the neural one does not detect the SYNTHETIC voices.
    options = ["--vad", "energy", "--device", "pulse", "--json"]
    command = [sys.executable, "-m", "edge.enroll", *map(str, arguments), *options]
    return subprocess.Popen(
        command, cwd=ROOT, env=house.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def lines(process: subprocess.Popen) -> Iterator[str]:
    """The lines shown to the person."""
    timer = threading.Timer(3 * PATIENCE, process.kill)
    timer.start()
    try:
        yield from (line.rstrip("\n") for line in process.stderr)
    finally:
        timer.cancel()


def is_prompt(line: str) -> bool:
    """The prompt in quotation marks."""
    return line.startswith('    "')


def test_a_session_at_a_microphone(house, bundle_path, voices, tmp_path):
    waveform, rate = soundfile.read(next(voices.glob("Actor_01/03-01-01-*")), dtype="float32")
    said = np.concatenate([waveform, np.zeros(rate // 2, np.float32)])
    out: Path = tmp_path / "me.json"
    process = start(house, bundle_path, "--out", out, "--takes", "2")
    shown, player = [], None
    for line in lines(process):
        shown.append(line)
        if is_prompt(line):
            if player is not None:
                player.wait(PATIENCE)
            player = house.play(said)
    assert process.wait(PATIENCE) == 0, shown
    # On a busy machine the player drops samples; the session then rejects the sentence and asks again.
    again = [line for before, line in pairwise(shown) if is_prompt(line) and before.startswith(("Sorry", "Nothing"))]
    asked = [line for line in shown if is_prompt(line)]
    assert len(again) < len(SENTENCES[:2]), shown
    for line in again:
        asked.remove(line)
    assert asked == [f'    "{words}"' for words in (LEVEL_CHECK, *SENTENCES[:2])], shown
    report = json.loads(process.stdout.read())
    assert report["sentences"] == {"neutral": 2}
    assert json.loads(out.read_text())["bundle"] == report["bundle"]
    assert not list(tmp_path.glob("neutral*")), "no audio is stored"


def test_ctrl_c_leaves_no_profile(house, bundle_path, tmp_path):
    process = start(house, bundle_path, "--out", tmp_path / "me.json")
    assert any(is_prompt(line) for line in lines(process))
    process.send_signal(signal.SIGINT)
    _, last = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "no profile" in last
    assert "Traceback" not in last
    assert not (tmp_path / "me.json").exists()
