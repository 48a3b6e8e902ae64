"""Finding a device, what its driver gives, and counting what PortAudio lost: what needs no device."""

import dataclasses
import json
import re
import sys
import time

import numpy as np
import pytest

from crnn.errors import InputError
from edge.audio import microphone
from edge.audio.capture import AUDIO, FAILED, FOUND, Callback, Device, find, open_stream, record
from edge.audio.capture_process import Record
from edge.audio.ring_buffer import SampleRing

USB = Device(1, "USB PnP Sound Device: Audio (hw:1,0)", 48000, 1, False)
PULSE = Device(2, "pulse", 44100, 32, False)
DEFAULT = Device(3, "default", 44100, 32, True)
USB_AGAIN = Device(4, "USB PnP Sound Device: Audio (hw:3,0)", 48000, 1, False)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("usb", USB), ("USB PnP Sound Device: Audio (hw:1,0)", USB), ("2", PULSE), ("PULSE", PULSE), (None, DEFAULT)],
)
def test_a_device_by_name_part_of_it_or_index(wanted, found):
    assert find([USB, PULSE, DEFAULT], wanted) is found


def test_a_whole_name_goes_before_a_part_of_another():
    assert find([Device(0, "pulse of the house", 16000, 1, False), PULSE], "pulse") is PULSE


def test_a_known_device_is_found_by_name_whatever_its_index_and_card():
    assert find([PULSE, DEFAULT, USB_AGAIN], "1", again=USB.lasting_name) is USB_AGAIN
    with pytest.raises(LookupError, match="USB PnP Sound Device: Audio "):
        find([DEFAULT, PULSE], "1", again=USB.lasting_name)  # another device with that index will not do


@pytest.mark.parametrize(
    ("devices", "wanted", "message"),
    [
        ([USB, PULSE], "telephone", "'telephone'.* 1: USB.* 2: pulse"),
        ([USB, PULSE], "7", "'7'"),
        ([USB, PULSE], "", "''"),
        ([], "usb", "'usb'.* none"),
        ([PULSE], None, "microphone"),
    ],
)
def test_an_unknown_device_is_named(devices, wanted, message):
    with pytest.raises(LookupError, match=message):
        find(devices, wanted)


class Garbage:
    """A capture process whose driver gives what is no sound, and then a sound."""

    def __init__(self, **_) -> None:
        blocks = [np.full(1600, bad, dtype=np.float32) for bad in (np.nan, np.inf, -np.inf, 1e20, 0.5)]
        device = json.dumps(dataclasses.asdict(Device(0, "usb", 16000, 1, True))).encode()
        self._records = [Record(FOUND, 0, 0.0, device)]
        self._records += [Record(AUDIO, 0, n / 10, block.tobytes()) for n, block in enumerate(blocks, start=1)]

    def read(self, timeout: float) -> Record | None:
        return self._records.pop(0) if self._records else None

    def kill(self) -> None:
        pass

    close = kill


def test_garbage_from_a_driver_becomes_samples(monkeypatch):
    pytest.importorskip("tenacity", reason="needs the mic extra: make test EXTRAS=mic")
    monkeypatch.setattr(microphone, "CaptureProcess", Garbage)
    received = iter(microphone.Microphone(16000))
    next(received)  # opened
    assert [set(next(received).tolist()) for _ in range(5)] == [{0.0}, {1.0}, {-1.0}, {1.0}, {0.5}]


def test_a_package_that_the_microphone_lacks_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tenacity", None)
    with pytest.raises(InputError, match=r"tenacity.* pip install -e '\.\[mic\]'"):
        next(iter(microphone.Microphone(16000)))


