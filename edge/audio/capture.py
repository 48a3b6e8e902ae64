"""The capture process: finds a device, opens it with PyAudio and writes its samples to standard output.

PortAudio runs in a process of its own because it can hang or crash: while a PulseAudio server hangs, or after a USB
device was unplugged (portaudio#1037), closing a stream never returns; a broken ALSA configuration aborts in the
allocator; devices that are connected later are found only after a restart. A process can always be killed, and what
PortAudio writes to standard error stays in it. Standard library and PyAudio only, so that it is small and starts fast.
"""

import dataclasses
import json
import os
import re
import struct
import sys
import threading
import time
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO

from edge.audio.ring_buffer import SampleRing

if TYPE_CHECKING:
    from pyaudio import PyAudio

BLOCK_SECONDS = 0.1
OTHER_RATES = (48000, 44100, 16000, 32000, 96000, 22050, 8000)
"""Hz, tried where a device does not open with the rate that it reports"""
OTHER_CHANNELS = (1, 2, 4, 6, 8, 3, 5, 7)
"""Likewise: arrays of microphones often open only with all of their channels"""
MAX_CHANNELS = max(OTHER_CHANNELS)
BAD_CHANNELS, BAD_RATE = -9998, -9997
"""PortAudio's paInvalidChannelCount and paInvalidSampleRate"""
HEADER = struct.Struct("<cQdI")
"""Of each record: kind, frames lost before it, monotonic s of its last frame, bytes that follow"""
DEVICES, FOUND, AUDIO, FAILED = b"L", b"D", b"A", b"F"
"""Kinds of record: JSON list of devices; JSON device, before it is opened and again after if rate or channels
differ; interleaved float32 frames; JSON {"message", "fatal"}"""


@dataclass(frozen=True)
class Device:
    """An input device, as its driver describes it."""

    index: int
    """In the current list: it changes when devices are connected or removed"""
    name: str
    rate: int
    """Hz, its own"""
    channels: int
    """At most; a mixer such as "pulse" reports more than any device has"""
    default: bool
    """Whether the system uses it when none is named"""

    @property
    def lasting_name(self) -> str:
        """The name without ALSA's card number, which changes when a device is plugged in again.

        >>> Device(3, "USB PnP Sound Device: Audio (hw:2,0)", 48000, 1, False).lasting_name
        'USB PnP Sound Device: Audio'
        """
        return re.sub(r"\s*\(hw:\d+,\d+\)$", "", self.name)


def find(devices: list[Device], wanted: str | None, again: str | None = None) -> Device:
    """The device with this index or name, else the first with this text in its name; the system's without any.

    `again` is the lasting name of the device that was found before: then only this device is returned, whatever its
    index is now. Raises LookupError with one line for the user.
    """
    if again is not None:
        found = [device for device in devices if device.lasting_name == again]
        missing = f"{again} is not connected"
    elif wanted is None:
        found = [device for device in devices if device.default]
        missing = "no microphone found; connect one, or name a device with --device"
    else:
        text = wanted.lower()
        exact = [device for device in devices if text in (str(device.index), device.name.lower())]
        part = [device for device in devices if text in device.name.lower()] if text and not text.isdigit() else []
        found = exact or part
        names = "; ".join(f"{device.index}: {device.name}" for device in devices) or "none"
        missing = f"no input device {wanted!r}; there are: {names}"
    if not found:
        raise LookupError(missing)
    return found[0]


def input_devices(audio: "PyAudio") -> list[Device]:
    """The input devices of `audio`: those that were connected when it was made."""
    try:
        default = audio.get_default_input_device_info()["index"]
    except OSError:  # there is none
        default = None
    infos = [audio.get_device_info_by_index(i) for i in range(audio.get_device_count())]
    return [
        Device(i["index"], i["name"], round(i["defaultSampleRate"]), i["maxInputChannels"], i["index"] == default)
        for i in infos
        if i["maxInputChannels"] > 0
    ]


def channel_counts(device: Device, channel: int | None) -> list[int]:
    """Numbers of channels to open `device` with, the best first. At least `channel`, the chosen one.

    Stereo before mono: a driver that mixes two channels would hide that one of them is inverted.

    >>> channel_counts(Device(0, "array", 16000, 6, True), None)
    [2, 1, 6, 4, 8, 3, 5, 7]
    >>> channel_counts(Device(0, "array", 16000, 6, True), 5)
    [6, 8, 5, 7]
    """
    most = device.channels
    least = 1 if channel is None else channel
    # A chosen channel needs the device's own count, unless that is more than any device has.
    wanted = [min(2, most), 1, most] if channel is None else [most if most <= MAX_CHANNELS else max(2, channel)]
    return [n for n in dict.fromkeys([*wanted, *OTHER_CHANNELS]) if n >= least]


