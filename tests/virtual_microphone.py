"""A virtual microphone: the monitor of a PulseAudio null sink, a listener at it, and what is played into it."""

import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from processes import PATIENCE, eventually, kill

from edge.audio.events import AudioEvent, AudioEventKind
from edge.audio.microphone import Microphone, MicrophoneConfig

RATE = 16000
IMPATIENT = MicrophoneConfig(stall_seconds=2.0, zeros_seconds=1.0, first_delay_seconds=0.1, max_delay_seconds=0.5)
OPENED, LOST, NOT_FOUND = AudioEventKind.OPENED, AudioEventKind.LOST, AudioEventKind.NOT_FOUND


def needed() -> None:
    """Skip the test module that calls this, with the reason, where no virtual microphone can be made."""
    for package in ("pyaudio", "tenacity"):
        pytest.importorskip(package, reason="needs the mic extra: make test EXTRAS=mic")
    if not shutil.which("pulseaudio"):
        pytest.skip("needs PulseAudio (see .ci/run for the Debian packages)", allow_module_level=True)


class House:
    """A PulseAudio server of our own, the sinks whose monitors are microphones, and the names ALSA gives them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        places = dict.fromkeys(("XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH", "HOME", "XDG_CONFIG_HOME"), str(folder))
        self.environment = os.environ | places
        (folder / "pulse").mkdir()
        (folder / "pulse" / "client.conf").write_text("autospawn = no\n")  # a server that we killed stays dead
        self.server: subprocess.Popen | None = None

    def start(self, rate: int = RATE, channels: int = 1) -> None:
        modules = ["-L", "module-native-protocol-unix"]
        command = ["pulseaudio", "-n", "--exit-idle-time=-1", "--log-level=error", *modules]
        self.server = subprocess.Popen(command, env=self.environment, stderr=subprocess.DEVNULL)
        eventually(lambda: self.pactl("info", check=False).returncode == 0, "PulseAudio starts", self.server)
        self.plug(rate, channels)

    def stop(self) -> None:
        if self.server is not None:
            kill(self.server)
            self.server = None

    def plug(self, rate: int = RATE, channels: int = 1) -> None:
        sink = ["sink_name=speaker", f"rate={rate}", f"channels={channels}", "norewinds=1"]
        self.pactl("load-module", "module-null-sink", *sink)
        self.pactl("set-default-source", "speaker.monitor")

    def unplug(self) -> None:
        self.pactl("unload-module", "module-null-sink")

    def name(self, *names: str) -> None:
        """The ALSA devices there are besides "pulse" and "default"; all of them are the one microphone."""
        entries = [f'pcm.{name} {{ type pulse device "speaker.monitor" hint {{ show on }} }}\n' for name in names]
        (self.folder / ".asoundrc").write_text("".join(entries))

    def pactl(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        return subprocess.run(["pactl", *arguments], env=self.environment, capture_output=True, check=check)

    def play(self, samples: np.ndarray, rate: int = RATE) -> subprocess.Popen:
        """Play `samples (time,)` or `(time, channels)` into the microphone, without waiting for the end."""
        path = self.folder / "played.wav"
        soundfile.write(path, samples, rate, subtype="PCM_16")
        return subprocess.Popen(["paplay", "--device=speaker", str(path)], env=self.environment)


class Listener:
    """Collects everything a microphone yields, and fails where what is waited for never comes."""

    def __init__(self, device: str | None = "pulse", config: MicrophoneConfig = IMPATIENT) -> None:
        self.waits = 0  # how often the microphone has said that it waits
        self.microphone = Microphone(RATE, device, config, waiting=self._waited)
        self.items: list[np.ndarray | AudioEvent] = []
        self.iterator = iter(self.microphone)

    def _waited(self) -> None:
        self.waits += 1

    def until(self, wanted: Callable[[np.ndarray | AudioEvent], bool]) -> np.ndarray | AudioEvent:
        timer = threading.Timer(PATIENCE, self.microphone.close)
        timer.start()
        try:
            for item in self.iterator:
                self.items.append(item)
                if wanted(item):
                    return item
        finally:
            timer.cancel()
        raise AssertionError(f"never came; events: {[item for item in self.items if isinstance(item, AudioEvent)]}")

    def event(self, kind: AudioEventKind) -> AudioEvent:
        return self.until(lambda item: isinstance(item, AudioEvent) and item.kind is kind)

    def listen(self, seconds: float) -> np.ndarray:
        """The next samples, so many or a few more."""
        begin = len(self.items)
        self.until(lambda _: len(samples_of(self.items[begin:])) >= seconds * RATE)
        return samples_of(self.items[begin:])

    def close(self) -> None:
        self.microphone.close()
        self.iterator.close()


def samples_of(items: list) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *(item for item in items if isinstance(item, np.ndarray))])


def chirp(seconds: float) -> np.ndarray:
    at = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * (200 + 1500 * at) * at)).astype(np.float32)


def place(part: np.ndarray, whole: np.ndarray) -> tuple[int, float]:
    """Where `part` is in `whole`, samples, and how well it fits there, correlation."""
    size = 1 << (len(part) + len(whole)).bit_length()
    similarity = np.fft.irfft(np.fft.rfft(whole, size) * np.fft.rfft(part, size).conj(), size)
    at = int(np.argmax(similarity[: len(whole) - len(part) + 1]))
    return at, float(np.corrcoef(whole[at : at + len(part)], part)[0, 1])


def capture_processes(parent: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(parent), "-f", "edge.audio.capture"], capture_output=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def captured_well(listener: Listener, house: House, seconds: float = 1.0) -> None:
    """What is played now is what is captured."""
    played = chirp(seconds)
    begin = len(listener.items)
    player = house.play(played)
    listener.until(lambda _: player.poll() is not None)
    listener.listen(1.0)
    assert place(played, samples_of(listener.items[begin:]))[1] > 0.99
