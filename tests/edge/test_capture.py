"""Finding a device, and counting what PortAudio lost: what needs no device."""

import time

import pytest

from edge.capture import Callback, Device, find
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
