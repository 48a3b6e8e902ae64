"""A microphone that reconnects: samples and events until it is closed, whatever happens to the device.

PortAudio runs in a process of its own (see `edge.audio.capture`), which is started, monitored and restarted here.
"""

import json
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace

import numpy as np

from crnn.errors import InputError, require
from edge.audio.capture import AUDIO, DEVICES, FOUND, Device
from edge.audio.capture_process import CaptureProcess, Record
from edge.audio.events import AudioEvent, AudioEventKind
from edge.audio.input_chain import InputChain
from edge.preflight import needed

POLL_SECONDS = 0.2
"""s between two checks whether the microphone was closed"""


@dataclass(frozen=True)
class MicrophoneConfig:
    """Times and limits of a microphone."""

    ring_seconds: float = 10.0
    """s of audio buffered for a consumer that is late; older samples are lost, and their number is reported"""
    stall_seconds: float = 5.0
    """s without samples after which the device is lost"""
    open_seconds: float = 15.0
    """s without an answer of the audio system after which a try has failed"""
    zeros_seconds: float = 5.0
    """s of a constant signal that are reported"""
    clip_share: float = 0.01
    """Share of a second's samples at full scale that is reported, 0 to 1"""
    first_delay_seconds: float = 0.5
    """s: the longest wait after the first failed try; it doubles with each"""
    max_delay_seconds: float = 30.0
    """s: the longest wait between tries"""
    retries: int | None = None
    """Failed tries in a row after the first before giving up; None: never"""

    def __post_init__(self) -> None:
        for name in ("ring_seconds", "stall_seconds", "open_seconds", "zeros_seconds", "first_delay_seconds"):
            require(getattr(self, name) > 0, f"microphone.{name} is {getattr(self, name)}; give seconds above 0")
        require(
            self.max_delay_seconds >= self.first_delay_seconds,
            f"microphone.max_delay_seconds is {self.max_delay_seconds}; give at least first_delay_seconds",
        )
        require(0 < self.clip_share <= 1, f"microphone.clip_share is {self.clip_share}; give a share above 0, to 1")
        require(self.retries is None or self.retries >= 0, f"microphone.retries is {self.retries}; give 0 or more")


def list_devices(timeout: float = 15.0) -> list[Device]:
    """The input devices there are now.

    Raises InputError if PyAudio is missing or the audio system does not answer within `timeout` s.
    """
    process = CaptureProcess(list=True)
    try:
        record = process.read(timeout)
        if record is None:
            raise InputError(f"the audio system does not answer within {timeout:g} s")
    except OSError as error:
        raise InputError(f"the devices cannot be listed: {error}") from error
    finally:
        process.close()
    if record.kind != DEVICES:
        raise RuntimeError(f"a list of devices was asked for, not {record.kind!r}")
    return [Device(**fields) for fields in json.loads(record.payload)]


