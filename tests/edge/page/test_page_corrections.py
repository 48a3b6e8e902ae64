"""The Correct tab in Chromium: plays, corrects and deletes stored recordings; requests from elsewhere are refused."""

import json
import subprocess
import sys
import urllib.request
from dataclasses import replace

import pytest
from helpers import ROOT, needs, one_clear_line
from page_server import Server, ask, at_home
from stored_recordings import BUNDLE, recording

from edge.feedback.store import RecordingStore, StoreLimits
from edge.stream.results import Segment, Verdict

needs("gradio", reason="needs the ui extra")

LABELS = ("neutral", "happy", "sad", "angry", "fearful", "disgust")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("home") / "stored"


@pytest.fixture
def folder(place) -> RecordingStore:
    """Three recordings to correct, the least sure 0.3."""
    folder = RecordingStore(place)
    for path in sorted(place.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    for sure in (0.5, 0.3, 0.4):
        probs = dict.fromkeys(LABELS, (1 - sure) / 5) | {"angry": sure}
        made = recording(sure)
        verdict = Verdict.UNCERTAIN if sure < 0.35 else None
        segment = Segment(0.0, 0.5, None if verdict else "angry", verdict, sure, probs)
        folder.add(replace(made, segment=segment), BUNDLE, StoreLimits())
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory, place):
    RecordingStore(place)
    server = Server(tmp_path_factory.mktemp("page"), "--corrections", str(place))
    yield server
    if server.process.poll() is None:
        server.stop()
    server.errors.close()


@pytest.fixture
def tab(folder, page, server):
    page.click("button[role=tab]:has-text('Correct')")
    page.wait_for_selector("#ser-recordings tr:nth-child(3)")
    yield page
    at_home(page, server)


def row_of(page, number: int) -> str:
    return f"#ser-recordings tr:nth-child({number})"


def test_the_least_sure_is_listed_first_and_can_be_played(tab, folder):
    stored = sorted(folder.scan()[0], key=lambda item: item.sure)
    shown = tab.eval_on_selector_all("#ser-recordings tr", "rows => rows.map(row => row.dataset.name)")
    assert shown == [item.name for item in stored]
    assert tab.inner_text(f"{row_of(tab, 1)} .ser-badge") == "uncertain"
    assert tab.inner_text(f"{row_of(tab, 2)} .ser-badge") == "angry"
    assert tab.locator(f"{row_of(tab, 1)} .ser-bar").count() == len(LABELS)
    assert "3 to correct, 0 corrected" in tab.inner_text("#ser-correct-note")
    player = f"{row_of(tab, 1)} audio"
    tab.eval_on_selector(player, "audio => audio.load() || audio.play()")
    tab.wait_for_function(f"Math.abs(document.querySelector('{player}').duration - 0.5) < 0.01")


def test_on_a_narrow_screen_the_tab_is_in_the_menu_and_fits(folder, narrow):
    narrow.click("button[aria-label='More tabs']")
    narrow.click(".overflow-menu button:has-text('Correct')")
    narrow.wait_for_selector("#ser-recordings tr:nth-child(3)")
    assert "These recordings are stored" in narrow.inner_text("body")
    assert "not stored" not in narrow.inner_text("body")
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 360
    for box in narrow.locator(
        "#ser-recordings audio, #ser-recordings button, #ser-recordings select, #ser-recordings .ser-bar"
    ).all():
        place = box.bounding_box()
        assert 0 <= place["x"] <= place["x"] + place["width"] <= 360


def test_a_choice_corrects_and_another_changes_it(tab, folder):
    name = tab.get_attribute(row_of(tab, 1), "data-name")
    tab.fill("#ser-speaker", "anna")
    tab.select_option(f"{row_of(tab, 1)} select", "sad")
    tab.wait_for_selector("#ser-correct-note:has-text('2 to correct, 1 corrected (1 sad)')")
    assert (folder.path / "corrected" / "sad" / f"anna_{name}.wav").is_file()
    assert not list(folder.path.glob(f"{name}*"))
    row = f"#ser-recordings tr[data-name='{name}']"
    assert "corrected: sad" in tab.inner_text(row)
    tab.fill("#ser-speaker", "ben")
    tab.select_option(f"{row} select", "happy")
    tab.wait_for_selector("#ser-correct-note:has-text('1 corrected (1 happy)')")
    assert [(c.emotion, c.speaker) for c in folder.corrected()] == [("happy", "anna")], (
        "the speaker of a corrected recording does not change"
    )