def open_stream(
    audio: "PyAudio", device: Device, channel: int | None, ring_seconds: float, formats: ModuleType
) -> tuple:
    """Open `device` with the first rate and number of channels that its driver accepts.

    Args:
        formats: the module `pyaudio`, for its constants.

    Returns the stream, its ring, and the device as it was opened. Raises OSError if none is accepted, or at once for an
    error that concerns neither rate nor channels.
    """
    refused: list[OSError] = []
    for channels in channel_counts(device, channel):
        for rate in dict.fromkeys((device.rate or OTHER_RATES[0], *OTHER_RATES)):  # some report 0
            block_frames = round(rate * BLOCK_SECONDS)
            ring = SampleRing(max(2, round(ring_seconds / BLOCK_SECONDS)), block_frames, 4 * channels)
            try:
                # float32 represents every format exactly, and without the dither that would hide digital silence.
                stream = audio.open(
                    rate,
                    channels,
                    formats.paFloat32,
                    input=True,
                    input_device_index=device.index,
                    frames_per_buffer=block_frames,
                    stream_callback=Callback(ring, rate, formats.paInputOverflow, formats.paContinue),
                )
            except OSError as error:
                if error.errno not in (BAD_CHANNELS, BAD_RATE):
                    raise
                refused.append(error)
                if error.errno == BAD_CHANNELS:
                    break
            else:
                return stream, ring, dataclasses.replace(device, rate=rate, channels=channels)
    first = refused[0]
    raise OSError(first.errno, f"opens with no usual rate and number of channels ({first.strerror})")


class Callback:
    """PortAudio's callback: copies into the ring and counts what PortAudio lost, nothing else."""

    def __init__(self, ring: SampleRing, rate: int, overflow: int, go_on: int) -> None:
        self._ring, self._rate, self._overflow, self._result = ring, rate, overflow, (None, go_on)
        self._last_call: float | None = None

    def __call__(self, data: bytes, n_frames: int, timing: dict, status: int) -> tuple[None, int]:
        now = time.monotonic()
        lost = 0
        if status & self._overflow and self._last_call is not None:
            # PortAudio reports that it lost samples, not how many: count them by the clock, at least one.
            lost = max(1, round((now - self._last_call) * self._rate) - n_frames)
        self._last_call = now
        self._ring.write(data, now, lost)
        return self._result


class Writer:
    """Writes records to the parent process; ends this process when the parent has gone."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def __call__(self, kind: bytes, payload: bytes, lost: int = 0, seconds: float = 0.0) -> None:
        try:
            self._stream.write(HEADER.pack(kind, lost, seconds, len(payload)) + payload)
            self._stream.flush()
        except BrokenPipeError:
            os._exit(0)

    def json(self, kind: bytes, value: object) -> None:
        self(kind, json.dumps(value).encode())


def record(request: dict, write: Writer) -> None:
    """Open the device that `request` asks for (see `edge.audio.microphone`) and write its samples until it ends."""
    try:
        import pyaudio
    except ImportError:
        from crnn.cli.installed import install

        message = f"the microphone needs PyAudio: {install('mic')} (Debian: portaudio19-dev)"
        return write.json(FAILED, {"message": message, "fatal": True})
    audio = pyaudio.PyAudio()
    devices = input_devices(audio)
    if request["list"]:
        return write.json(DEVICES, [dataclasses.asdict(device) for device in devices])
    try:
        device = find(devices, request["device"], request["again"])
    except LookupError as error:
        # A name that was never found is a mistake of the user; a device that was there before may come back.
        return write.json(FAILED, {"message": error.args[0], "fatal": not request["known"]})
    channel = request["channel"]
    if channel is not None and channel > device.channels:
        message = f"{device.name}: has {device.channels} channel(s), no channel {channel}; give another --channel"
        return write.json(FAILED, {"message": message, "fatal": not request["known"]})
    write.json(FOUND, dataclasses.asdict(device))
    try:
        stream, ring, opened = open_stream(audio, device, channel, request["ring_seconds"], pyaudio)
        if opened != device:
            write.json(FOUND, dataclasses.asdict(opened))
        while (block := ring.read(timeout=0.2)) or stream.is_active():
            if block:
                write(AUDIO, block.data, block.lost, block.seconds)
    except OSError as error:
        return write.json(FAILED, {"message": f"{device.name}: {error.strerror or error}", "fatal": False})
    return write.json(FAILED, {"message": f"{device.name}: the device has stopped", "fatal": False})


def main(request: str) -> None:
    """The process: one JSON request, records on standard output until the device or standard input ends."""
    # Output of the libraries goes to standard error; standard output is for records.
    write = Writer(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    # The parent holds our standard input: when it ends, for whatever reason, so does this process. In a thread, because
    # the main thread may hang in PortAudio.
    threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
    record(json.loads(request), write)
    os._exit(0)  # closing PortAudio may hang, and the kernel closes the device anyway
