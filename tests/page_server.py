"""`python -m edge.page` with an audit hook, and its page in a browser."""

import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from helpers import ROOT

from edge.bundle import PRETRAINED

CLIP = PRETRAINED.parent / "synthetic_voice.flac"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MAX_SESSIONS = 2
PATIENCE = 60_000
"""ms; a busy machine is slow"""

# Records whom the server connects to, before it does.
WATCH = """
import os, sys
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        with open(os.environ["SER_TEST_CALLS"], "a") as file:
            file.write(f"{event} {arguments[1:] if event != 'socket.getaddrinfo' else arguments}\\n")
sys.addaudithook(hook)
"""


class Server:
    """`python -m edge.page` on a free port, with its own folder for temporary files."""

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
            # The neural VAD does not always detect a synthetic voice.
            [sys.executable, "-m", "edge.page", "--port", "0", "--vad", "energy", *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://127.0.0.1:"), self.said()
        assert self.said() == "", "its own machine is no reason for a warning"

    def said(self) -> str:
        self.errors.seek(0)
        return self.errors.read()

    def left(self) -> list[Path]:
        """Uploads that were not deleted."""
        return [path for path in self.temp.rglob("*") if path.is_file()]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def open_page(context, server, **size: int):
    """A new tab; `size` is its width and height."""
    page = context.new_page()
    if size:
        page.set_viewport_size(size)
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
    page.wait_for_selector(f"{place} .ser-clip-clear:visible")


def ask(url: str, data: bytes | None = None, **headers: str) -> tuple[int, str, dict]:
    """Code (0: cut off), text and headers of the answer to a request; `a_b` names the header a-b."""
    request = urllib.request.Request(url, data, {name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), dict(error.headers)
    except urllib.error.URLError as error:
        return 0, str(error.reason), {}
