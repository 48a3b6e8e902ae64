"""The page's server under a client that is no browser.

It may answer, refuse or close the connection. It must not open files of the user, reveal which files exist, change
files, print tracebacks or end.
"""

import io
import json
import os
import socket
import threading
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import soundfile
from helpers import needs
from page_attack import MODEL, RATE, harmless
from page_server import CLIP, Server
from raw_client import Answer

from edge.feedback.store import RecordingStore

needs("gradio", reason="needs the ui extra")
pytestmark = pytest.mark.usefixtures("unharmed")

NOTHING = {"error": "there is nothing here"}
GRADIO = (
    "file=", "file/", "proxy=", "upload", "upload_progress", "queue/join", "queue/data", "queue/status", "run/predict",
    "api/predict", "call/predict", "call/v2/recognize", "call/recognize/0", "component_server", "stream/0",
    "stream/0/close", "stream/a/0/0/playlist.m3u8", "stream/a/0/0/x.ts", "reset", "cancel", "heartbeat/abc",
    "startup-events", "info", "openapi.json", "app_id", "token", "user", "login_check", "dev/reload", "deep_link",
    "custom_component/a/client/component/x.js", "process_recording", "vibe-edit", "undo-vibe-edit", "vibe-code",
    "vibe-starter-queries", "runs", "run-history/connect", "profiling/traces",
)  # fmt: skip
"""Addresses of a Gradio application below /gradio_api/"""


def paths(home: Path, store: RecordingStore, attacked: Server) -> list[str]:
    (folder,) = attacked.temp.iterdir()
    name = store.scan()[0][0].name
    return [
        *(str(home / name) for name in ("diary.txt", "private.wav", "link.wav", "hard.wav", "pipe.wav", "none.wav")),
        str(home), str(folder), str(folder / "none"), f"{folder}/../../home/diary.txt", "diary.txt", "../diary.txt",
        "..", ".", "", "/", "/dev/zero", "/dev/stdin", "/proc/self/environ", "/proc/self/fd/0", "/etc/passwd",
        str(store.path), str(store.path / f"{name}.wav"), f"{name}.wav", "\0", "a" * 5000, "file:///etc/passwd",
        "http://127.0.0.1:9/x.wav", "https://example.org/x.wav",
    ]  # fmt: skip


def test_the_addresses_of_gradio_are_closed(client, home):
    """All give the same answer, whatever they name."""
    wanted = quote(str(home / "private.wav"))
    for name in GRADIO:
        for prefix in ("/gradio_api/", "/", "//gradio_api/", "/./gradio_api/", "/assets/../gradio_api/"):
            for path in (f"{prefix}{name}", f"{prefix}{name}{wanted}", f"{prefix}{name}?path={wanted}"):
                for method in ("GET", "POST") if prefix == "/gradio_api/" else ("GET",):
                    answer = client.ask(method, path, b"{}" if method == "POST" else None)
                    assert (answer.code, json.loads(answer.text)) == (404, NOTHING), (method, path)
    for query in ("deep_link=../../etc/passwd", f"deep_link={wanted}", "view=api", "__theme=x", "a" * 5000):
        answer = client.ask("GET", f"/?{query}")
        harmless(answer)
        assert answer.code == 200
        assert "etc/passwd" not in answer.text
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "FOO"):
        assert client.ask(method, "/clip").code in (400, 404, 405)
    for path in (
        "/config",
        "/monitoring",
        "/monitoring/summary",
        "/robots.txt",
        "/manifest.json",
        "/pwa_icon",
        "/docs",
    ):
        assert client.ask("GET", path).code == 404


