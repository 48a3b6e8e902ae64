"""Real PyAudio captures from a virtual microphone (the monitor of a PulseAudio null sink), and every fault for real."""

import os
import re
import signal
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
import virtual_microphone
from virtual_microphone import (
    IMPATIENT,
    LOST,
    NOT_FOUND,
    OPENED,
    RATE,
    capture_processes,
    captured_well,
    chirp,
    place,
    samples_of,
)

from crnn.errors import InputError
from edge.audio.events import AudioEvent, AudioEventKind
from edge.audio.microphone import Microphone, MicrophoneConfig, list_devices

virtual_microphone.needed()


@pytest.mark.parametrize("channels", [1, 2], ids=["mono", "stereo"])
@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_captures_what_is_played(house, listen, rate, channels):
    house.start(rate, channels)
    listener = listen()
    assert listener.event(OPENED).gap_seconds == 0
    parts = [chirp(1.0), 0.5 * chirp(1.0)[::-1]][:channels]
    player = house.play(np.stack(parts, axis=1))
    listener.until(lambda _: player.poll() is not None)
    listener.listen(1.0)
    received = samples_of(listener.items)
    assert received.dtype == np.float32
    expected = np.mean(parts, axis=0)
    at, fit = place(expected, received)
    assert fit > 0.99
    assert np.std(received[at : at + RATE]) == pytest.approx(np.std(expected), rel=0.05)


def test_devices_are_listed(house):
    house.name("kitchen")
    house.start()
    devices = list_devices()
    assert {"pulse", "kitchen"} <= {device.name for device in devices}
    assert sum(device.default for device in devices) == 1
    assert len({device.index for device in devices}) == len(devices)
    assert all(device.rate >= 8000 and device.channels >= 1 for device in devices)


def test_an_unknown_device_is_refused_at_once(house, listen):
    house.start()
    with pytest.raises(InputError, match="'telephone'.*pulse"):
        listen("telephone").event(OPENED)


