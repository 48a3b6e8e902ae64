"""Real PyAudio captures from a virtual microphone (the monitor of a PulseAudio null sink), and every fault for real."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers import ROOT

from crnn.config import InputError
from edge.events import AudioEvent, AudioEventKind
from edge.microphone import Microphone, MicrophoneConfig, list_devices

pytest.importorskip("pyaudio", reason="needs the mic extra: make test EXTRAS=mic")
pytest.importorskip("tenacity", reason="needs the mic extra: make test EXTRAS=mic")
if not shutil.which("pulseaudio"):
    pytest.skip("needs PulseAudio (see .ci/run for the Debian packages)", allow_module_level=True)

RATE = 16000
PATIENCE = 60.0  # s until something counts as never happening: the machine may be busy
IMPATIENT = MicrophoneConfig(stall_seconds=2.0, zeros_seconds=1.0, first_delay_seconds=0.1, max_delay_seconds=0.5)
OPENED, LOST, NOT_FOUND = AudioEventKind.OPENED, AudioEventKind.LOST, AudioEventKind.NOT_FOUND


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
        eventually(lambda: self.pactl("info", check=False).returncode == 0, "PulseAudio does not start")
        self.plug(rate, channels)

    def stop(self) -> None:
        if self.server is not None:
            self.server.send_signal(signal.SIGCONT)
            self.server.kill()
            self.server.wait()
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
    """Keeps everything a microphone yields, and fails where what is waited for never comes."""

    def __init__(self, device: str | None = "pulse", config: MicrophoneConfig = IMPATIENT) -> None:
        self.microphone = Microphone(RATE, device, config)
        self.items: list[np.ndarray | AudioEvent] = []
        self.iterator = iter(self.microphone)

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

    def hear(self, seconds: float) -> np.ndarray:
        """The next samples, so many or a few more."""
        begin = len(self.items)
        self.until(lambda _: len(samples_of(self.items[begin:])) >= seconds * RATE)
        return samples_of(self.items[begin:])

    def close(self) -> None:
        self.microphone.close()
        self.iterator.close()


def samples_of(items: list) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *(item for item in items if isinstance(item, np.ndarray))])


def eventually(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


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
    found = subprocess.run(["pgrep", "-P", str(parent), "-f", "edge.capture"], capture_output=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def house(tmp_path, monkeypatch):
    house = House(tmp_path)
    for name in ("XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH", "HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, house.environment[name])
    yield house
    house.stop()


@pytest.fixture
def listen(house):
    """Listeners that end before the server does."""
    listeners = []

    def start(*arguments) -> Listener:
        listeners.append(Listener(*arguments))
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.close()


def heard_well(listener: Listener, house: House, seconds: float = 1.0) -> None:
    """What is played now is what is captured."""
    played = chirp(seconds)
    begin = len(listener.items)
    player = house.play(played)
    listener.until(lambda _: player.poll() is not None)
    listener.hear(1.0)
    assert place(played, samples_of(listener.items[begin:]))[1] > 0.99


@pytest.mark.parametrize("channels", [1, 2], ids=["mono", "stereo"])
@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_captures_what_is_played(house, listen, rate, channels):
    house.start(rate, channels)
    listener = listen()
    assert listener.event(OPENED).gap_seconds == 0
    parts = [chirp(1.0), 0.5 * chirp(1.0)[::-1]][:channels]
    player = house.play(np.stack(parts, axis=1))
    listener.until(lambda _: player.poll() is not None)
    listener.hear(1.0)
    heard = samples_of(listener.items)
    assert heard.dtype == np.float32
    expected = np.mean(parts, axis=0)
    at, fit = place(expected, heard)
    assert fit > 0.99
    assert np.std(heard[at : at + RATE]) == pytest.approx(np.std(expected), rel=0.05)


def test_devices_are_listed(house):
    house.name("kitchen")
    house.start()
    devices = list_devices()
    assert {"pulse", "kitchen"} <= {device.name for device in devices}
    assert sum(device.default for device in devices) == 1
    assert len({device.index for device in devices}) == len(devices)
    assert all(device.rate >= 8000 and device.channels >= 1 for device in devices)


def test_an_unknown_device_is_refused_at_once(house, listen):
    house.start()
    with pytest.raises(InputError, match="no input device 'telephone'; there are: .*pulse"):
        listen("telephone").event(OPENED)


def test_no_device_at_all_is_refused_at_once(listen):
    with pytest.raises(InputError, match="no microphone found"):
        listen(None).event(OPENED)


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    (tmp_path / "pyaudio.py").write_text("raise ImportError('not here')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="needs PyAudio: pip install"):
        next(iter(Microphone(RATE)))
    with pytest.raises(InputError, match="needs PyAudio: pip install"):
        list_devices()


def test_a_device_that_cannot_be_opened_yet_is_tried_again(house, listen):
    house.name("kitchen")
    house.start()
    house.unplug()
    listener = listen("kitchen")
    for _ in range(3):
        assert "kitchen" in listener.event(NOT_FOUND).message
    house.plug()
    assert listener.event(OPENED).gap_seconds == 0
    heard_well(listener, house)


def test_tries_end_where_a_limit_was_given(house, listen):
    house.name("kitchen")
    house.start()
    house.unplug()
    listener = listen("kitchen", MicrophoneConfig(retries=2, first_delay_seconds=0.1, stall_seconds=2.0))
    with pytest.raises(InputError, match="given up after 3 tries: kitchen"):
        listener.event(OPENED)
    assert [item.kind for item in listener.items] == [NOT_FOUND] * 3


def test_an_unplugged_device_comes_back_under_another_index(house, listen):
    house.name("kitchen")
    house.start()
    before = next(device.index for device in list_devices() if device.name == "kitchen")
    began = time.monotonic()
    listener = listen(str(before))
    listener.event(OPENED)
    listener.hear(0.5)
    house.name()
    house.unplug()
    unplugged = time.monotonic()
    assert listener.event(LOST).gap_seconds == 0
    assert listener.event(NOT_FOUND).message == "kitchen is not connected"
    house.name("attic", "cellar", "kitchen")
    assert next(device.index for device in list_devices() if device.name == "kitchen") != before
    plugged = time.monotonic()
    house.plug()
    opened = listener.event(OPENED)
    assert opened.message.startswith("kitchen")
    audio = len(samples_of(listener.items)) / RATE + opened.gap_seconds
    assert plugged - unplugged <= opened.gap_seconds
    assert audio <= time.monotonic() - began  # no audio is counted twice
    heard_well(listener, house)


def test_a_server_that_dies_comes_back(house, listen):
    house.start()
    listener = listen()
    listener.event(OPENED)
    listener.hear(0.5)
    house.stop()
    died = time.monotonic()
    listener.event(LOST)
    assert listener.event(NOT_FOUND).message == "pulse is not connected"
    restarted = time.monotonic()
    house.start(48000, 2)
    assert listener.event(OPENED).gap_seconds >= restarted - died
    heard_well(listener, house)


def test_a_server_that_hangs_is_a_stall(house, listen):
    house.start()
    listener = listen()
    listener.event(OPENED)
    listener.hear(0.5)
    house.server.send_signal(signal.SIGSTOP)
    assert listener.event(LOST).message == "pulse: no samples for 2 s"
    with pytest.raises(InputError, match="the audio system does not answer within 1 s"):
        list_devices(timeout=1.0)
    house.server.send_signal(signal.SIGCONT)
    assert listener.event(OPENED).gap_seconds > IMPATIENT.stall_seconds
    heard_well(listener, house)


def test_a_suspended_device_is_a_stall(house, listen):
    house.start()
    listener = listen()
    listener.event(OPENED)
    house.pactl("suspend-sink", "speaker", "1")
    assert listener.event(LOST).message == "pulse: no samples for 2 s"
    assert listener.event(NOT_FOUND).message == "pulse: no samples for 2 s"
    house.pactl("suspend-sink", "speaker", "0")
    assert listener.event(OPENED).gap_seconds > 2 * IMPATIENT.stall_seconds
    heard_well(listener, house)


def test_a_capture_process_that_dies_is_replaced(house, listen):
    house.start()
    listener = listen()
    listener.event(OPENED)
    (pid,) = capture_processes(os.getpid())
    os.kill(pid, signal.SIGSEGV)
    assert "SIGSEGV" in listener.event(LOST).message
    listener.event(OPENED)
    heard_well(listener, house)


def test_zeros_are_told(house, listen):
    house.start()
    listener = listen()
    listener.event(OPENED)
    listener.event(AudioEventKind.ZEROS)
    player = house.play(chirp(2.0))
    listener.event(AudioEventKind.RECOVERED)
    listener.until(lambda _: player.poll() is not None)
    listener.event(AudioEventKind.ZEROS)


def test_clipping_is_told(house, listen):
    house.start()
    listener = listen()
    listener.event(OPENED)
    square = np.sign(np.sin(2 * np.pi * 200 * np.arange(4 * RATE) / RATE))
    player = house.play(square)
    assert "full scale" in listener.event(AudioEventKind.CLIPPED).message
    listener.until(lambda item: isinstance(item, AudioEvent) and "clipped" in item.message)
    player.wait()


def test_a_late_consumer_is_told_how_much_it_missed(house, listen):
    house.start()
    listener = listen("pulse", MicrophoneConfig(ring_seconds=1.0))
    listener.event(OPENED)
    played = np.random.default_rng(0).uniform(-0.5, 0.5, 12 * RATE).astype(np.float32)
    player = house.play(played)
    listener.until(lambda item: isinstance(item, np.ndarray) and item.any())
    listener.hear(1.0)
    time.sleep(4.0)
    overrun = listener.event(AudioEventKind.OVERRUN)
    assert overrun.gap_seconds > 1.0
    before = samples_of(listener.items)[-RATE // 2 :]
    after = listener.hear(0.5)[: RATE // 2]
    player.kill()
    player.wait()
    (start, fit), (end, fit_after) = place(before, played), place(after, played)
    assert min(fit, fit_after) > 0.9
    missing = end - (start + len(before))
    assert overrun.gap_seconds * RATE == pytest.approx(missing, abs=0.02 * RATE)  # a hop has 0.28 s


@pytest.mark.parametrize("state", ["listening", "trying", "hanging"])
def test_closing_from_another_thread_ends_the_iteration(house, listen, state):
    house.start()
    listener = listen("pulse", MicrophoneConfig(stall_seconds=1000, open_seconds=1000, first_delay_seconds=1000,
                                                max_delay_seconds=1000))  # fmt: skip
    listener.event(OPENED)
    if state == "trying":
        house.stop()
        listener.event(NOT_FOUND)
    if state == "hanging":
        house.server.send_signal(signal.SIGSTOP)
    closer = threading.Timer(0.5, listener.microphone.close)
    closer.start()
    for item in listener.iterator:  # ends; without close() it would not
        assert isinstance(item, np.ndarray)
    closer.join()
    assert capture_processes(os.getpid()) == []
    assert list(listener.microphone) == []


def test_a_signal_handler_may_close(house):
    house.start()
    with Microphone(RATE, "pulse") as microphone:
        previous = signal.signal(signal.SIGALRM, lambda *_: microphone.close())
        try:
            signal.setitimer(signal.ITIMER_REAL, 1.0)
            assert [item.kind for item in microphone if isinstance(item, AudioEvent)] in ([], [OPENED])
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)


@pytest.mark.parametrize("state", ["listening", "trying", "hanging"])
def test_ctrl_c_ends_the_script(house, state):
    house.start()
    script = [sys.executable, str(ROOT / "stream_infer.py"), "--mic", "--device", "pulse"]
    process = subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    timer = threading.Timer(PATIENCE, process.kill)
    timer.start()
    try:
        said = process.stdout.readline()
        processes = capture_processes(process.pid)
        assert len(processes) == 1
        if state == "trying":
            house.stop()
            while "not found" not in said:
                said += process.stdout.readline()
        if state == "hanging":
            house.server.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        said += "".join(process.communicate())
    finally:
        timer.cancel()
        process.kill()
        process.wait()
    assert process.returncode == 0, said
    assert "opened: pulse" in said
    assert "stopped" in said
    assert "ALSA" not in said
    assert "Traceback" not in said
    assert all(gone(pid) for pid in processes)


def test_no_capture_process_outlives_its_listener(house):
    house.start()
    code = (
        f"from edge.microphone import Microphone\nfor item in Microphone({RATE}, 'pulse'): print('heard', flush=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "heard\n"
        (pid,) = capture_processes(process.pid)
    finally:
        process.kill()
        process.communicate()
    eventually(lambda: gone(pid), "the capture process goes on")


def test_memory_does_not_grow(house, listen):
    house.start()
    listener = listen("pulse", IMPATIENT)
    listener.event(OPENED)
    (pid,) = capture_processes(os.getpid())

    def resident_kb() -> int:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024

    listener.hear(1.0)
    before = resident_kb()
    listener.hear(3.0)
    assert resident_kb() - before < 1024


@pytest.mark.parametrize(
    "values",
    [{"stall_seconds": 0}, {"clip_share": 1.5}, {"max_delay_seconds": 0.1}, {"retries": -1}, {"ring_seconds": -1}],
)
def test_settings_out_of_range_are_named(values):
    with pytest.raises(InputError, match=f"microphone.{next(iter(values))} is {next(iter(values.values()))}"):
        MicrophoneConfig(**values)
