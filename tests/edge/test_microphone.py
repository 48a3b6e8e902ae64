"""A real PyAudio capture from a virtual microphone (PulseAudio's null sink), at its own rate."""

import os
import shutil
import subprocess
import time

import numpy as np
import pytest
import soundfile

from crnn.config import InputError
from edge import sources

pytest.importorskip("pyaudio", reason="needs the mic extra: make test EXTRAS=mic")
if not shutil.which("pulseaudio"):
    pytest.skip("needs PulseAudio (see .ci/run for the Debian packages)", allow_module_level=True)


@pytest.fixture(params=[(16000, 1), (48000, 2)], ids=["16 kHz mono", "48 kHz stereo"])
def speaker(request, tmp_path_factory):
    """A PulseAudio server of our own with one sink whose monitor is the default source."""
    rate, channels = request.param
    folder = tmp_path_factory.mktemp("pulse")
    environment = os.environ | {"XDG_RUNTIME_DIR": str(folder), "PULSE_RUNTIME_PATH": str(folder), "HOME": str(folder)}
    sink = f"module-null-sink sink_name=speaker rate={rate} channels={channels} norewinds=1"
    server = subprocess.Popen(
        [
            "pulseaudio",
            "-n",
            "--exit-idle-time=-1",
            "--log-level=error",
            "-L",
            "module-native-protocol-unix",
            "-L",
            sink,
        ],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            ready = subprocess.run(
                ["pactl", "set-default-source", "speaker.monitor"], env=environment, capture_output=True, check=False
            )
            if ready.returncode == 0:
                break
            time.sleep(0.1)
        else:
            raise AssertionError(f"PulseAudio did not start: {ready.stderr.decode()}")
        yield environment
    finally:
        server.terminate()
        server.wait()


def test_records_what_is_played(speaker, tmp_path, monkeypatch):
    for name in ("XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH", "HOME"):
        monkeypatch.setenv(name, speaker[name])
    time_axis = np.arange(2 * 16000) / 16000
    played = (0.3 * np.sin(2 * np.pi * (200 + 300 * time_axis) * time_axis)).astype(np.float32)
    soundfile.write(tmp_path / "chirp.wav", played, 16000)
    audio = sources.from_microphone(16000, "pulse")
    heard = [next(audio)]
    player = subprocess.Popen(["paplay", "--device=speaker", str(tmp_path / "chirp.wav")], env=speaker)
    while sum(map(len, heard)) < 4.5 * 16000:
        heard.append(next(audio))
    player.wait()
    audio.close()
    recorded = np.concatenate(heard)
    assert recorded.dtype == np.float32
    similarity = np.correlate(recorded, played, mode="valid")
    at = int(np.argmax(np.abs(similarity)))
    assert np.corrcoef(recorded[at : at + len(played)], played)[0, 1] > 0.99


def test_unknown_device_names_those_there_are(speaker, monkeypatch):
    for name in ("XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH", "HOME"):
        monkeypatch.setenv(name, speaker[name])
    with pytest.raises(InputError, match="no input device 'telephone'; there are: .*pulse"):
        next(sources.from_microphone(16000, "telephone"))
