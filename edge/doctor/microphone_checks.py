"""Checks of PyAudio, PortAudio, the microphones, and the right to use them."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path

from crnn.cli.installed import install
from edge.doctor.child import python
from edge.doctor.finding import Finding, State

LIST_DEVICES = """
import dataclasses, json
from edge.audio.microphone import list_devices
print(json.dumps([dataclasses.asdict(device) for device in list_devices()]))
"""


def check_microphone(root: Path = Path("/")) -> tuple[list[Finding], list[dict]]:
    """PyAudio, PortAudio, their input devices, and the right to open them (device nodes below `root`)."""
    found, devices = [], []
    loaded = python("-c", "import pyaudio")
    if loaded.code == 0:
        listed = python("-c", LIST_DEVICES)
        if listed.code == 0:
            devices = json.loads(listed.stdout.splitlines()[-1])
        else:
            cure = "listen to the input with `arecord -d 3 test.wav`; if that fails too, the sound system is at fault"
            found.append(Finding("microphone", State.PROBLEM, listed.how, cure))
    elif "portaudio" in loaded.stderr:
        missing = f"PortAudio is missing: {loaded.how}"
        found.append(Finding("microphone", State.PROBLEM, missing, "sudo apt install libportaudio2"))
    elif not find_spec("pyaudio"):
        cure = f"sudo apt install portaudio19-dev python3-dev gcc, then {install('mic')}"
        found.append(Finding("microphone", State.PROBLEM, "PyAudio is not installed", cure))
    else:
        cure = "pip install --force-reinstall --no-binary :all: pyaudio"
        found.append(Finding("microphone", State.PROBLEM, f"PyAudio does not load: {loaded.how}", cure))

    nodes = sorted((root / "dev/snd").glob("pcmC*D*c"))
    if devices:
        names = "; ".join(f"{d['index']}: {d['name']}{' (default)' if d['default'] else ''}" for d in devices)
        found.append(Finding("microphone", State.OK, names))
    elif nodes and not any(os.access(node, os.R_OK | os.W_OK) for node in nodes):
        what = f"this user may not open {nodes[0]}: not in the audio group"
        found.append(Finding("audio group", State.PROBLEM, what, "sudo usermod -aG audio $USER, then log in again"))
    elif not found:
        cure = "connect a microphone (USB or HAT); `arecord -l` must list it. Not needed here? --no-mic"
        found.append(Finding("microphone", State.PROBLEM, "no input device", cure))
    return found, devices