def test_samples_that_portaudio_lost_are_counted_by_the_clock():
    rate, overflow = 1000, 2
    ring = SampleRing(10, 100, 1)
    callback = Callback(ring, rate, overflow, go_on=0)
    assert callback(bytes(100), 100, {}, overflow) == (None, 0)  # before the first samples nothing can be lost
    before = time.monotonic()
    assert ring.read(timeout=0).lost == 0
    callback(bytes(100), 100, {}, 0)
    time.sleep(0.3)
    callback(bytes(100), 100, {}, overflow)
    at_most = (time.monotonic() - before) * rate - 100
    callback(bytes(100), 100, {}, overflow)  # at once: the clock knows of no loss, PortAudio does
    lost = [ring.read(timeout=0).lost for _ in range(3)]
    assert lost[0] == 0
    assert 0.3 * rate - 100 <= lost[1] <= at_most + 1
    assert lost[2] == 1


class Driver:
    """A PyAudio, and the module, of one device that opens with some rates and numbers of channels alone."""

    paFloat32, paInputOverflow, paContinue = 1, 2, 0

    def __init__(self, rates: set[int], channels: set[int], reported: Device, busy: bool = False) -> None:
        self.rates, self.channels, self.reported, self.busy = rates, channels, reported, busy
        self.tried: list[tuple[int, int]] = []

    def open(self, rate, channels, *_, **__):
        self.tried.append((rate, channels))
        if self.busy:
            raise OSError(-9985, "Device unavailable")
        if channels not in self.channels:
            raise OSError(-9998, "Invalid number of channels")
        if rate not in self.rates:
            raise OSError(-9997, "Invalid sample rate")
        return "the stream"

    def PyAudio(self):  # noqa: N802 PyAudio's own name
        return self

    def get_default_input_device_info(self):
        return self.get_device_info_by_index(0)

    def get_device_count(self):
        return 1

    def get_device_info_by_index(self, index):
        d = self.reported
        return {"index": 0, "name": d.name, "defaultSampleRate": float(d.rate), "maxInputChannels": d.channels}


def array(rate: int, channels: int) -> Device:
    return Device(0, "array", rate, channels, True)


