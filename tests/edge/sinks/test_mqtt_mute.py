"""The mute switch: commands through a real broker, and a real capture process that they end and start."""

import json
import logging
import os
import signal
import threading

import pytest
from mqtt_broker import AVAILABLE, COMMAND, MUTE, STATE
from processes import eventually
from sink_events import audio, segment
from virtual_microphone import IMPATIENT, RATE, capture_processes

from edge.audio.events import AudioEvent, AudioEventKind
from edge.audio.microphone import Microphone
from edge.loop.counters import Tally


@pytest.fixture
def asked() -> list[bool]:
    """What the sink asks the microphone for."""
    return []


@pytest.fixture
def muted_sink(broker, connect, asked):
    sink = connect(broker, mute=asked.append)
    broker.retains(AVAILABLE, "online")
    return sink


def test_two_commands_are_obeyed_and_nothing_else(broker, muted_sink, asked, caplog):
    broker.publish(COMMAND, "ON")
    eventually(lambda: asked == [True], "it is muted")
    for payload in (b"on", b"TRUE", b"ON ", b"OFF\n", b"1", b"\xff\x1b[2J" * 1000, b"", b'{"state": "OFF"}'):
        broker.publish(COMMAND, payload)
    broker.publish("ser/kitchen/mute", "OFF")  # the topic of the state is not one of commands
    broker.publish(COMMAND, "OFF")
    eventually(lambda: asked[1:] == [False], "it is unmuted")
    assert asked == [True, False]
    assert caplog.text.count("ignores the command b'on'") == 1
    assert caplog.text.count("ignores the command") == 1, "a flood is reported once"
    assert "\x1b" not in caplog.text
    broker.publish(COMMAND, "off")
    eventually(lambda: caplog.text.count("ignores the command") == 2, "and again after a valid one")


@pytest.mark.parametrize(("topic", "payload", "expected"), [
    (COMMAND, "ON", [True]), (COMMAND, "OFF", []), (MUTE, "ON", [True]), (MUTE, "OFF", []), (MUTE, "maybe", []),
])  # fmt: skip
def test_what_is_retained_is_obeyed_in_the_safe_direction_alone(broker, connect, asked, topic, payload, expected):
    broker.publish(topic, payload, retain=True)
    sink = connect(broker, mute=asked.append)
    sink.write(0.0, audio(AudioEventKind.OPENED))
    broker.retains(MUTE, "OFF")  # by now the retained message has arrived
    assert asked == expected


def test_the_state_of_before_is_restored_once(broker, connect, asked, caplog):
    """Later it is this run's own, and no order."""
    broker.publish(MUTE, "ON", retain=True)
    sink = connect(broker, mute=asked.append)
    eventually(lambda: asked == [True], "as before the restart")
    sink.write(0.0, audio(AudioEventKind.MUTED))
    broker.publish(COMMAND, "OFF")
    eventually(lambda: asked == [True, False], "it is unmuted")
    broker.signal(signal.SIGSTOP)
    sink.write(1.0, audio(AudioEventKind.OPENED))  # the broker does not learn of it
    broker.stop()
    eventually(lambda: "connection lost" in caplog.text, "the loss is noticed")
    broker.start()
    broker.publish(MUTE, "ON", retain=True)
    broker.retains(MUTE, "OFF")
    assert asked == [True, False]


def test_the_switch_shows_what_the_microphone_does_not_what_it_was_asked(broker, muted_sink, asked):
    broker.publish(COMMAND, "ON")
    eventually(lambda: asked, "it is asked")
    assert MUTE not in broker.retained()
    for kind, state in (("MUTED", "ON"), ("NOT_FOUND", "OFF"), ("MUTED", "ON"), ("OPENED", "OFF")):
        muted_sink.write(1.0, audio(AudioEventKind[kind]))
        broker.retains(MUTE, state)


def test_without_a_microphone_nothing_listens_to_commands(broker, connect):
    sink = connect(broker)
    sink.write(0.0, audio(AudioEventKind.OPENED))
    broker.publish(COMMAND, "ON", retain=True)
    sink.write(1.0, segment())
    broker.retains(STATE, "happy")
    assert MUTE not in broker.retained()


