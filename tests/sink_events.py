"""Events of every kind, and programs in child processes for tests that would otherwise end pytest."""

import math
import os
import sys
import textwrap

import numpy as np
from helpers import ROOT
from hypothesis import strategies as st

from edge.audio.events import AudioEvent, AudioEventKind
from edge.loop.events import RuleEvent
from edge.stream.results import Segment, State, StreamResult, Verdict

LABELS = ("neutral", "happy", "sad")
PROBS = {"neutral": 0.1, "happy": 0.7, "sad": 0.2}

anything = st.floats(width=32) | st.sampled_from([math.nan, math.inf, -math.inf])
share = st.floats(0, 1)
time_of = st.floats(0, 1e7)
decided = st.tuples(
    st.just(None),
    st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3).map(lambda p: np.array(p, dtype=np.float32)),
    st.sampled_from([*LABELS, "uncertain"]),
    share,
)
decisions = st.builds(
    lambda seconds, state, level, answer, arousal, adapted: StreamResult(
        *(seconds, state, level, *answer),
        arousal=None if answer[1] is None else arousal,
        adapted=None if answer[1] is None else adapted,
    ),
    time_of,
    st.sampled_from(State),
    st.floats(-200, 10),
    decided | st.just((None, None, None, None)),
    st.none() | share,
    st.none() | st.integers(0, 10**9),
)
segments = st.builds(
    Segment,
    time_of,
    time_of,
    st.none() | st.sampled_from(LABELS),
    st.none() | st.sampled_from(Verdict),
    share,
    st.just({}) | st.fixed_dictionaries({name: share for name in LABELS}),
    st.none() | share,
    st.none() | st.integers(0, 10**9),
)
audio_events = st.builds(AudioEvent, st.sampled_from(AudioEventKind), st.text(), time_of)
rule_events = st.builds(
    RuleEvent, st.text(), st.sampled_from(LABELS), share, time_of, time_of, time_of, st.integers(1, 1000)
)
events = decisions | segments | audio_events | rule_events


def decision(seconds: float = 0.0, probs=(0.1, 0.7, 0.2)) -> StreamResult:
    probs = np.array(probs, dtype=np.float32)
    return StreamResult(seconds, list(State)[-1], -30.0, None, probs, LABELS[int(probs.argmax())], float(probs.max()))


def segment(start: float = 0.0, emotion: str | None = "happy") -> Segment:
    return Segment(start, start + 1.0, emotion, None if emotion else Verdict.UNCERTAIN, 0.7, PROBS)


def audio(kind: AudioEventKind = AudioEventKind.OVERRUN, message: str = "too slow", gap: float = 0.0) -> AudioEvent:
    return AudioEvent(kind, message, gap)


def rule(name: str = "shouting") -> RuleEvent:
    return RuleEvent(name, "happy", 0.75, 1.0, 13.5, 11.0, 3)


def program(code: str) -> list[str]:
    """A command that runs `code` after common imports."""
    head = """
import os, sys, time
from sink_events import *
from edge.sinks import FanOut, file, lines, live
from edge.sinks.worker import Worker
"""
    return [sys.executable, "-c", head + textwrap.dedent(code)]


def environment() -> dict[str, str]:
    """Environment of such a program: it finds our modules, and Python buffers its output as usual."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"} | {"PYTHONPATH": path}
