"""The page in a real Chromium with a real (fake-device) microphone, served where torch cannot be imported."""

import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers import ROOT, one_clear_line

from edge.bundle import PRETRAINED

CLIP = PRETRAINED.parent / "synthetic_voice.flac"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MAX_SESSIONS = 2
PATIENCE = 60_000
"""ms that a busy machine gets for anything"""

pytest.importorskip("gradio", reason="needs the ui extra")

# Whom the server talks to, written down before it does.
WATCH = """
import os, sys
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        with open(os.environ["SER_TEST_CALLS"], "a") as file:
            file.write(f"{event} {arguments[1:] if event != 'socket.getaddrinfo' else arguments}\\n")
sys.addaudithook(hook)
"""


class Server:
    """`python -m edge.app` on a free port, with its own folder for temporary files."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.temp, blocked = folder / "temp", folder / "blocked"
        self.temp.mkdir(parents=True)
        blocked.mkdir()
        for name in ("torch", "torchaudio", "lightning", "librosa"):
            (blocked / f"{name}.py").write_text(f"raise ImportError('{name} is not here')\n")
        (blocked / "sitecustomize.py").write_text(WATCH)
        self.calls = folder / "calls"
        self.calls.touch()
        environment = os.environ | {
            "PYTHONPATH": f"{blocked}:{ROOT}",
            "TMPDIR": str(self.temp),
            "SER_TEST_CALLS": str(self.calls),
        }
        self.errors = (folder / "stderr").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edge.app", "--port", "0", *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://127.0.0.1:"), self.said()

    def said(self) -> str:
        self.errors.seek(0)
        return self.errors.read()

    def left(self) -> list[Path]:
        """Files of people that lie about."""
        return [path for path in self.temp.rglob("*") if path.is_file()]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(
        tmp_path_factory.mktemp("page"),
        "--max-mb", "2", "--max-seconds", "20", "--max-sessions", str(MAX_SESSIONS),
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


@pytest.fixture
def page(browser, server):
    """The open page. Nothing may come from elsewhere, and no error may go unnoticed."""
    context = browser.new_context(accept_downloads=True)
    page = open_page(context, server)
    yield page
    context.close()


def open_page(context, server):
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    asked: list[str] = []
    broken: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("console", lambda line: broken.append(line.text) if "Content Security Policy" in line.text else None)
    page.asked, page.broken = asked, broken
    page.goto(server.url)
    page.wait_for_selector("#recognize")
    return page


def at_home(page, server) -> None:
    assert len(page.asked) > 3
    assert [url for url in page.asked if not url.startswith((server.url, "data:", "blob:"))] == []
    assert page.broken == []


def upload(page, place: str, path: Path) -> None:
    page.set_input_files(f"{place} input[type=file]", path)
    page.wait_for_selector(f"{place} button[aria-label=Clear]")


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
    return folder


@pytest.mark.parametrize("name", ["good.flac", "stereo.wav", "good.mp3"])
def test_good_recordings_are_shown_whole(page, server, uploads, name):
    upload(page, "#clip", uploads / name)
    page.click("#recognize")
    page.wait_for_selector("#result .ser-picture image")
    assert page.inner_text("#result .ser-table tbody tr:first-child .ser-badge") == "angry"
    assert page.locator("#result .ser-bar").count() >= 6
    assert page.locator("#result .ser-hop").count() > 10
    assert page.locator("#result .ser-rest").count() > 10
    assert page.locator("#result .ser-picture path.w").count() == 1
    page.wait_for_function("document.querySelector('#result audio').duration > 7")
    page.wait_for_selector("#clip input[type=file]", state="attached")  # ready for the next
    assert server.left() == [], "deleted once it is heard"
    at_home(page, server)


def test_the_cursor_follows_the_player(page, server, uploads):
    upload(page, "#clip", uploads / "good.flac")
    page.click("#recognize")
    page.wait_for_selector("#result audio")
    page.evaluate("document.querySelector('#result audio').currentTime = 5")
    page.wait_for_function("document.querySelector('#result .ser-cursor').style.visibility === 'visible'")
    assert float(page.get_attribute("#result .ser-cursor", "x1")) > 400


@pytest.mark.parametrize(
    ("name", "said"),
    [("silent.wav", "Nobody spoke"), ("corrupt.wav", "not readable as audio"), ("long.flac", "longer than 20 s")],
)
def test_recordings_without_an_answer_say_why(page, server, uploads, name, said):
    upload(page, "#clip", uploads / name)
    page.click("#recognize")
    page.wait_for_selector(f"#result :text('{said}')")
    if name != "silent.wav":
        line = page.inner_text("#result [role=alert]")
        assert line.startswith(name)
        assert "\n" not in line
    assert "Traceback" not in page.inner_text("body")
    assert server.left() == []


def test_a_huge_file_is_refused(page, server, uploads):
    page.set_input_files("#clip input[type=file]", uploads / "huge.wav")
    page.wait_for_selector(":text('exceed the maximum allowed size')")
    assert server.left() == []


def test_no_recording_is_named(page):
    page.click("#recognize")
    page.wait_for_selector("#result :text('record or upload one first')")


def test_a_recording_made_in_the_browser(page, server):
    page.click("#clip button[aria-label='Record audio']")
    page.click("#clip .record-button")
    page.wait_for_function("/0:0[4-9]/.test(document.querySelector('#clip').innerText)")
    page.click("#clip .stop-button:visible")
    page.wait_for_selector("#clip button[aria-label=Clear]")
    page.wait_for_selector("#clip .record-button", state="detached")
    page.click("#recognize")
    page.wait_for_selector("#result .ser-picture image")
    assert page.locator("#result .ser-rest").count() > 4
    assert server.left() == []
    at_home(page, server)


def start_listening(page) -> None:
    page.click("button[role=tab]:has-text('Live')")
    page.click("#ser-start")


def test_live_listens_to_the_microphone_and_keeps_a_history(page, server):
    start_listening(page)
    page.wait_for_selector("#ser-panel :text('warming up')")
    page.wait_for_function("/angry|happy/.test(document.querySelector('.ser-now').textContent)")
    page.click("button[role=tab]:has-text('Recording')")  # it goes on behind another tab
    page.wait_for_selector("#ser-history tr", state="attached")
    page.click("button[role=tab]:has-text('Live')")
    page.click("#ser-stop")
    page.wait_for_selector("#ser-start:enabled")
    shown = page.locator("#ser-history .ser-badge").all_inner_texts()
    with page.expect_download() as download:
        page.click("#ser-csv")
    rows = list(csv.DictReader(download.value.path().open()))
    assert download.value.suggested_filename == "emotions.csv"
    assert [row["emotion"] or row["verdict"] for row in rows] == shown[::-1]
    assert {"angry", "happy"} & {row["emotion"] for row in rows}
    assert sum(float(rows[0][n]) for n in ("neutral", "happy", "sad", "angry", "fearful", "disgust")) == pytest.approx(
        1, abs=1e-5
    )
    assert server.left() == []
    assert not page.is_visible("#ser-live-error")
    at_home(page, server)


def test_sessions_are_apart_and_bounded(browser, server):
    contexts = [browser.new_context() for _ in range(MAX_SESSIONS + 1)]
    pages = [open_page(context, server) for context in contexts]
    try:
        for page in pages[:MAX_SESSIONS]:
            start_listening(page)
            page.wait_for_selector("#ser-panel .ser-now")
        start_listening(pages[-1])
        line = "#ser-live-error:has-text('2 microphones are being listened to already')"
        pages[-1].wait_for_selector(line)
        pages[0].wait_for_selector("#ser-history tr")
        contexts[0].close()  # a closed tab gives its place back, at once or when it has been silent for long enough
        for _ in range(30):
            pages[-1].click("#ser-start")
            pages[-1].wait_for_selector(f"#ser-panel .ser-now, {line}")
            pages[-1].wait_for_timeout(1000)
            if pages[-1].is_visible("#ser-stop:enabled"):
                break
        assert pages[-1].locator("#ser-panel .ser-now").count() == 1
        assert pages[-1].locator("#ser-history tr").count() == 0, "another's history is not mine"
    finally:
        for context in contexts[1:]:
            context.close()


def test_two_models_hear_one_clip(page, server, uploads):
    page.click("button[role=tab]:has-text('Compare')")
    upload(page, "#both", uploads / "good.flac")
    page.click("#compare")
    for side, model in (("#left", "shipped: int8"), ("#right", "shipped: float32")):
        page.wait_for_selector(f"{side} .ser-picture image")
        assert page.get_attribute(f"{side} .ser-picture", "aria-label") == model
        assert "angry" in page.inner_text(f"{side} .ser-table")
    assert server.left() == []


def ask(url: str, data: bytes | None = None, **headers: str) -> tuple[int, str, dict]:
    request = urllib.request.Request(url, data, {name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), dict(error.headers)
    except urllib.error.URLError as error:
        return 0, str(error.reason), {}


def test_strangers_are_refused_in_one_line(server):
    good = json.dumps({"bundle": "shipped: int8", "rate": 16000}).encode()
    assert ask(f"{server.url}/live", good, Sec_Fetch_Site="cross-site")[0] == 403
    assert ask(server.url, Host="evil.example")[0] == 400
    for data in (b"", b"[]", b'{"bundle": 1}', b'{"bundle": "x", "rate": 16000}', b'{"bundle": "x", "rate": 1e999}'):
        code, text, _ = ask(f"{server.url}/live", data)
        assert code == 400
        assert "\n" not in json.loads(text)["error"]
    assert ask(f"{server.url}/live/nobody", b"")[0] == 400
    assert ask(f"{server.url}/live", bytes(10_000_000))[0] in (400, 0), "an answer, or cut off while still sending"
    key = json.loads(ask(f"{server.url}/live", good)[1])["id"]
    assert ask(f"{server.url}/live/{key}", b"", X_Missing_Seconds="soon")[0] == 400
    assert "half a sample" in ask(f"{server.url}/live/{key}", b"123")[1]
    assert ask(f"{server.url}/live/{key}/end", b"")[0] == 200
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line:  # one that leaves in the middle of an upload
        line.sendall(
            b"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
        )
    headers = ask(server.url)[2]
    assert "default-src 'self'" in headers["content-security-policy"]


def test_the_server_called_nobody_and_leaves_nothing(server):
    """Last: over all that the tests above did."""
    if server.process.poll() is not None:
        pytest.fail(server.said())
    folder = next(server.temp.iterdir())
    assert folder.stat().st_mode & 0o077 == 0, "uploads are nobody else's to read"
    assert server.stop() == 0
    assert list(server.temp.iterdir()) == []
    calls = server.calls.read_text().splitlines()
    assert calls, "the watch is on: binding asks for its own address"
    away = [call for call in calls if not re.search(r"127\.0\.0\.1|::1|localhost", call)]
    assert away == []
    assert "Traceback" not in server.said()


def test_the_command_line_names_what_is_wrong(tmp_path):
    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "edge.app", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    one_clear_line(run(str(tmp_path)), "is not a bundle")
    one_clear_line(run("--max-seconds", "0"), "max_seconds is 0")
    one_clear_line(run("--host", "192.0.2.1"), "192.0.2.1", "give another --host")
    one_clear_line(run("--runtime", "openvino"), "no files for openvino")


def test_what_is_not_installed_is_named():
    code = (
        "import importlib.util as u, sys; find = u.find_spec; "
        "u.find_spec = lambda name, *more: None if name == 'gradio' else find(name, *more); "
        "import edge.app; sys.exit(edge.app.main([]))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    one_clear_line(result, "gradio", "pip install")


def test_another_host_is_served_with_a_warning(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "edge.app", "--port", "0", "--host", "0.0.0.0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline().startswith("http://0.0.0.0:")
    process.terminate()
    lines = process.communicate(timeout=60)[1].strip().splitlines()
    assert len(lines) == 1
    assert "no password" in lines[0]
