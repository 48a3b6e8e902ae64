"""The page in Chromium, with Chromium's fake microphone, served where torch cannot be imported."""

import csv
import json
import re
import socket

import pytest
from helpers import needs
from page_server import MAX_SESSIONS, ask, at_home, open_page, upload

from edge import open_model

needs("gradio", reason="needs the ui extra")

LABELS = ("neutral", "happy", "sad", "angry", "fearful", "disgust")


def first_answer(path) -> str:
    """What the model that ships answers to the first utterance of a recording, by itself."""
    segment = open_model(vad="energy").recognize(path).segments[0]
    return segment.emotion or segment.verdict


@pytest.mark.parametrize("name", ["good.flac", "stereo.wav", "good.mp3"])
def test_good_recordings_are_shown_whole(page, server, uploads, name):
    upload(page, "#clip", uploads / name)
    page.click("#recognize")
    page.wait_for_selector("#result .ser-picture image")
    assert page.inner_text("#result .ser-table tbody tr:first-child .ser-badge") == first_answer(uploads / name)
    assert page.locator("#result .ser-bar").count() >= 6
    assert page.locator("#result .ser-decision").count() > 10
    assert page.locator("#result .ser-rest").count() > 10
    assert page.locator("#result .ser-picture path.w").count() == 1
    page.wait_for_function("document.querySelector('#result audio').duration > 7")
    page.wait_for_function("document.querySelector('#clip audio').duration > 7")  # the clip can be played
    assert server.left() == [], "an upload is deleted after the answer"
    at_home(page, server)


def test_the_cursor_follows_the_player_and_another_model_may_follow(page, server, uploads):
    upload(page, "#clip", uploads / "good.flac")
    page.click("#recognize")
    page.wait_for_selector("#result audio")
    page.evaluate("document.querySelector('#result audio').currentTime = 5")
    page.wait_for_function("document.querySelector('#result .ser-cursor').style.visibility === 'visible'")
    assert float(page.get_attribute("#result .ser-cursor", "x1")) > 400
    page.wait_for_selector("#recognize:enabled")
    page.select_option("#model", "1")  # the same clip is sent again, to another model
    page.click("#recognize")
    page.wait_for_selector("#result .ser-model:has-text('float32')")
    assert server.left() == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("silent.wav", "detected no voice"),
        ("corrupt.wav", "not readable as audio"),
        ("corrupt.mp3", "not readable as audio"),
        ("long.flac", "longer than 20 s"),
    ],
)
def test_recordings_without_an_answer_say_why(page, server, uploads, name, said):
    upload(page, "#clip", uploads / name)
    page.click("#recognize")
    page.wait_for_selector(f".ser-ask :text('{said}')")
    if name != "silent.wav":
        line = page.inner_text("#clip [role=alert]")
        assert line.startswith(name)
        assert "\n" not in line
    assert "Traceback" not in page.inner_text("body")
    assert server.left() == []


def test_a_huge_file_is_refused(page, server, uploads):
    page.set_input_files("#clip input[type=file]", uploads / "huge.wav")
    page.wait_for_selector("#clip [role=alert]:has-text('huge.wav: 3.7 MiB; the page takes 2 MiB')")
    assert not page.is_visible("#clip audio")
    assert server.left() == []


def test_no_recording_is_named(page):
    page.click("#recognize")
    page.wait_for_selector("#clip [role=alert]:has-text('There is no recording yet')")


def test_a_recording_made_in_the_browser(page, server):
    page.click("#clip .ser-clip-record")
    page.wait_for_function("/0:0[4-9]/.test(document.querySelector('#clip').innerText)")
    page.click("#clip .ser-clip-stop")
    page.wait_for_function("document.querySelector('#clip audio').duration >= 4")
    page.click("#recognize")
    page.wait_for_selector("#result .ser-picture image")
    assert page.locator("#result .ser-rest").count() > 4
    assert server.left() == []
    at_home(page, server)


def start_listening(page) -> None:
    page.click("button[role=tab]:has-text('Live')")
    page.click("#ser-start")


def test_live_lists_what_the_microphone_records(page, server):
    start_listening(page)
    page.wait_for_selector("#ser-panel :text('warming up')")
    page.wait_for_function(f"/{'|'.join(LABELS)}/.test(document.querySelector('.ser-now').textContent)")
    page.click("button[role=tab]:has-text('Recording')")  # listening continues behind another tab
    page.wait_for_selector("#ser-history tr", state="attached")
    page.click("button[role=tab]:has-text('Live')")
    page.click("#ser-stop")
    page.wait_for_selector("#ser-start:enabled")
    assert page.inner_text(".ser-now") == "stopped"
    assert page.eval_on_selector(".ser-meter b", "bar => bar.getBoundingClientRect().width") == 0
    shown = page.locator("#ser-history .ser-badge").all_inner_texts()
    with page.expect_download() as download:
        page.click("#ser-csv")
    rows = list(csv.DictReader(download.value.path().open()))
    assert download.value.suggested_filename == "emotions.csv"
    assert [row["emotion"] or row["verdict"] for row in rows] == shown[::-1]
    assert all(row["emotion"] in (*LABELS, "") and (row["emotion"] or row["verdict"]) for row in rows)
    assert sum(float(rows[0][name]) for name in LABELS) == pytest.approx(1, abs=1e-5)
    assert server.left() == []
    assert not page.is_visible("#ser-live-error")
    at_home(page, server)


