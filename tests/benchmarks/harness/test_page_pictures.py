"""The pictures of docs/page.md: each is made of the page itself, with its result in it."""

import pytest
from helpers import ROOT, needs
from page_server import CHROMIUM

from benchmarks.harness import page_pictures
from edge.feedback.store import RecordingStore

needs("gradio", reason="needs the ui extra: make test EXTRAS=ui")
needs("playwright", reason="needs playwright: pip install playwright")
if CHROMIUM is None:
    pytest.skip("needs chromium", allow_module_level=True)


def test_each_picture_is_a_screenshot_of_the_page_with_recordings_to_correct(tmp_path, monkeypatch):
    scans, stored_by_the_loop = [], page_pictures.stored_by_the_loop

    def scanned(folder):
        stored = stored_by_the_loop(folder)
        scans.append(RecordingStore(stored).scan())
        return stored

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(page_pictures, "OUT", tmp_path)
    monkeypatch.setattr(page_pictures, "stored_by_the_loop", scanned)
    assert page_pictures.main([]) == 0
    ((recordings, foreign),) = scans
    assert len(recordings) >= 2 and not foreign
    assert {path.name for path in tmp_path.iterdir()} == {
        f"page-{name}.png" for name in ("recording", "live", "compare", "correct")
    }
    documented = (ROOT / "docs" / "page.md").read_text(encoding="utf-8")
    for path in tmp_path.iterdir():
        data = path.read_bytes()
        assert data.startswith(b"\x89PNG")
        width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
        assert width == page_pictures.SIZE["width"] and height >= page_pictures.SIZE["height"]
        assert f"images/{path.name}" in documented