def test_no_device_at_all_is_refused_at_once(listen):
    with pytest.raises(InputError, match="microphone"):
        listen(None).event(OPENED)


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    (tmp_path / "pyaudio.py").write_text("raise ImportError('not here')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="PyAudio.*pip install"):
        next(iter(Microphone(RATE)))
    with pytest.raises(InputError, match="PyAudio.*pip install"):
        list_devices()


def test_a_device_that_cannot_be_opened_yet_is_tried_again(house, listen):
    house.name("kitchen")
    house.start()
    house.unplug()
    listener = listen("kitchen")
    for _ in range(3):
        assert "kitchen" in listener.event(NOT_FOUND).message
    house.plug()
    assert listener.event(OPENED).gap_seconds == 0
    captured_well(listener, house)


def test_tries_end_where_a_limit_was_given(house, listen):
    house.name("kitchen")
    house.start()
    house.unplug()
    listener = listen("kitchen", MicrophoneConfig(retries=2, first_delay_seconds=0.1, stall_seconds=2.0))
    with pytest.raises(InputError, match="3 tries.*kitchen"):
        listener.event(OPENED)
    assert [item.kind for item in listener.items] == [NOT_FOUND] * 3


def test_an_unplugged_device_comes_back_under_another_index(house, listen):
    house.name("kitchen")
    house.start()
    before = next(device.index for device in list_devices() if device.name == "kitchen")
    began = time.monotonic()
    listener = listen(str(before))
    listener.event(OPENED)
    listener.listen(0.5)
    house.name()
    house.unplug()
    unplugged = time.monotonic()
    assert listener.event(LOST).gap_seconds == 0
    assert listener.event(NOT_FOUND).message.startswith("kitchen ")
    house.name("attic", "cellar", "kitchen")
    assert next(device.index for device in list_devices() if device.name == "kitchen") != before
    plugged = time.monotonic()
    house.plug()
    opened = listener.event(OPENED)
    assert opened.message.startswith("kitchen")
    audio = len(samples_of(listener.items)) / RATE + opened.gap_seconds
    assert plugged - unplugged <= opened.gap_seconds
    assert audio <= time.monotonic() - began  # no audio is counted twice
    captured_well(listener, house)


def test_a_server_that_dies_comes_back(house, listen):
    house.start()
    listener = listen()
    listener.event(OPENED)
    listener.listen(0.5)
    house.stop()
    died = time.monotonic()
    listener.event(LOST)
    assert listener.event(NOT_FOUND).message.startswith("pulse ")
    restarted = time.monotonic()
    house.start(48000, 2)
    assert listener.event(OPENED).gap_seconds >= restarted - died
    captured_well(listener, house)


def test_a_server_that_hangs_is_a_stall(house, listen):
    house.start()
    listener = listen()
    listener.event(OPENED)
    listener.listen(0.5)
    house.server.send_signal(signal.SIGSTOP)
    assert re.match("pulse: .*2 s$", listener.event(LOST).message)
    with pytest.raises(InputError, match="audio system .*1 s"):
        list_devices(timeout=1.0)
    house.server.send_signal(signal.SIGCONT)
    assert listener.event(OPENED).gap_seconds > IMPATIENT.stall_seconds
    captured_well(listener, house)


def test_a_suspended_device_is_a_stall(house, listen):
    house.start()
    listener = listen()
    listener.event(OPENED)
    house.pactl("suspend-sink", "speaker", "1")
    assert re.match("pulse: .*2 s$", listener.event(LOST).message)
    assert re.match("pulse: .*2 s$", listener.event(NOT_FOUND).message)
    house.pactl("suspend-sink", "speaker", "0")
    assert listener.event(OPENED).gap_seconds > 2 * IMPATIENT.stall_seconds
    captured_well(listener, house)


def test_a_capture_process_that_dies_is_replaced(house, listen):
    house.start()
    listener = listen()
    listener.event(OPENED)
    (pid,) = capture_processes(os.getpid())
    os.kill(pid, signal.SIGSEGV)
    assert "SIGSEGV" in listener.event(LOST).message
    listener.event(OPENED)
    captured_well(listener, house)


def test_waiting_is_reported_while_it_is_muted_missing_or_silent(house, listen):
    """The watchdog of a service counts these as progress."""
    house.name("kitchen")
    house.start()
    listener = listen("kitchen")

    def waits(what: Callable[[], None]) -> None:
        before = listener.waits
        what()
        assert listener.waits - before >= 2

    waits(lambda: listener.event(OPENED))
    listener.microphone.mute(True)
    listener.event(AudioEventKind.MUTED)
    threading.Timer(1.0, listener.microphone.mute, [False]).start()
    waits(lambda: listener.event(OPENED))
    house.pactl("suspend-sink", "speaker", "1")
    waits(lambda: listener.event(LOST))
    house.unplug()
    waits(lambda: [listener.event(NOT_FOUND) for _ in range(3)])


def test_zeros_are_reported(house, listen):
    house.start()
    listener = listen()
    listener.event(OPENED)
    listener.event(AudioEventKind.ZEROS)
    player = house.play(chirp(2.0))
    listener.event(AudioEventKind.RECOVERED)
    listener.until(lambda _: player.poll() is not None)
    listener.event(AudioEventKind.ZEROS)


def test_an_inverted_channel_is_reported_and_the_other_is_used(house, listen):
    house.start(RATE, 2)
    listener = listen()
    listener.event(OPENED)
    played = chirp(2.0)
    player = house.play(np.stack([played, -played], axis=1))
    assert "inverted" in listener.event(AudioEventKind.CHANNEL).message
    listener.until(lambda _: player.poll() is not None)
    listener.listen(1.0)
    assert place(played[RATE:], samples_of(listener.items))[1] > 0.99


def test_clipping_is_reported(house, listen):
    house.start()
    listener = listen()
    listener.event(OPENED)
    square = np.sign(np.sin(2 * np.pi * 200 * np.arange(4 * RATE) / RATE))
    player = house.play(square)
    assert "full scale" in listener.event(AudioEventKind.CLIPPED).message
    listener.until(lambda item: isinstance(item, AudioEvent) and "clipped" in item.message)
    player.wait()


def test_a_late_consumer_gets_the_number_of_lost_samples(house, listen):
    house.start()
    listener = listen("pulse", MicrophoneConfig(ring_seconds=1.0))
    listener.event(OPENED)
    played = np.random.default_rng(0).uniform(-0.5, 0.5, 12 * RATE).astype(np.float32)
    player = house.play(played)
    listener.until(lambda item: isinstance(item, np.ndarray) and item.any())
    listener.listen(1.0)
    time.sleep(4.0)
    overrun = listener.event(AudioEventKind.OVERRUN)
    assert overrun.gap_seconds > 1.0
    before = samples_of(listener.items)[-RATE // 2 :]
    after = listener.listen(0.5)[: RATE // 2]
    player.kill()
    player.wait()
    (start, fit), (end, fit_after) = place(before, played), place(after, played)
    assert min(fit, fit_after) > 0.9
    missing = end - (start + len(before))
    assert overrun.gap_seconds * RATE == pytest.approx(missing, abs=0.02 * RATE)