def test_a_broker_that_passes_no_commands_is_reported(muted_sink, caplog):
    """Mosquitto accepts every subscription, other brokers do not."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.reasoncodes import ReasonCode

    granted, refused = (ReasonCode(PacketTypes.SUBACK, identifier=code) for code in (1, 0x80))
    client, others = muted_sink._client, [refused] * len(muted_sink._old_topics)
    client.on_subscribe(client, None, 1, [*others, granted, granted], None)
    assert "refuses" not in caplog.text, "of old topics nothing is expected"
    for _ in range(2):
        client.on_subscribe(client, None, 1, [*others, refused, granted], None)
    assert caplog.text.count("refuses to pass commands") == 1


def test_a_mute_is_no_fault_and_no_reconnection():
    tally = Tally()
    for kind in ("OPENED", "MUTED", "OPENED", "LOST", "MUTED", "OPENED", "LOST", "OPENED"):
        tally.update(1.0, audio(AudioEventKind[kind]))
        assert tally.problem is (kind == "LOST")
    assert tally.reconnects == 1


# The capture process, at a virtual microphone


@pytest.fixture
def home(house, broker, connect):
    """A microphone whose events and samples go where the loop's would: `items` and the sink."""
    pytest.importorskip("pyaudio", reason="needs the mic extra: make test EXTRAS=mic")
    house.start()
    microphone = Microphone(RATE, "pulse", IMPATIENT)
    sink = connect(broker, mute=microphone.mute)
    broker.retains(AVAILABLE, "online")
    items: list = []

    def run() -> None:
        for item in microphone:
            items.append(item)
            if isinstance(item, AudioEvent):
                sink.write(0.0, item)

    thread = threading.Thread(target=run)
    thread.start()
    yield items
    microphone.close()
    thread.join()


def test_a_command_ends_the_capture_process_and_another_starts_one(home, broker):
    broker.retains(MUTE, "OFF")
    (first,) = capture_processes(os.getpid())
    broker.publish(COMMAND, "ON")
    broker.retains(MUTE, "ON")
    assert capture_processes(os.getpid()) == [], "closed before it is reported"
    at = len(home)
    broker.publish(COMMAND, "ON")
    broker.publish(COMMAND, "OFF?")
    assert json.loads(broker.retained()["ser/kitchen/audio"])["kind"] == "muted"
    assert (len(home), capture_processes(os.getpid())) == (at, []), "no samples, no process"
    broker.publish(COMMAND, "OFF")
    broker.retains(MUTE, "OFF")
    (second,) = capture_processes(os.getpid())
    assert second != first
    opened = home[at]
    assert opened.kind is AudioEventKind.OPENED
    assert opened.gap_seconds > 0, "what was said meanwhile is missing"
    eventually(lambda: len(home) > at + 3, "samples flow again")
    assert [item.kind for item in home if isinstance(item, AudioEvent)] == [
        AudioEventKind.OPENED, AudioEventKind.MUTED, AudioEventKind.OPENED,
    ]  # fmt: skip


def test_a_mute_while_the_device_is_being_looked_for_ends_the_search(house, caplog):
    pytest.importorskip("pyaudio", reason="needs the mic extra: make test EXTRAS=mic")
    caplog.set_level(logging.WARNING)
    house.start()
    microphone = Microphone(RATE, "pulse", IMPATIENT)
    try:
        kinds = []
        for item in microphone:
            kinds += [item.kind] if isinstance(item, AudioEvent) else []
            if kinds == [AudioEventKind.OPENED] and house.server is not None:
                house.stop()
            if kinds[-1:] == [AudioEventKind.NOT_FOUND]:
                microphone.mute(True)
            if kinds[-1:] == [AudioEventKind.MUTED]:
                assert capture_processes(os.getpid()) == []
                break
    finally:
        microphone.close()
    assert kinds[:2] == [AudioEventKind.OPENED, AudioEventKind.LOST]
