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


def test_the_loop_stores_recordings_to_correct(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    recordings, foreign = RecordingStore(page_pictures.stored_by_the_loop(tmp_path)).scan()
    assert len(recordings) >= 2 and not foreign


def test_each_picture_is_a_screenshot_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(page_pictures, "OUT", tmp_path)
    assert page_pictures.main([]) == 0
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
