"""Recordings over HTTP: the answers of stream_infer.py, every limit, and nothing that stays behind."""

import http.client
import json
import re
import shutil
import socket
import threading

import numpy as np
import pytest
import soundfile
from helpers import broken_files, needs
from processes import eventually

needs("fastapi", "websockets", "prometheus_client", reason="needs the serve extra")

TOKEN = "0123456789abcdef0123456789abcdef"


def refused(answer: tuple[int, str, dict], status: int, part: str) -> dict:
    """One clear line; returns the headers."""
    code, text, headers = answer
    assert code == status, text
    values = json.loads(text)
    assert [*values] == ["error"]
    assert part in values["error"] and "\n" not in values["error"]
    return headers


@pytest.mark.parametrize("name", ["a.flac", "a.wav", "a.mp3"])
def test_a_recording_gets_the_answer_of_stream_infer(service, clip, told, tmp_path, name):
    path = tmp_path / name
    if name == "a.flac":
        shutil.copy(clip, path)
    else:
        samples, rate = soundfile.read(clip)
        soundfile.write(path, np.stack([samples, samples], axis=1), 48000 if name == "a.wav" else rate)
    expected = told(path)
    code, text, _ = service.ask("/recognize", path.read_bytes())
    assert code == 200, text
    answer = json.loads(text)
    assert answer["segments"] == [event for event in expected if event["type"] == "segment"]
    assert len(answer["segments"]) >= 1
    assert answer["seconds"] == expected[-1]["seconds"]


def test_what_is_no_recording_gets_422(service, tmp_path):
    for file, part in broken_files(tmp_path / "made").items():
        refused(service.ask("/recognize", (tmp_path / "made" / file).read_bytes()), 422, part)
    assert str(service.folder) not in service.ask("/recognize", b"no sound")[1]


def test_too_large_and_too_long_get_413(start, clip):
    service = start(max_megabytes=0.3, max_seconds=5)
    refused(service.ask("/recognize", bytes(400_000)), 413, "0.3 MiB")
    connection = http.client.HTTPConnection(service.host, timeout=60)  # without its length in advance
    connection.request("POST", "/recognize", iter([bytes(100_000)] * 4), encode_chunked=True)
    answer = connection.getresponse()
    refused((answer.status, answer.read().decode(), {}), 413, "0.3 MiB")
    refused(service.ask("/recognize", clip.read_bytes()), 413, "5 s")
    assert [*service.folder.iterdir()] == []


def test_a_form_gets_415(service):
    form = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'
    for kind in ("multipart/form-data", "Multipart/Form-Data"):
        refused(service.ask("/recognize", form, Content_Type=f"{kind}; boundary=x"), 415, "curl")
    refused(service.ask("/recognize", b"packed", Content_Encoding="gzip"), 415, "Content-Encoding")


def test_the_rate_of_an_address_gets_429(start):
    service = start(max_per_minute=3)
    for _ in range(3):
        refused(service.ask("/recognize", b"no sound"), 422, "audio")
    headers = refused(service.ask("/recognize", b"no sound"), 429, "try again in")
    assert 1 <= int(headers["retry-after"]) <= 20
    assert service.ask("/healthz")[0] == 200


def test_a_full_queue_gets_503(start, clip, monkeypatch):
    from edge.serve import uploads

    enter, go = threading.Semaphore(0), threading.Event()

    def slow(*arguments, _listen=uploads.listen):
        enter.release()
        assert go.wait(60)
        return _listen(*arguments)

    monkeypatch.setattr(uploads, "listen", slow)
    service = start(max_waiting=1)
    answers = []
    clients = [
        threading.Thread(target=lambda: answers.append(service.ask("/recognize", clip.read_bytes()))) for _ in range(2)
    ]
    clients[0].start()
    assert enter.acquire(timeout=60)
    clients[1].start()
    eventually(lambda: service.counted("ser_uploads_open") == 2, "one is computed, one waits")
    headers = refused(service.ask("/recognize", clip.read_bytes()), 503, "waiting")
    assert int(headers["retry-after"]) >= 1
    go.set()
    for client in clients:
        client.join(60)
    assert [code for code, _, _ in answers] == [200, 200]