def test_a_file_named_in_a_queue_is_never_opened(client, home, store, attacked):
    """The requests of a Gradio client; also with hard links, pipes and devices (reading /dev/zero never ends)."""
    for path in paths(home, store, attacked):
        for data in (
            {"path": path, "meta": {"_type": "gradio.FileData"}},
            {"path": path, "url": f"file://{path}", "is_stream": True, "meta": {"_type": "gradio.FileData"}},
            {"url": path, "orig_name": path, "meta": {"_type": "gradio.FileData"}},
            path,
            [path],
        ):
            for place, body in (
                ("/gradio_api/queue/join", {"data": [data, MODEL], "fn_index": 0, "session_hash": "a"}),
                ("/gradio_api/run/recognize", {"data": [data, MODEL], "session_hash": "a"}),
                ("/clip", {"data": [data, MODEL]}),
                ("/clip?models=0", {"data": [data, MODEL]}),  # the JSON itself is taken for the sound
            ):
                answer = client.ask("POST", place, json.dumps(body).encode(), Content_Type="application/json")
                harmless(answer)
                assert answer.code in (400, 404, 422)
                if place == "/clip?models=0":
                    assert "not readable as audio" in answer.error


def test_every_file_is_refused_alike(client, home, store, attacked):
    """A path in an address, existing or not, readable or not, gives the same bytes."""
    answers = set()
    for path in paths(home, store, attacked):
        for place in ("/gradio_api/file=", "/file=", "/gradio_api/file/", "/static/../", "/assets/", "/static/", "/"):
            encoded = quote(path, safe="")
            if place == "/" and encoded in ("", ".", "%2F"):
                continue
            for text in (encoded, encoded.replace("%2F", "/"), encoded.replace("%", "%25")):
                if place + text in ("/", "/."):
                    continue
                answer = client.ask("GET", place + text)
                harmless(answer)
                assert answer.code in (400, 404), (place, text)
                if answer.code == 404 and place not in ("/assets/", "/static/"):
                    answers.add(answer.text)
    assert answers == {json.dumps(NOTHING, separators=(",", ":"))}


def test_only_the_bytes_of_a_clip_matter(client, home):
    for path in (home / "private.wav", "/etc/passwd", "/dev/zero"):
        for query in (f"models={quote(str(path))}", f"models=0&path={path}", f"models=0,{path}", f"path={path}"):
            answer = client.ask("POST", f"/clip?{query}", str(path).encode())
            harmless(answer)
            assert answer.code in (400, 422)
    for models in ("", "-1", "99", "0,0,0", "0x0", "0.0", "1e9", "NaN", "%00", "9" * 5000, "[]", ","):
        answer = client.ask("POST", f"/clip?models={models}", b"x")
        assert answer.code == 400
        assert "no such model" in answer.error
    multipart = b"--x\r\nContent-Disposition: form-data; name=files; filename=../../x.wav\r\n\r\n1\r\n--x--\r\n"
    answer = client.ask("POST", "/clip?models=0", multipart, Content_Type="multipart/form-data; boundary=x")
    assert answer.code == 422


def test_malicious_recordings_are_refused_in_one_line(client):
    def written(samples, **how) -> bytes:
        out = io.BytesIO()
        soundfile.write(out, samples, RATE, **how)
        return out.getvalue()

    good = written(np.zeros(RATE), format="WAV")
    promise = bytearray(good)
    promise[40:44] = (2**31).to_bytes(4, "little")
    rate = bytearray(good)
    rate[24:28] = (2_000_000_000).to_bytes(4, "little")
    for data in (
        b"", b"\0" * 999, b"RIFF", good[:30], bytes(rate), b"[" * 9999, b"#!/bin/sh\n", os.urandom(9999),
        written(np.zeros((99, 9)), format="WAV"), written(np.full(RATE, np.nan), format="WAV", subtype="FLOAT"),
        written(np.zeros(RATE * 21), format="FLAC"),
    ):  # fmt: skip
        answer = client.ask("POST", "/clip?models=0", data)
        harmless(answer)
        assert answer.code == 422
        assert "\n" not in answer.error
        assert "/tmp" not in answer.error
    for data in (bytes(promise), written(np.full(RATE, 3e38), format="WAV", subtype="FLOAT")):
        harmless(client.ask("POST", "/clip?models=0", data))