def test_delete_removes_the_recording(tab, folder):
    name = tab.get_attribute(row_of(tab, 2), "data-name")
    tab.click(f"{row_of(tab, 2)} .ser-delete")
    tab.wait_for_selector("#ser-correct-note:has-text('2 to correct, 0 corrected')")
    assert not list(folder.path.rglob(f"*{name}*"))


def test_a_refused_correction_is_one_line_and_resets_the_choice(tab, folder):
    tab.fill("#ser-speaker", "../anna")
    tab.select_option(f"{row_of(tab, 1)} select", "sad")
    tab.wait_for_selector("#ser-correct-error:has-text('letters, digits and hyphens')")
    assert len(folder.scan()[0]) == 3
    assert tab.input_value(f"{row_of(tab, 1)} select") == ""
    tab.fill("#ser-speaker", "anna")
    tab.select_option(f"{row_of(tab, 1)} select", "sad")
    tab.wait_for_selector("#ser-correct-note:has-text('1 corrected')")
    assert not tab.is_visible("#ser-correct-error")


def test_a_recording_that_the_loop_has_removed_is_reported(tab, folder):
    folder.remove(tab.get_attribute(row_of(tab, 1), "data-name"))
    tab.select_option(f"{row_of(tab, 1)} select", "sad")
    tab.wait_for_selector("#ser-correct-error:has-text('no longer here')")


def test_other_sites_and_paths_are_refused(server, folder):
    name = folder.scan()[0][0].name
    good = json.dumps({"emotion": "sad", "speaker": "me"}).encode()
    for url, data in (("/recordings", None), (f"/recordings/{name}", None), (f"/recordings/{name}", good)):
        assert ask(f"{server.url}{url}", data, Sec_Fetch_Site="cross-site")[0] == 403
    assert ask(f"{server.url}/recordings", Host="evil.example")[0] == 400
    for path in (
        "..%2F..%2Fetc%2Fpasswd",
        "%2Fetc%2Fpasswd",
        ".lock",
        "corrected",
        f"{name}.wav",
        f"..%2F{name}",
        "%00",
    ):
        for data in (None, good, b'{"delete": true}'):
            code, text, _ = ask(f"{server.url}/recordings/{path}", data)
            assert code in (400, 404, 405), (path, code)
            assert "root:" not in text
    for data in (
        b"", b"[]", b"null", b"1", b'{"emotion": "sad"}', b'{"emotion": ["sad"], "speaker": "me"}', b"[" * 9999,
        b'{"emotion": "bored", "speaker": "me"}', b'{"emotion": "../x", "speaker": "me"}', b'{"delete": 1}',
        b'{"emotion": "sad", "speaker": "../../x"}', b'{"emotion": "sad", "speaker": null}',
    ):  # fmt: skip
        code, text, _ = ask(f"{server.url}/recordings/{name}", data)
        assert code == 400, data
        assert "\n" not in json.loads(text)["error"]
    assert len(folder.scan()[0]) == 3
    assert folder.corrected() == []
    with urllib.request.urlopen(f"{server.url}/recordings/{name}") as answer:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.read() == folder.sound(name)


def test_a_disk_that_fails_is_one_line(server, folder):
    name = folder.scan()[0][0].name
    (folder.path / "corrected").write_text("in the way")
    code, text, _ = ask(f"{server.url}/recordings/{name}", json.dumps({"emotion": "sad", "speaker": "me"}).encode())
    assert code == 500
    assert "File exists" in json.loads(text)["error"]
    assert len(folder.scan()[0]) == 3


def test_names_that_are_markup_stay_text(server, folder):
    segment = Segment(0.0, 0.5, None, Verdict.UNCERTAIN, 0.2, {"<script>alert(1)</script>": 0.2, "sad": 0.8})
    folder.add(replace(recording(0.2), segment=segment), BUNDLE, StoreLimits())
    rows = json.loads(ask(f"{server.url}/recordings")[1])["rows"]
    assert "&lt;script&gt;" in rows
    assert "<script>" not in rows


def test_the_command_line_names_what_is_wrong(tmp_path):
    def run(*arguments) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "edge.page", *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    one_clear_line(run("--corrections", tmp_path / "none"), "no such folder", "--keep-unsure")
    RecordingStore(tmp_path / "stored")
    one_clear_line(run("--corrections", tmp_path / "stored", "--host", "0.0.0.0"), "--corrections", "machine")