def test_the_token_is_needed_and_its_absence_gets_401(start, clip):
    service = start(token=TOKEN)
    for shown in ({}, {"Authorization": "Bearer"}, {"Authorization": f"Bearer {TOKEN[:-1]}"},
                  {"Authorization": f"Basic {TOKEN}"}, {"Authorization": "Bearer \xe4" + TOKEN}):  # fmt: skip
        for path in ("/recognize", "/metrics", "/docs", "/openapi.json"):
            headers = refused(service.ask(path, **shown), 401, "token")
            assert headers["www-authenticate"] == "Bearer"
            assert TOKEN not in str(headers)
    assert service.ask("/healthz")[0] == 200
    connection = http.client.HTTPConnection(service.host, timeout=60)
    connection.request("HEAD", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()
    assert service.ask("/recognize", clip.read_bytes(), Authorization=f"bearer {TOKEN}")[0] == 200


def test_other_host_names_and_other_sites_are_refused(service):
    refused(service.ask("/metrics", Host="evil.example"), 400, "name")
    refused(service.ask("/metrics", Origin="https://evil.example"), 403, "sites")
    refused(service.ask("/recognize", b"x", Sec_Fetch_Site="cross-site"), 403, "sites")
    assert service.ask("/metrics", Origin=service.url, Host=service.host)[0] == 200


def test_unknown_paths_and_methods_get_one_line_as_well(service):
    refused(service.ask("/nothing"), 404, "Not Found")
    headers = refused(service.ask("/recognize"), 405, "Not Allowed")
    assert headers["allow"] == "POST"


def test_a_client_that_disconnects_leaves_no_file_and_is_no_error_of_the_service(service):
    ends = {end: f'ser_requests_total{{route="/recognize",status="{end}"}}' for end in ("gone", "500")}
    before = {end: service.counted(line) for end, line in ends.items()}
    with socket.create_connection((service.host.split(":")[0], int(service.host.split(":")[1]))) as line:
        head = f"POST /recognize HTTP/1.1\r\nHost: {service.host}\r\nContent-Length: 100000\r\n\r\n"
        line.sendall(head.encode() + bytes(50_000))
        eventually(lambda: len([*service.folder.iterdir()]) == 1, "the upload begins")
    eventually(lambda: [*service.folder.iterdir()] == [], "its file is removed")
    eventually(lambda: service.counted("ser_uploads_open") == 0, "its place is free")
    eventually(lambda: service.counted(ends["gone"]) == before["gone"] + 1, "it is counted as gone")
    assert service.counted(ends["500"]) == before["500"]


def test_a_computation_that_nobody_waits_for_is_stopped(service, clip, monkeypatch):
    """After the answer's connection is gone, the rest of the recording is not computed."""
    from edge.serve import uploads

    begun, gone, chunks = threading.Event(), threading.Event(), []

    def slow(*arguments, _chunks=uploads.clip_chunks):
        for chunk in _chunks(*arguments):
            chunks.append(len(chunk))
            yield chunk
            begun.set()
            assert gone.wait(60)

    monkeypatch.setattr(uploads, "clip_chunks", slow)
    stopped = []

    def noticed(*arguments, _listen=uploads.listen):
        stop = arguments[3]
        _listen(*arguments)
        stopped.append(bool(stop))

    monkeypatch.setattr(uploads, "listen", noticed)
    data = clip.read_bytes()
    with socket.create_connection((service.host.split(":")[0], int(service.host.split(":")[1]))) as line:
        head = f"POST /recognize HTTP/1.1\r\nHost: {service.host}\r\nContent-Length: {len(data)}\r\n\r\n"
        line.sendall(head.encode() + data)
        assert begun.wait(60)
    threading.Timer(1.0, gone.set).start()
    eventually(lambda: bool(stopped), "the computation ends")
    assert stopped == [True]
    assert sum(chunks) < 16000


def test_the_page_of_the_interface_loads_nothing(service):
    code, text, headers = service.ask("/docs")
    assert code == 200
    assert not re.search(r"<script|<link|<img|src=|https?://", text)
    assert "default-src 'none'" in headers["content-security-policy"]
    for part in ("/recognize", "/stream", "1013", "429"):
        assert part in text


def test_metrics_count_and_name_nobody(service, clip):
    before = service.counted('ser_audio_seconds_total{kind="upload"}')
    assert service.ask("/recognize", clip.read_bytes())[0] == 200
    service.ask("/made/up/by/a/client")
    assert service.counted('ser_audio_seconds_total{kind="upload"}') - before == pytest.approx(10.18, abs=0.01)
    text = service.ask("/metrics")[1]
    assert 'route="other",status="404"' in text
    assert "process_resident_memory_bytes" in text
    for secret in ("made", "127.0.0.1", "angry", "happy"):
        assert secret not in text
