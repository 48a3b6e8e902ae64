"""Finding a device, what its driver gives, and counting what PortAudio lost: what needs no device."""

import dataclasses
import json
import sys
import time

import numpy as np
import pytest

from crnn.config import InputError
from edge import microphone
from edge.capture import AUDIO, FOUND, Callback, Device, find
from edge.capture_process import Record
from edge.ring import SampleRing

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
    with pytest.raises(LookupError, match="USB PnP Sound Device: Audio is not connected"):
        find([DEFAULT, PULSE], "1", again=USB.lasting_name)  # another device with that index will not do


@pytest.mark.parametrize(
    ("devices", "wanted", "message"),
    [
        ([USB, PULSE], "telephone", "no input device 'telephone'; there are: 1: USB.*; 2: pulse"),
        ([USB, PULSE], "7", "no input device '7'"),
        ([USB, PULSE], "", "no input device ''"),
        ([], "usb", "there are: none"),
        ([PULSE], None, "no microphone found"),
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
    heard = iter(microphone.Microphone(16000))
    next(heard)  # opened
    assert [set(next(heard).tolist()) for _ in range(5)] == [{0.0}, {1.0}, {-1.0}, {1.0}, {0.5}]


def test_a_package_that_the_microphone_lacks_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tenacity", None)
    with pytest.raises(InputError, match=r"the microphone needs tenacity: pip install '\.\[mic\]'"):
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
