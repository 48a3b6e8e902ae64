"""The pictures in docs/page.md: every tab of the real page in a real Chromium, with the shipped clip.

python -m benchmarks.harness.page_pictures        needs the ui extra, playwright and chromium
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import soundfile

from crnn.cli.command import command
from crnn.errors import require
from edge.bundle import PRETRAINED

if TYPE_CHECKING:
    from playwright.sync_api import Page

CLIP = PRETRAINED.parent / "synthetic_voice.flac"
OUT = Path(__file__).resolve().parents[2] / "docs" / "images"
SIZE = {"width": 1100, "height": 700}
PATIENCE = 60_000
"""ms; a busy machine is slow"""


def recording(page: "Page") -> None:
    page.set_input_files("#clip input[type=file]", CLIP)
    page.click("#recognize")
    page.wait_for_selector("#result .ser-picture image")


def live(page: "Page") -> None:
    page.click("button[role=tab]:has-text('Live')")
    page.click("#ser-start")
    page.wait_for_selector("#ser-history tr:nth-child(3)")
    page.wait_for_function("/neutral|happy|sad|angry/.test(document.querySelector('.ser-now').textContent)")


def compare(page: "Page") -> None:
    page.click("button[role=tab]:has-text('Compare')")
    page.set_input_files("#both input[type=file]", CLIP)
    page.click("#compare")
    page.wait_for_selector("#right .ser-picture image")


def correct(page: "Page") -> None:
    page.click("button[role=tab]:has-text('Correct')")
    page.wait_for_selector("#ser-recordings tr:nth-child(3)")
    page.select_option("#ser-recordings tr:nth-child(3) select", "happy")
    page.wait_for_selector("#ser-correct-note:has-text('1 corrected')")


PICTURES = (recording, live, compare, correct)
"""What each picture shows, by its function's name"""


def stored_by_the_loop(folder: Path) -> Path:
    """A folder with the recordings that the loop stores of the clip and of two parts of it."""
    stored = folder / "stored"
    samples, rate = soundfile.read(CLIP)
    for number, seconds in enumerate((4.0, 5.5, len(samples) / rate)):
        part = folder / f"part{number}.wav"
        soundfile.write(part, samples[: round(seconds * rate)], rate, subtype="PCM_16")
        command = [sys.executable, "stream_infer.py", part, "--vad", "energy", "--keep-unsure", stored]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return stored


@command
def main(argv: list[str] | None = None) -> int:
    argparse.ArgumentParser(description=__doc__.split("\n\n")[0]).parse_args(argv)
    require(find_spec("playwright") is not None, "playwright is not installed: pip install playwright")
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder:
        voice = Path(folder) / "voice.wav"
        samples, rate = soundfile.read(CLIP)
        soundfile.write(voice, samples, rate, subtype="PCM_16")
        command = [
            sys.executable,
            "-m",
            "edge.page",
            "--port",
            "0",
            "--vad",
            "energy",
            "--corrections",
            stored_by_the_loop(Path(folder)),
        ]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            url = server.stdout.readline().strip()
            with sync_playwright() as driver:
                browser = driver.chromium.launch(
                    executable_path=shutil.which("chromium"),
                    args=[
                        "--no-sandbox",
                        "--use-fake-ui-for-media-stream",
                        "--use-fake-device-for-media-stream",
                        f"--use-file-for-fake-audio-capture={voice}",
                    ],
                )
                context = browser.new_context(viewport=SIZE)  # one, which compiles the page's scripts once
                for shown in PICTURES:
                    page = context.new_page()
                    page.set_default_timeout(PATIENCE)
                    page.goto(url)
                    page.wait_for_selector("#recognize")
                    shown(page)
                    page.wait_for_timeout(300)  # for Gradio's fading
                    page.screenshot(path=OUT / f"page-{shown.__name__}.png", full_page=True)
                    page.close()
                browser.close()
        finally:
            server.terminate()
            server.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