def test_sessions_are_separate_and_limited(browser, server):
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
        contexts[0].close()  # a closed tab ends its session, at once or after a timeout
        for _ in range(100):
            pages[-1].click("#ser-start")
            pages[-1].wait_for_selector(f"#ser-panel .ser-now, {line}")
            pages[-1].wait_for_timeout(300)
            if pages[-1].is_visible("#ser-stop:enabled"):
                break
        assert pages[-1].locator("#ser-panel .ser-now").count() == 1
        assert pages[-1].locator("#ser-history tr").count() == 0, "a session shows only its own history"
    finally:
        for context in contexts[1:]:
            context.close()


def test_every_tab_fits_a_phone_and_a_wide_window(narrow, uploads):
    def fits() -> None:
        for width in (1100, 360):  # last what the tabs begin with
            narrow.set_viewport_size({"width": width, "height": 740})
            narrow.wait_for_timeout(300)  # for Gradio's fading
            assert narrow.evaluate("document.documentElement.scrollWidth") <= width
            places = narrow.evaluate(
                """[...document.querySelectorAll(".ser-bar, .ser-badge, .ser-live button, .ser-live select, audio")]
                .map((shown) => shown.getBoundingClientRect()).filter((place) => place.width > 0)
                .map((place) => [place.left, place.right])"""
            )
            assert len(places) > 8
            assert all(left >= 0 and right <= width for left, right in places), (width, places)

    upload(narrow, "#clip", uploads / "good.flac")
    narrow.click("#recognize")
    narrow.wait_for_selector("#result .ser-picture image")
    fits()
    start_listening(narrow)
    narrow.wait_for_selector("#ser-history tr")
    fits()
    narrow.click("#ser-stop")
    narrow.wait_for_selector("#ser-start:enabled")
    narrow.click("button[role=tab]:has-text('Compare')")
    upload(narrow, "#both", uploads / "good.flac")
    narrow.click("#compare")
    narrow.wait_for_selector("#right .ser-picture image")
    fits()


def test_two_models_recognize_one_clip(page, server, uploads):
    page.click("button[role=tab]:has-text('Compare')")
    upload(page, "#both", uploads / "good.flac")
    page.click("#compare")
    for side, model in (("#left", "shipped: int8"), ("#right", "shipped: float32")):
        page.wait_for_selector(f"{side} .ser-picture image")
        assert page.get_attribute(f"{side} .ser-picture", "aria-label") == model
        assert page.inner_text(f"{side} .ser-model") == model
        assert first_answer(uploads / "good.flac") in page.inner_text(f"{side} .ser-table")
    assert server.left() == []


def test_bad_requests_are_refused_in_one_line(server):
    good = json.dumps({"bundle": "shipped: int8", "rate": 16000}).encode()
    assert ask(f"{server.url}/live", good, Sec_Fetch_Site="cross-site")[0] == 403
    assert ask(server.url, Host="evil.example")[0] == 400
    for data in (b"", b"[]", b'{"bundle": 1}', b'{"bundle": "x", "rate": 16000}', b'{"bundle": "x", "rate": 1e999}'):
        code, text, _ = ask(f"{server.url}/live", data)
        assert code == 400
        assert "\n" not in json.loads(text)["error"]
    assert ask(f"{server.url}/live/nobody", b"")[0] == 400
    key = json.loads(ask(f"{server.url}/live", good)[1])["id"]
    assert ask(f"{server.url}/live/{key}", b"", X_Missing_Seconds="soon")[0] == 400
    assert "half a sample" in ask(f"{server.url}/live/{key}", b"123")[1]
    assert ask(f"{server.url}/live/{key}/end", b"")[0] == 200
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line:  # a client that disconnects during an upload
        line.sendall(b"POST /clip?models=0 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999\r\n\r\nRIFF")
    headers = ask(server.url)[2]
    assert "default-src 'self'" in headers["content-security-policy"]


def test_without_a_folder_of_corrections_there_is_no_tab_and_no_route(page, server):
    assert page.locator("button[role=tab]:has-text('Live')").count() == 1
    assert page.locator("button[role=tab]:has-text('Correct')").count() == 0
    assert ask(f"{server.url}/recordings")[0] == 404


def test_only_the_owner_can_read_uploads(server):
    folder = next(server.temp.iterdir())
    assert folder.stat().st_mode & 0o077 == 0


def test_a_server_that_is_gone_leaves_no_live_meter(page, server):
    """From here on there is no server."""
    start_listening(page)
    page.wait_for_selector("#ser-panel .ser-now")
    assert server.process.poll() is None, server.said()
    assert server.stop() == 0, "also while a page is open"
    page.wait_for_selector("#ser-live-error:has-text('does not answer')")
    page.wait_for_selector("#ser-start:enabled")
    assert page.inner_text("#ser-panel") == "Not listening."


def test_the_server_connects_to_nobody_and_leaves_no_files(server):
    """Last, because it looks at everything that the tests above did."""
    assert server.stop() == 0, server.said()  # where there is a browser it has ended already
    assert list(server.temp.iterdir()) == []
    calls = server.calls.read_text().splitlines()
    assert calls, "the audit hook works: binding resolves the own address"
    away = [call for call in calls if not re.search(r"127\.0\.0\.1|::1|localhost", call)]
    assert away == []
    assert "Traceback" not in server.said()
