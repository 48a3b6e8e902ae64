"""How listening ends: closed from elsewhere, by signals, by its listener's death; and what it costs until then."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import virtual_microphone
from helpers import ROOT
from virtual_microphone import (
    IMPATIENT,
    NOT_FOUND,
    OPENED,
    PATIENCE,
    RATE,
    capture_processes,
    eventually,
    gone,
)

from crnn.errors import InputError
from edge.audio.events import AudioEvent
from edge.audio.microphone import Microphone, MicrophoneConfig

virtual_microphone.needed()


@pytest.mark.parametrize("state", ["listening", "trying", "hanging"])
def test_closing_from_another_thread_ends_the_iteration(house, listen, state):
    house.start()
    stall = 3 if state == "trying" else 1000  # PortAudio does not always notice that its server is gone
    listener = listen("pulse", MicrophoneConfig(stall_seconds=stall, open_seconds=1000, first_delay_seconds=1000,
                                                max_delay_seconds=1000))  # fmt: skip
    listener.event(OPENED)
    if state == "trying":
        house.stop()
        listener.event(NOT_FOUND)
    if state == "hanging":
        house.server.send_signal(signal.SIGSTOP)
    closer = threading.Timer(0.5, listener.microphone.close)
    closer.start()
    for item in listener.iterator:  # ends; without close() it would not
        assert isinstance(item, np.ndarray)
    closer.join()
    assert capture_processes(os.getpid()) == []
    assert list(listener.microphone) == []


def test_a_signal_handler_may_close(house):
    house.start()
    with Microphone(RATE, "pulse") as microphone:
        previous = signal.signal(signal.SIGALRM, lambda *_: microphone.close())
        try:
            signal.setitimer(signal.ITIMER_REAL, 1.0)
            assert [item.kind for item in microphone if isinstance(item, AudioEvent)] in ([], [OPENED])
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)


@pytest.mark.parametrize("state", ["listening", "trying", "hanging"])
def test_ctrl_c_ends_the_script(house, state):
    house.start()
    script = [sys.executable, str(ROOT / "stream_infer.py"), "--mic", "--device", "pulse"]
    process = subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    timer = threading.Timer(PATIENCE, process.kill)
    timer.start()
    try:
        said = process.stdout.readline()
        processes = capture_processes(process.pid)
        assert len(processes) == 1
        if state == "trying":
            house.stop()
            while "not found" not in said:
                said += process.stdout.readline()
        if state == "hanging":
            house.server.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        said += "".join(process.communicate())
    finally:
        timer.cancel()
        process.kill()
        process.wait()
    assert process.returncode == 0, said
    assert "opened: pulse" in said
    assert "stopped" in said
    assert "ALSA" not in said
    assert "Traceback" not in said
    assert all(gone(pid) for pid in processes)


def test_no_capture_process_outlives_its_listener(house):
    house.start()
    code = (
        "from edge.audio.microphone import Microphone\n"
        f"for item in Microphone({RATE}, 'pulse'): print('received', flush=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "received\n"
        (pid,) = capture_processes(process.pid)
    finally:
        process.kill()
        process.communicate()
    eventually(lambda: gone(pid), "the capture process ends")


def test_memory_does_not_grow(house, listen):
    house.start()
    listener = listen("pulse", IMPATIENT)
    listener.event(OPENED)
    (pid,) = capture_processes(os.getpid())

    def resident_kb() -> int:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024

    listener.listen(1.0)
    before = resident_kb()
    listener.listen(3.0)
    assert resident_kb() - before < 1024


@pytest.mark.parametrize(
    "values",
    [{"stall_seconds": 0}, {"clip_share": 1.5}, {"max_delay_seconds": 0.1}, {"retries": -1}, {"ring_seconds": -1}],
)
def test_settings_out_of_range_are_named(values):
    with pytest.raises(InputError, match=f"microphone.{next(iter(values))} is {next(iter(values.values()))}"):
        MicrophoneConfig(**values)