def test_a_body_that_is_too_large_or_too_slow_is_refused(client, attacked):
    for answer in (
        client.ask("POST", "/clip?models=0", bytes(2**20 + 1)),
        client.ask("POST", "/clip?models=0", bytes(8 * 2**20)),
        client.ask("POST", "/live", bytes(10**6)),
        client.ask("POST", "/live/x", bytes(10**7)),
    ):
        assert answer.code in (0, 400, 422), "an answer, or cut off while still sending"
    endless = b"POST /clip?models=0 HTTP/1.1\r\nHost: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % client.host.encode()
    assert client.send(endless + (b"10000\r\n" + bytes(65536) + b"\r\n") * 40).code in (0, 422)
    address = ("127.0.0.1", int(attacked.url.rpartition(":")[2]))
    waiting = [socket.create_connection(address) for _ in range(30)]
    try:
        for number, line in enumerate(waiting):  # some say nothing, some stop in the head, some in the body
            head = b"POST /clip?models=0 HTTP/1.1\r\nHost: %b\r\n" % client.host.encode()
            line.sendall((b"", head, head + b"Content-Length: 999\r\n\r\nRIFF")[number % 3 if number < 15 else 0])
        assert client.ask("GET", "/").code == 200
        assert client.ask("POST", "/clip?models=0", CLIP.read_bytes()).code == 200
    finally:
        for line in waiting:
            line.close()
    for _ in range(100):  # the bodies that broke off are gone
        if not attacked.left():
            break
        time.sleep(0.1)


def test_the_number_of_waiting_recordings_is_limited(client, attacked):
    """Further ones are refused; those that wait are all answered."""
    data = CLIP.read_bytes()
    answers: list[Answer] = []
    asked = [
        threading.Thread(target=lambda: answers.append(client.ask("POST", "/clip?models=0", data))) for _ in range(14)
    ]
    for thread in asked:
        thread.start()
    for thread in asked:
        thread.join()
    codes = [answer.code for answer in answers]
    assert set(codes) <= {200, 400}
    assert codes.count(200) >= 9
    assert all("try again" in answer.error for answer in answers if answer.code == 400)


@pytest.mark.parametrize("path", ["/", "/clip?models=0", "/live", "/recordings", "/theme.css"])
def test_other_names_and_other_sites_are_refused(client, path):
    """Somebody else's DNS name may point here, and somebody else's page may send forms here."""
    method, body = ("POST", b"{}") if path.startswith(("/clip", "/live")) else ("GET", None)
    port = client.host.rpartition(":")[2]
    for host in (
        "evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example", f"0.0.0.0:{port}",
        "", "localhost@evil.example", "evil.example#localhost", "[::1].evil.example", "127.0.0.1:80:80", None,
    ):  # fmt: skip
        assert client.ask(method, path, body, Host=host).code == 400, host
    if path == "/":
        return  # anybody may link to the page
    for headers in (
        {"Origin": "http://evil.example"}, {"Origin": f"http://evil.example:{port}"}, {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"}, {"Origin": "http://[evil"}, {"Origin": ""},
        {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"}, {"Sec_Fetch_Site": "?"},
        {"Sec_Fetch_Site": "cross-site", "Origin": f"http://{client.host}"},
    ):  # fmt: skip
        assert client.ask(method, path, body, **headers).code == 403, headers
    own = client.ask(method, path, body, Origin=f"http://{client.host}", Cookie="session=another; a=b")
    assert own.code in (200, 400, 422)
    assert "set-cookie" not in own.head.lower()


def test_websockets_and_malformed_requests_are_refused(client):
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Key": "AAAA",
        "Sec_WebSocket_Version": "13",
    }
    for path in ("/queue/join", "/gradio_api/queue/join", "/live"):
        assert client.ask("GET", path, **upgrade | {"Connection": "close, Upgrade"}).code in (0, 400, 404, 426)
    for data in (
        b"\0" * 100 + b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /clip HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"GET /" + b"a" * 10**5 + b" HTTP/1.1\r\n\r\n",
        b"POST /live HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ):  # fmt: skip
        assert client.send(data).code in (0, 400, 404, 431)
