"""Live audio over WebSocket: the answers of stream_infer.py for any chunking, every limit, back-pressure, and nothing
that stays behind."""

import gc
import io
import json
import logging
import os
import random
import socket
import threading
import wave
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from helpers import example, needs
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import eventually

from edge.audio.sources import from_raw
from edge.loop.listening import listen
from edge.stream.recognizer import StreamingRecognizer

needs("fastapi", "websockets", "prometheus_client", reason="needs the serve extra")

from live_service import closed, stream  # noqa: E402
from websockets.exceptions import ConnectionClosed  # noqa: E402

TOKEN = "0123456789abcdef0123456789abcdef"
DROPPED = int(os.environ.get("SER_TEST_CONNECTIONS", "24"))
"""Connections that are dropped"""


def cut(data: bytes, places: list[int]) -> list[bytes]:
    at = sorted({place % len(data) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in zip(at, at[1:], strict=False)]


def test_any_chunking_gets_the_answer_of_stream_infer(service, clip, pcm, told):
    expected = told(clip)
    assert len(expected) >= 2

    @settings(max_examples=5)
    @given(st.lists(st.integers(0, len(pcm)), min_size=1, max_size=40))
    def equal(places):
        assert stream(service, cut(pcm, [*places, 200_000])) == expected

    equal()
    assert stream(service, cut(pcm, [*range(0, len(pcm), 641)])) == expected, "odd pieces of 20 ms"


def test_every_decision_is_sent_on_request(service, clip, pcm, told):
    expected = told(clip, "--decisions")
    assert sum(event["type"] == "hop" for event in expected) > 10
    assert stream(service, cut(pcm, [*range(0, len(pcm), 3200)]), "?decisions=true") == expected


@pytest.mark.parametrize(("rate", "channels", "name"), [(48000, 2, "f32le"), (8000, 1, "ulaw"), (16000, 1, "s24le")])
def test_other_formats_are_as_on_standard_input(service, shipped, pcm, rate, channels, name):
    from edge.serve.events import Events

    samples = np.repeat(np.frombuffer(pcm, "<i2"), channels)
    if name == "f32le":
        data = (samples / 32768).astype("<f4").tobytes()
    elif name == "s24le":
        data = (samples.astype("<i4") << 8).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    else:
        magnitude = np.log1p(255 * np.abs(samples / 32768)) / np.log(256)
        data = (~(np.where(samples < 0, 128, 0) | (magnitude * 127).astype(int)) & 255).astype(np.uint8).tobytes()
    events = Events(shipped.labels)
    listen(from_raw(io.BytesIO(data), rate, channels, 16000, None, name), shipped.utterances(), events)
    expected = events.take()
    assert len(expected) >= 2
    query = f"?rate={rate}&channels={channels}&format={name}"
    assert stream(service, cut(data, [*range(0, len(data), 100_001)]), query) == expected


def test_the_example_of_a_client_runs(service, pcm, told, tmp_path):
    path = tmp_path / "recording.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(pcm)
    printed = example("service_client.py", path, f"ws://{service.host}/stream").splitlines()
    segments = [event for event in told(path) if event["type"] == "segment"]
    assert printed == [f"{s['start_seconds']:.2f} s  {s['emotion'] or s['verdict']}" for s in segments]


@pytest.mark.parametrize(
    ("query", "part"),
    [("?rate=fast", "rate=fast"), ("?rate=1", "1 Hz"), ("?channels=99", "99"), ("?format=mp3", "format=mp3"),
     ("?decisions=1", "decisions=1"), ("?sample_rate=16000", "sample_rate"), ("?rate=" + "9" * 30, "rate=999"),
     ("?rate=8000&rate=16000", "rate is given twice")],
)  # fmt: skip
def test_a_wrong_declaration_gets_1008(service, query, part):
    with service.connect(query) as line:
        code, reason = closed(line)
    assert code == 1008
    assert part in reason


@pytest.mark.parametrize("text", ["hello", '{"type": "start"}', "[" * 90, '{"type": "end", "more": 1}'])
def test_text_other_than_the_end_gets_1003(service, text):
    with service.connect() as line:
        line.send(text)
        code, reason = closed(line)
    assert code == 1003
    assert '{"type": "end"}' in reason


@pytest.mark.parametrize(
    ("data", "query", "part"),
    [(b"This is a text, and it is long enough to be one. " * 2000, "", "text"),
     (random.Random(0).randbytes(100_000), "", "every byte"),
     (np.full(100, np.nan, "<f4").tobytes(), "?format=f32le", "NaN"),
     (b"\0\1\2", "", "middle of a sample"), (b"", "", "no samples")],
)  # fmt: skip
def test_what_cannot_be_samples_gets_1007(service, data, query, part):
    with service.connect(query) as line:
        with suppress(ConnectionClosed):
            line.send(data)
            line.send('{"type": "end"}')
        code, reason = closed(line)
    assert code == 1007
    assert part in reason


def test_a_message_that_is_too_big_gets_1009(service):
    from edge.serve.streams import MAX_MESSAGE

    with service.connect() as line:
        line.send(bytes(MAX_MESSAGE))
        with suppress(ConnectionClosed):
            line.send(bytes(MAX_MESSAGE + 1))
        assert closed(line)[0] == 1009


def test_one_connection_too_many_gets_1013_until_another_ends(start, pcm):
    service = start(max_streams=2)
    with service.connect() as first, service.connect():
        first.send(pcm[:3200])
        eventually(lambda: service.counted("ser_streams_open") == 2, "both are open")
        for _ in range(3):
            with service.connect() as third:
                code, reason = closed(third)
            assert code == 1013
            assert "2 streams" in reason
    eventually(lambda: service.counted("ser_streams_open") == 0, "both have ended")
    assert stream(service, [pcm[:200_000]])[-1]["kind"] == "stopped"


def test_the_rate_of_an_address_gets_1013(start):
    service = start(max_per_minute=2)
    for _ in range(2):
        service.connect().close()
    with service.connect() as line:
        code, reason = closed(line)
    assert code == 1013
    assert "try again in" in reason


def test_without_the_token_1008(start, pcm):
    service = start(token=TOKEN)
    for shown in ({}, {"Authorization": "Bearer wrong"}):
        with service.connect(**shown) as line:
            code, reason = closed(line)
        assert code == 1008
        assert "token" in reason and TOKEN not in reason
    with service.connect(Authorization=f"Bearer {TOKEN}") as line:
        line.send(pcm[:3200])
        line.send('{"type": "end"}')
        assert [json.loads(message) for message in line][-1]["kind"] == "stopped"


def test_pages_of_other_sites_get_1008(service):
    with service.connect(Origin="https://evil.example") as line:
        assert closed(line) == (1008, "this service accepts no requests from web pages of other sites")
    with service.connect(Origin=service.url) as line:
        line.send('{"type": "end"}')
        assert closed(line)[0] == 1007, "no samples, but it was let in"


def test_audio_without_end_and_a_silent_client_get_1008(start, pcm, monkeypatch):
    from edge.serve import streams

    service = start(max_stream_seconds=5)
    with service.connect() as line:
        for piece in cut(pcm, [100_000, 200_000]):
            with suppress(ConnectionClosed):
                line.send(piece)
        code, reason = closed(line)
    assert code == 1008 and "5 s" in reason
    monkeypatch.setattr(streams, "IDLE_SECONDS", 0.2)
    with service.connect() as line:
        code, reason = closed(line)
    assert code == 1008 and "0.2 s" in reason


def test_a_client_faster_than_the_service_is_slowed_down(service, monkeypatch):
    """While nothing is computed, the service takes a message or two, whatever is sent; the rest waits at the client."""
    from edge.serve.streams import MAX_MESSAGE, Conversation

    go = threading.Event()

    def waits(conversation, data, _push=Conversation.push):
        assert go.wait(60)
        return _push(conversation, data)

    monkeypatch.setattr(Conversation, "push", waits)
    given_ = 0
    with service.connect() as line:
        line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)

        def send() -> None:
            nonlocal given_
            with suppress(ConnectionClosed, OSError):
                for _ in range(400):
                    line.send(bytes(MAX_MESSAGE))
                    given_ += MAX_MESSAGE

        sender = threading.Thread(target=send)
        sender.start()
        last = -1
        while given_ != last:
            last = given_
            sender.join(1.0)
        assert sender.is_alive(), "all of it was taken"
        assert given_ < 40 * MAX_MESSAGE, "the system's buffers alone"
        go.set()
        line.socket.shutdown(socket.SHUT_RDWR)
        sender.join(60)
    eventually(lambda: service.counted("ser_streams_open") == 0, "it has ended")


