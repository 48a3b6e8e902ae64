"""What systemd is told: real datagrams, from a loop that goes on, one that waits, and one that hangs."""

import itertools
import os
import socket
import threading
import time
from pathlib import Path

import pytest

import stream_infer
from crnn.errors import InputError
from edge.bundle import PRETRAINED
from edge.loop.watchdog import Watchdog
from edge.sinks import live

CLIP = PRETRAINED.parent / "synthetic_voice.flac"
FED = "WATCHDOG=1"


class Manager:
    """systemd's end of the socket, and the environment and the clock of the service."""

    def __init__(self, folder) -> None:
        self.path = str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(self.path)
        self.environment = {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": "8000000", "WATCHDOG_PID": str(os.getpid())}
        self.now = 0.0

    def watchdog(self, **changed: str) -> Watchdog:
        return Watchdog(self.environment | changed, clock=lambda: self.now)

    def messages(self) -> list[str]:
        """What has come since the last call."""
        received = []
        while True:
            try:
                received.append(self.socket.recv(1000).decode())
            except BlockingIOError:
                return received


@pytest.fixture
def manager(tmp_path):
    made = Manager(tmp_path)
    yield made
    made.socket.close()


def not_hung() -> float:
    return 0.0


def test_ready_comes_with_the_first_item_and_each_processed_item_feeds(manager):
    watched = manager.watchdog().over(range(3), not_hung)
    assert manager.messages() == []  # the source has given nothing
    for number, expected in enumerate([["READY=1"], [FED], [FED]]):
        assert next(watched) == number
        assert manager.messages() == expected
        manager.now += 2.0
    assert list(watched) == []


@pytest.mark.parametrize("every", [0.01, 0.5, 1.9])
def test_at_most_one_message_per_quarter_of_the_interval(manager, every):
    watchdog, sent = manager.watchdog(), []
    for _ in range(round(40 / every)):
        watchdog.feed()
        sent += manager.messages()
        manager.now += every
    assert set(sent) == {FED}
    assert 40 / (2.0 + every) - 1 <= len(sent) <= 40 / 2.0 + 1


def test_a_source_that_waits_feeds_through_the_hook(manager):
    watchdog = manager.watchdog()

    def muted():
        yield "muted"
        for _ in range(5):
            watchdog.feed()
            manager.now += 2.0
        yield "opened"

    assert list(watchdog.over(muted(), not_hung)) == ["muted", "opened"]
    assert manager.messages().count(FED) >= 4


def test_a_loop_that_hangs_feeds_nothing(manager):
    """A model or a sink of the loop's own thread that never returns: the generator is not asked again."""
    watched = manager.watchdog().over(iter(range(10)), not_hung)
    next(watched)
    manager.now += 100.0
    assert manager.messages() == ["READY=1"]


def test_a_sink_that_hangs_in_its_own_thread_starves_it(manager):
    """Until it writes again: then the loop is well."""
    entered, released = threading.Event(), threading.Event()

    class Hanging:
        def write(self, seconds, event) -> None:
            entered.set()
            released.wait(30)

        def close(self) -> None:
            pass

    class Working(Hanging):
        def write(self, seconds, event) -> None:
            pass

    sinks = live({"the broken one": Hanging(), "the other": Working()})
    watchdog = manager.watchdog(WATCHDOG_USEC="200000")
    watched = watchdog.over(itertools.repeat("audio"), sinks.hung_seconds)
    try:
        next(watched)
        assert sinks.hung_seconds() == 0.0
        sinks.write(0.0, "an event")
        assert entered.wait(30)
        while sinks.hung_seconds() <= 0.05:
            time.sleep(0.01)
        manager.messages()
        for _ in range(20):  # audio flows
            manager.now += 1.0
            next(watched)
        assert manager.messages() == []
    finally:
        released.set()
    while sinks.hung_seconds():
        time.sleep(0.01)
    manager.now += 1.0
    next(watched)
    assert manager.messages() == [FED]
    sinks.close()


def test_the_script_notifies_while_it_processes_audio(manager, monkeypatch, capfd):
    for name, value in manager.environment.items():
        monkeypatch.setenv(name, value)
    assert stream_infer.main([str(CLIP)]) == 0
    assert capfd.readouterr().out
    assert manager.messages()[:2] == ["READY=1", FED]


def test_an_abstract_socket_is_reached():
    name = f"ser-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as receiver:
        receiver.bind(f"\0{name}")
        assert list(Watchdog({"NOTIFY_SOCKET": f"@{name}"}).over([1, 2], not_hung)) == [1, 2]
        assert receiver.recv(1000) == b"READY=1"
        with pytest.raises(BlockingIOError):  # without WATCHDOG_USEC there is no watchdog
            receiver.recv(1000)


def test_another_process_is_meant(manager):
    watchdog = manager.watchdog(WATCHDOG_PID=str(os.getpid() + 1))
    assert list(watchdog.over(range(3), not_hung)) == [0, 1, 2]
    assert manager.messages() == ["READY=1"], "WATCHDOG_PID is about the watchdog alone, as in sd_notify(3)"


def test_without_systemd_nothing_is_sent(manager):
    for environment in ({}, {"WATCHDOG_USEC": "8000000"}):
        assert list(Watchdog(environment).over(range(3), not_hung)) == [0, 1, 2]
    assert manager.messages() == []


def test_a_socket_that_is_gone_is_logged_once_and_the_loop_goes_on(manager, caplog):
    Path(manager.path).unlink()
    watched = manager.watchdog().over(range(5), not_hung)
    for _ in watched:
        manager.now += 10.0
    assert [manager.path in record.getMessage() for record in caplog.records] == [True]


def test_a_manager_that_reads_nothing_does_not_stop_the_loop(manager):
    """The socket holds about ten messages; a message that would wait is dropped."""
    watched = manager.watchdog(WATCHDOG_USEC="4").over(range(50), not_hung)
    for _ in watched:
        manager.now += 1.0
    assert 0 < len(manager.messages()) < 50


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WATCHDOG_USEC", "soon"),
        ("WATCHDOG_USEC", "-1"),
        ("WATCHDOG_USEC", "0"),
        ("WATCHDOG_USEC", "9" * 400),
        ("NOTIFY_SOCKET", "vsock:2:1"),
        ("NOTIFY_SOCKET", "notify"),
    ],  # fmt: skip
)
def test_what_systemd_never_sets_is_refused(manager, name, value):
    with pytest.raises(InputError, match=f"{name}.*{value}"):
        manager.watchdog(**{name: value})