class Microphone:
    """Iterate over it: `np.ndarray` chunks `(time,)`, float32, mono, at `sample_rate`, and `AudioEvent`s, in order.

    The device is opened at its own rate, in stereo, mono, or as it can be opened (`edge.audio.capture`,
    `edge.audio.channels`). If it delivers another rate than it was opened with, that rate is used from then on.

    The iteration goes on until `close()`. If the device is unplugged or stalls, or its server ends, this
    reports LOST, tries again with growing, random delays (NOT_FOUND for each failed try), finds the device by its name,
    whatever its index, and reports OPENED. `gap_seconds` of OPENED (the time that passed) and of OVERRUN (the number of
    lost samples) is the audio missing between the samples before and after the event. `mute(True)` ends the capture
    process: the iteration reports MUTED and waits, until `mute(False)` opens the device again.

    Args:
        sample_rate: Hz, of what is yielded.
        device: index, name or part of the name; None: the system's.
        channel: the one to use, from 1; None: of two their mean, of more the first with a signal.
        waiting: called every `POLL_SECONDS` or more often while this waits for samples, a device or to be unmuted.

    Iterating raises InputError if at first there is no such device, if PyAudio is missing, or after `config.retries`.
    """

    def __init__(
        self,
        sample_rate: int,
        device: str | None = None,
        config: MicrophoneConfig | None = None,
        channel: int | None = None,
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        require(sample_rate > 0, f"sample_rate is {sample_rate}; give a rate in Hz above 0")
        require(channel is None or channel >= 1, f"--channel {channel}: channels count from 1")
        self._channel, self._waiting = channel, waiting
        self._delivered: dict[str, int] = {}  # lasting name -> Hz, of devices that deliver another rate than they say
        self._sample_rate, self._device, self._config = sample_rate, device, config or MicrophoneConfig()
        self._known = False  # whether there was such a device
        self._again: str | None = None  # its lasting name
        self._last_sample: float | None = None  # monotonic s of the last sample
        self._capture: CaptureProcess | None = None
        self._closed = self._muted = False

    def __enter__(self) -> "Microphone":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the iteration, also one that waits. From any thread or signal handler, any number of times."""
        # No lock: a signal handler may run while the consumer holds it.
        self._closed = True
        self._kill_capture()

    def mute(self, muted: bool) -> None:
        """Close the device, also while it is being opened, or open it again. From any thread, any number of times."""
        self._muted = muted
        if muted:
            self._kill_capture()

    def _kill_capture(self) -> None:
        capture = self._capture
        if capture is not None:
            capture.kill()

    @property
    def _unwanted(self) -> bool:
        """Whether no samples are wanted."""
        return self._closed or self._muted

    def __iter__(self) -> Iterator[np.ndarray | AudioEvent]:
        try:
            while not self._closed:
                if self._muted:
                    yield from self._wait_muted()
                    continue
                opened = yield from self._open()
                if opened is not None:
                    yield from self._listen(*opened)
        finally:
            self._end_capture()

    def _wait_muted(self) -> Iterator[AudioEvent]:
        self._end_capture()  # before it is reported
        yield AudioEvent(AudioEventKind.MUTED, "the microphone is closed until it is unmuted")
        while self._muted and not self._closed:
            self._waiting()
            time.sleep(POLL_SECONDS)

    def _open(self) -> Generator[AudioEvent, None, tuple[Device, Record] | None]:
        """Try until there are samples; returns the device and its first record, or None if unwanted meanwhile."""
        with needed("the microphone", "mic"):
            from tenacity import (
                Retrying,
                retry_if_exception_type,
                stop_after_attempt,
                stop_never,
                wait_random_exponential,
            )

        config = self._config
        most = None if config.retries is None else config.retries + 1
        tries = Retrying(
            wait=wait_random_exponential(multiplier=config.first_delay_seconds, max=config.max_delay_seconds),
            stop=stop_never if most is None else stop_after_attempt(most),
            retry=retry_if_exception_type(OSError),
            sleep=self._pause,
            reraise=True,
        )
        try:
            for attempt in tries:
                opened = None
                with attempt:
                    opened = self._try_open()
                outcome = attempt.retry_state.outcome
                failure = None if outcome is None else outcome.exception()
                if self._unwanted:
                    return None
                if isinstance(failure, OSError):
                    self._end_capture()
                    yield AudioEvent(AudioEventKind.NOT_FOUND, str(failure))
        except OSError as error:
            raise InputError(f"microphone: gave up after {most} tries: {error}") from error
        if opened is not None:
            yield self._opened_event(*opened)
        return opened

    def _try_open(self) -> tuple[Device, Record] | None:
        self._end_capture()  # of a try that a mute has ended
        if self._unwanted:
            return None
        config = self._config
        self._capture = CaptureProcess(
            list=False,
            device=self._device,
            known=self._known,
            again=self._again,
            ring_seconds=config.ring_seconds,
            channel=self._channel,
        )
        record = self._next(config.open_seconds, "the audio system does not answer")
        if record is None:
            return None
        if record.kind != FOUND:
            raise RuntimeError(f"a device was asked for, not {record.kind!r}")
        device = Device(**json.loads(record.payload))
        self._known, self._again = True, device.lasting_name if self._device is not None else None
        stalled = f"{device.name}: no samples for {config.stall_seconds:g} s"
        first = self._next(config.stall_seconds, stalled)
        if first is not None and first.kind == FOUND:  # opened with another rate or number of channels
            device = Device(**json.loads(first.payload))
            first = self._next(config.stall_seconds, stalled)
        device = replace(device, rate=self._delivered.get(device.lasting_name, device.rate))
        return None if first is None else (device, first)

    def _opened_event(self, device: Device, first: Record) -> AudioEvent:
        gap = 0.0
        if self._last_sample is not None:
            began = first.seconds - len(first.payload) / (4 * device.channels * device.rate)
            gap = max(0.0, began - self._last_sample)
        message = f"{device.name}: {device.rate} Hz, {device.channels} channel(s)"
        return AudioEvent(AudioEventKind.OPENED, message, gap)

    def _listen(self, device: Device, record: Record | None) -> Iterator[np.ndarray | AudioEvent]:
        """Samples and events until the device is lost or the samples are unwanted."""
        config = self._config
        chain = self._chain(device)
        lost = None
        while record is not None:
            if record.kind != AUDIO:
                raise RuntimeError(f"audio was expected, not {record.kind!r}")
            if record.lost:  # the stream ends here and another begins
                yield from chain.end()
                gap = record.lost / chain.rate
                yield AudioEvent(AudioEventKind.OVERRUN, f"{gap:.2f} s of audio lost: this machine is too slow", gap)
            frames = np.frombuffer(record.payload, dtype=np.float32).reshape(-1, device.channels)
            self._last_sample = record.seconds
            yield from chain.process(frames)
            try:
                delivered = chain.check_rate(len(frames) + record.lost, record.seconds)
                if delivered is not None:
                    yield from chain.end()
                    message = f"{device.name}: opened at {chain.rate} Hz, delivers {delivered}: used at {delivered} Hz"
                    self._delivered[device.lasting_name] = delivered
                    chain = self._chain(replace(device, rate=delivered))
                    yield AudioEvent(AudioEventKind.OPENED, message)
                record = self._next(config.stall_seconds, f"{device.name}: no samples for {config.stall_seconds:g} s")
            except OSError as error:
                lost, record = error, None
        yield from chain.end()
        self._end_capture()
        if lost is not None:
            yield AudioEvent(AudioEventKind.LOST, str(lost))

    def _chain(self, device: Device) -> InputChain:
        config = self._config
        return InputChain(device, self._sample_rate, self._channel, config.zeros_seconds, config.clip_share)

    def _next(self, seconds: float, otherwise: str) -> Record | None:
        """The next record; None once unwanted. Raises OSError, saying `otherwise`, if there is none for `seconds`."""
        deadline = time.monotonic() + seconds
        capture = self._capture
        if capture is None:
            raise RuntimeError("a record was asked for, and no capture process runs")
        try:
            while not self._unwanted:
                self._waiting()
                if (record := capture.read(POLL_SECONDS)) is not None:
                    return record
                if time.monotonic() > deadline:
                    raise OSError(otherwise)
        except OSError:
            if not self._unwanted:
                raise
        return None

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._unwanted and (left := deadline - time.monotonic()) > 0:
            self._waiting()
            time.sleep(min(POLL_SECONDS, left))

    def _end_capture(self) -> None:
        if self._capture is not None:
            self._capture.close()
            self._capture = None