def test_a_text_that_is_no_text_is_one_line_of_the_log(service):
    said = logging.Handler()
    lines = []
    said.emit = lambda record: lines.append(logging.Formatter().format(record))
    logging.getLogger("uvicorn.error").addHandler(said)
    try:
        with socket.create_connection(("127.0.0.1", int(service.host.split(":")[1])), timeout=60) as line:
            line.sendall(service.upgrade("/stream"))
            assert b" 101 " in line.recv(1000)
            line.sendall(b"\x81\x82" + bytes(4) + b"\xff\xff")
            assert line.recv(1000).startswith(b"\x88\x02" + (1007).to_bytes(2, "big"))
    finally:
        logging.getLogger("uvicorn.error").removeHandler(said)
    assert lines == ["Invalid UTF-8 sequence received from client."]


@pytest.mark.parametrize("end", ["stalled", "gone"])
def test_a_client_that_reads_nothing_is_given_up(start, pcm, monkeypatch, end):
    """Its events do not pile up: the service stops reading, then ends the connection, or the system its socket."""
    from edge.serve import closing, run

    if end == "gone" and not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("needs Linux")
    monkeypatch.setattr(closing, "SEND_SECONDS", 0.2 if end == "stalled" else 1000)
    monkeypatch.setattr(run, "STALLED_SECONDS", 0.5 if end == "gone" else 1000)
    service = start(send_buffer=4096)
    before = descriptors()
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", int(service.host.split(":")[1])))
        line.sendall(service.upgrade("/stream?decisions=true"))
        assert b" 101 " in line.recv(1000)
        frame = b"\x82\xff" + (200_000).to_bytes(8, "big") + bytes(4) + pcm[:200_000]

        def send() -> None:
            with suppress(OSError):
                while True:
                    line.sendall(frame)

        sender = threading.Thread(target=send)
        sender.start()
        eventually(lambda: service.counted(f'ser_streams_total{{end="{end}"}}') == 1, "it is given up")
        assert service.counted("ser_streams_open") == 0
        if end == "gone":
            eventually(lambda: descriptors() <= before + 1, "the service's socket is closed, ours is still open")
        line.shutdown(socket.SHUT_RDWR) if end == "stalled" else None
        sender.join(60)
        assert not sender.is_alive()


def descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def recognizers() -> int:
    gc.collect()
    # Of the type itself: to look at the class of a weak proxy raises ReferenceError.
    return sum(issubclass(type(thing), StreamingRecognizer) for thing in gc.get_objects())


def threads() -> int:
    """But for those of the pool, which starts one when all others are busy, and keeps it."""
    return sum(not thread.name.startswith("ser-stream") for thread in threading.enumerate())


def test_dropped_connections_leave_nothing(start, pcm):
    service = start(max_streams=DROPPED)
    kept = recognizers()
    stream(service, [pcm[:100_000]])
    before = threads(), descriptors()
    drawn = random.Random(0)

    def drop(seed: int) -> None:
        draw = random.Random(seed)
        with suppress(ConnectionClosed, OSError):
            line = service.connect(draw.choice(["", "?decisions=true"]))
            for _ in range(draw.randrange(12)):
                size = draw.randrange(1, 40_000)
                at = draw.randrange(len(pcm) - size)
                line.send(pcm[at : at + size])
            if draw.random() < 0.5:
                line.send('{"type": "end"}')
            line.socket.shutdown(socket.SHUT_RDWR) if draw.random() < 0.8 else line.close()

    clients = [threading.Thread(target=drop, args=(drawn.randrange(2**32),)) for _ in range(DROPPED)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(120)
    eventually(lambda: service.counted("ser_streams_open") == 0, "all have ended")
    del clients
    eventually(lambda: recognizers() <= kept, "recognizers are gone")
    eventually(lambda: threads() <= before[0], "so are threads")
    eventually(lambda: (gc.collect(), descriptors())[1] <= before[1] + 1, "so are descriptors")
    assert stream(service, [pcm[:200_000]])[-1]["kind"] == "stopped"


def test_the_end_of_the_service_ends_its_connections_and_threads(shipped, tmp_path, pcm):
    from live_service import Service

    before = threading.active_count()
    service = Service(shipped, tmp_path / "uploads")
    with service.connect() as line:
        line.send(pcm[:100_000])
        eventually(lambda: service.counted("ser_audio_seconds_total") > 1, "it is computed")
        service.stop()
        with pytest.raises(ConnectionClosed):
            for _ in range(100):
                line.recv(60)
        assert line.close_code == 1012
    eventually(lambda: threading.active_count() <= before, "its threads have ended")
