"""What the tests of the device half share: environments for the doctor, a virtual microphone, a browser at the page."""

import io
import json
import os
import shutil
import venv
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import soundfile
from page_attack import RATE, SECRET, state
from page_server import CHROMIUM, CLIP, MAX_SESSIONS, Server, open_page
from raw_client import Client
from stored_recordings import BUNDLE, recording
from virtual_microphone import House, Listener

from edge.bundle import Bundle
from edge.feedback.store import RecordingStore, StoreLimits
from edge.stream.decision import DecisionConfig


@pytest.fixture
def python(tmp_path):
    """`python(*distributions)`: an environment that has these and nothing else, taken from the one the tests run in."""

    def make(*distributions: str) -> Path:
        folder = tmp_path / "environment"
        venv.create(folder, with_pip=False, symlinks=True)
        (site,) = folder.glob("lib/python*/site-packages")
        for name in set(distributions):
            distribution = metadata.distribution(name)
            for top in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
                if not (site / top).exists():
                    (site / top).symlink_to(distribution.locate_file(top))
        return folder / "bin" / "python"

    return make


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


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(
        tmp_path_factory.mktemp("page"),
        "--max-mb", "2", "--max-seconds", "20", "--max-sessions", str(MAX_SESSIONS), "--vad", "energy",
    )  # fmt: skip
    yield server
    if server.process.poll() is None:
        server.stop()
    server.errors.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if CHROMIUM is None:
        pytest.skip("needs chromium (apt-get install chromium)")
    voice = tmp_path_factory.mktemp("voice") / "voice.wav"
    samples, rate = soundfile.read(CLIP)
    soundfile.write(voice, samples, rate, subtype="PCM_16")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",  # a container's root may not have one
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={voice}",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def context(browser):
    """One for the tabs of a file: the scripts of the page, which stores nothing, are read and compiled once."""
    context = browser.new_context(accept_downloads=True)
    yield context
    context.close()


@pytest.fixture
def page(context, server):
    """The open page. Nothing may come from elsewhere, and no error may go unnoticed."""
    page = open_page(context, server)
    yield page
    page.close()


@pytest.fixture
def narrow(context, server):
    """The same on a phone."""
    page = open_page(context, server, width=360, height=740)
    yield page
    page.close()


@pytest.fixture(scope="module")
def uploads(tmp_path_factory) -> Path:
    import soxr

    folder = tmp_path_factory.mktemp("uploads")
    voice, rate = soundfile.read(CLIP)
    fast = soxr.resample(voice, rate, 48000)
    shutil.copy(CLIP, folder / "good.flac")
    soundfile.write(folder / "stereo.wav", np.stack([fast, fast], axis=1)[: 48000 * 8], 48000)
    soundfile.write(folder / "good.mp3", voice, rate)
    soundfile.write(folder / "silent.wav", np.zeros(rate * 2), rate)
    soundfile.write(folder / "long.flac", np.zeros(rate * 30), rate)
    soundfile.write(folder / "huge.wav", np.zeros(rate * 120), rate)
    (folder / "corrupt.wav").write_bytes(b"RIFF, or so it says. " * 40)
    (folder / "corrupt.mp3").write_bytes(b"ID3\x03\0\0\0\0\0\0" + b"\xff\xfb\x90\x64, or so it says. " * 400)
    return folder


@pytest.fixture(scope="module")
def recognizer(bundle_path):
    made = Bundle.open(bundle_path).recognizer("onnx")
    made.decision = DecisionConfig(made.decision.temperature, 0.0)  # a small model is seldom sure
    return made


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """What the user has: recordings of their own, some stored by the loop, links and pipes."""
    home = tmp_path_factory.mktemp("home")
    (home / "diary.txt").write_text(SECRET)
    soundfile.write(home / "private.wav", np.zeros(RATE), RATE)
    (home / "link.wav").symlink_to(home / "private.wav")
    os.link(home / "private.wav", home / "hard.wav")
    os.mkfifo(home / "pipe.wav")
    return home


@pytest.fixture(scope="module")
def store(home) -> RecordingStore:
    folder = RecordingStore(home / "stored")
    for sure in (0.3, 0.4):
        folder.add(recording(sure), BUNDLE, StoreLimits())
    return folder


@pytest.fixture(scope="module")
def attacked(tmp_path_factory, store):
    arguments = ("--max-mb", "1", "--max-seconds", "20", "--max-sessions", "3", "--corrections", str(store.path))
    server = Server(tmp_path_factory.mktemp("page"), *arguments)
    yield server
    if server.process.poll() is None:
        server.stop()
    server.errors.close()


@pytest.fixture(scope="module")
def client(attacked) -> Client:
    return Client(attacked.url)


@pytest.fixture(scope="module")
def beginning() -> bytes:
    """Two seconds of a voice as a WAV file: analysed in a fifth of the time of the whole clip."""
    samples, rate = soundfile.read(CLIP)
    file = io.BytesIO()
    soundfile.write(file, samples[: 2 * rate], rate, format="WAV")
    return file.getvalue()


@pytest.fixture
def unharmed(attacked, home, client, beginning):
    """After every attack: the server lives and works, nothing lies about, nothing was moved, nothing was revealed."""
    before = state(home)
    yield
    assert attacked.process.poll() is None, attacked.said()
    answer = client.ask("POST", "/clip?models=0", beginning)
    assert answer.code == 200
    assert "angry" in json.loads(answer.text)["results"][0]
    assert state(home) == before
    assert [path for path in attacked.left() if path.name != ".lock"] == []
    (folder,) = attacked.temp.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert "Traceback" not in attacked.said()