@pytest.mark.parametrize(
    ("rates", "channels", "reported", "chosen", "opened"),
    [
        ({16000}, {6}, (16000, 6), None, (16000, 6)),
        ({16000}, {8}, (16000, 8), None, (16000, 8)),
        ({16000}, {6}, (48000, 6), None, (16000, 6)),
        ({44100}, {1, 2}, (48000, 2), None, (44100, 2)),
        ({48000}, {1}, (48000, 2), None, (48000, 1)),
        ({48000}, {8}, (48000, 2), None, (48000, 8)),
        ({48000, 44100}, {1, 2, 32}, (44100, 32), None, (44100, 2)),
        ({16000}, {1, 2, 6}, (16000, 6), 1, (16000, 6)),
        ({16000}, {1}, (0, 1), None, (16000, 1)),
        ({44100}, set(range(1, 33)), (44100, 32), 5, (44100, 5)),
        ({44100}, {1}, (44100, 1), 1, (44100, 1)),
    ],
)
def test_a_device_is_opened_with_what_it_takes(rates, channels, reported, chosen, opened):
    driver = Driver(rates, channels, array(*reported))
    stream, ring, device = open_stream(driver, driver.reported, chosen, 1.0, driver)
    assert (device.rate, device.channels) == opened == driver.tried[-1]
    assert stream == "the stream"
    ring.write(bytes(4 * device.channels * device.rate // 10), 0.0, 0)
    assert len(ring.read(timeout=0).data) == 4 * device.channels * device.rate // 10


def test_a_device_that_is_busy_is_not_tried_with_everything():
    driver = Driver({16000}, {1}, array(16000, 1), busy=True)
    with pytest.raises(OSError, match="Device unavailable"):
        open_stream(driver, driver.reported, None, 1.0, driver)
    assert len(driver.tried) == 1


def test_what_is_wrong_with_a_device_that_takes_nothing_is_said():
    driver = Driver(set(), {1, 2}, array(48000, 2))
    with pytest.raises(OSError, match="Invalid sample rate"):
        open_stream(driver, driver.reported, None, 1.0, driver)


def test_a_channel_that_the_device_lacks_is_refused(monkeypatch):
    driver, said = Driver({48000}, {1, 2}, array(48000, 2)), []
    monkeypatch.setitem(sys.modules, "pyaudio", driver)

    class Said:
        def json(self, kind, value):
            said.append((kind, value))

    request = {"list": False, "device": None, "again": None, "known": False, "ring_seconds": 1.0, "channel": 3}
    record(request, Said())
    ((kind, value),) = said
    assert (kind, value["fatal"]) == (FAILED, True)
    assert re.match("array: .* 2 .* channel 3.* --channel", value["message"])
    assert driver.tried == []
    with pytest.raises(InputError, match="--channel 0: "):
        microphone.Microphone(16000, channel=0)


def capture(records: list[Record]):
    """A capture process that says `records`, and then that the device has gone."""

    class Said:
        def __init__(self, **_) -> None:
            self.records = list(records)

        def read(self, timeout: float) -> Record:
            if not self.records:
                raise OSError("the device has gone")
            return self.records.pop(0)

        def kill(self) -> None:
            pass

        close = kill

    return Said


def found(device: Device) -> Record:
    return Record(FOUND, 0, 0.0, json.dumps(dataclasses.asdict(device)).encode())


def until_lost(monkeypatch, records: list[Record], channel: int | None = None) -> tuple[np.ndarray, list]:
    pytest.importorskip("tenacity", reason="needs the mic extra: make test EXTRAS=mic")
    monkeypatch.setattr(microphone, "CaptureProcess", capture(records))
    samples, events = [], []
    for item in microphone.Microphone(16000, channel=channel):
        (samples if isinstance(item, np.ndarray) else events).append(item)
        if events and events[-1].kind.value == "lost":
            break
    return np.concatenate(samples), events


@pytest.mark.parametrize("channel", [None, 1, 4])
def test_an_array_is_read_as_it_was_opened(monkeypatch, channel):
    frames = np.zeros((16000, 6), dtype=np.float32)
    frames[:, [0, 3]] = np.random.default_rng(0).uniform(-0.5, 0.5, (16000, 2))
    blocks = [Record(AUDIO, 0, n / 10, frames[n * 1600 : (n + 1) * 1600].tobytes()) for n in range(10)]
    samples, events = until_lost(monkeypatch, [found(array(48000, 6)), found(array(16000, 6)), *blocks], channel)
    assert np.array_equal(samples, frames[:, (channel or 1) - 1])
    assert [event.kind.value for event in events] == ["opened", "lost"]
    assert re.match("array: 16000 Hz.* 6 channel", events[0].message)


@pytest.mark.parametrize(("opened", "delivered"), [(48000, 16000), (16000, 48000), (44100, 48000)])
def test_a_device_that_delivers_another_rate_is_read_at_that_rate(monkeypatch, opened, delivered):
    seconds, block = 14, opened // 10
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(seconds * delivered) / delivered).astype(np.float32)
    blocks = [
        Record(AUDIO, 0, 100 + (at + block) / delivered, tone[at : at + block].tobytes())
        for at in range(0, len(tone) - block, block)
    ]
    samples, events = until_lost(monkeypatch, [found(array(opened, 1)), *blocks])
    assert [event.kind.value for event in events] == ["opened", "opened", "lost"]
    assert re.match(f"array: .*{opened} Hz.* {delivered} Hz$", events[1].message)
    last = samples[-16000:]
    assert np.argmax(np.abs(np.fft.rfft(last * np.hanning(16000)))) == pytest.approx(440, abs=1)


def test_an_impossible_rate_is_reported_and_the_device_opened_again(monkeypatch):
    block = np.zeros(4800, dtype=np.float32)
    blocks = [Record(AUDIO, 0, n * 4800 / 40000, block.tobytes()) for n in range(200)]
    _, events = until_lost(monkeypatch, [found(array(48000, 1)), *blocks])
    assert re.match("array: .*48000 Hz.* 40000 ", events[-1].message)
