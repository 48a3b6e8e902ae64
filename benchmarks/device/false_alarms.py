"""False emotions per hour of sound without a voice, and utterances missed at the same setting, per VAD.

    SER_DATA=FOLDER python -m benchmarks.device.false_alarms
    SER_DATA=FOLDER python -m benchmarks.device.false_alarms --rules deploy/rules.yaml

The whole loop processes half an hour of each of 22 sounds (`benchmarks.device.nonspeech`) in sessions of five minutes,
and real utterances (`benchmarks.device.spoken`); every session starts with a new state. A false emotion is a segment
with an emotion when there is no voice. An utterance is missed if no segment that overlaps it is reported with an
emotion or as "uncertain". Split `dev` chose the settings, `test` is reported: other speakers, recordings and seeds.
Adds a row per sound and VAD to benchmarks/results/false_alarms.json; rows that exist are not measured again.

With `--rules FILE` the rows are others: of the sounds alone, with the events of the rules beside the false emotions.
The sessions of a sound then follow one another without a pause, so that a rule meets half an hour of it.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.device import nonspeech, spoken
from benchmarks.harness.corpora import folder
from benchmarks.harness.results import add_row, rows_of
from crnn.cli.command import command
from edge.audio.vad import make_vad
from edge.bundle import PRETRAINED, Bundle
from edge.loop.rule_engine import RuleEngine
from edge.loop.rules import Rule, read_rules
from edge.loop.utterances import UtteranceRecognizer
from edge.stream.decision import UNCERTAIN
from edge.stream.recognizer import StreamingRecognizer
from edge.stream.results import Segment, StreamResult, Verdict

RESULTS = Path("benchmarks/results/false_alarms.json")
KEY = ("sound", "vad", "split", "seed", "rules")
VADS = ("energy", "silero")
ALL = "all"
ANSWERS = (None, Verdict.UNCERTAIN)
"""Verdicts of a segment that the loop treated as an utterance"""
CHUNK = nonspeech.RATE


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--split", choices=nonspeech.SPLITS, default="test")
    parser.add_argument("--vads", nargs="+", choices=VADS, default=list(VADS))
    parser.add_argument("--hours", type=float, default=0.5, help="of each sound (default: 0.5)")
    parser.add_argument("--clips", type=int, default=60, help="of each corpus and noise level (default: 60)")
    parser.add_argument("--rules", type=Path, metavar="FILE", help="also count the events of these rules")
    parser.add_argument("--bundle", type=Path, default=PRETRAINED)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    args = parser.parse_args(argv)
    shared = {"split": args.split, "seed": args.seed, "bundle": args.bundle.name}
    shared["rules"] = str(args.rules) if args.rules else None
    speech = [] if args.rules else [(corpus, snr) for corpus in spoken.CORPORA for snr in spoken.SNRS]
    names = {sound: sound for sound in nonspeech.SOUNDS} | {speech_name(*which): which for which in speech}
    wanted = {
        name: [vad for vad in args.vads if not rows_of(RESULTS, sound=name, vad=vad, **shared)]
        for name in names  # rows that exist are not measured again
    }
    args.rules = check(args.bundle, args.rules, [names[name] for name, vads in wanted.items() if vads])
    with ProcessPoolExecutor(args.jobs) as pool:
        waiting = {pool.submit(measure, names[name], vads, args): name for name, vads in wanted.items() if vads}
        for done in as_completed(waiting):
            for vad, figures in done.result().items():
                write({"sound": waiting[done], "vad": vad, **shared, **figures})
    for vad in args.vads:
        write({"sound": ALL, "vad": vad, **shared, **total(rows_of(RESULTS, vad=vad, **shared))})
    return 0


def check(bundle: Path, rules: Path | None, wanted: list[str | tuple[str, float | None]]) -> tuple[Rule, ...]:
    """The rules of the file, if any. Raises InputError if they, the bundle or recordings cannot be used: now, not after
    hours of other sounds."""
    labels = Bundle.open(bundle).manifest.labels
    found = read_rules(rules, labels) if rules else ()
    for which in wanted:
        if not isinstance(which, str):
            folder(which[0])
        elif which in nonspeech.RECORDED:
            nonspeech.place_of(which)
    return found


def measure(which: str | tuple[str, float | None], vads: list[str], args: argparse.Namespace) -> dict[str, dict]:
    """Figures of every VAD on the same sessions: a sound without a voice, or a corpus at a noise level."""
    recognizer = Bundle.open(args.bundle).recognizer()
    if isinstance(which, str):
        sessions, judge = nonspeech.sessions(which, args.split, args.hours, args.seed), alarms
    else:
        sessions, judge = spoken.sessions(which[0], args.split, which[1], args.clips, args.seed), missed
    found: dict[str, list] = {vad: [] for vad in vads}
    for session in sessions:
        for vad in vads:
            found[vad].append((session, events_of(recognizer, vad, getattr(session, "audio", session))))
    return {vad: judge(pairs) | (fired(pairs, args.rules) if args.rules else {}) for vad, pairs in found.items()}


def events_of(recognizer: StreamingRecognizer, vad: str, audio: np.ndarray) -> list[StreamResult | Segment]:
    """All events of a loop that starts with `audio (time,)` and ends with it."""
    loop = UtteranceRecognizer(recognizer, make_vad(vad, nonspeech.RATE))
    events = [event for at in range(0, len(audio), CHUNK) for event in loop.push(audio[at : at + CHUNK])]
    return events + loop.flush()


def alarms(found: list[tuple[np.ndarray, list]]) -> dict:
    """Of sessions without a voice."""
    hours = sum(len(audio) for audio, _ in found) / nonspeech.RATE / 3600
    segments = [event for _, events in found for event in events if isinstance(event, Segment)]
    false = sum(segment.emotion is not None for segment in segments)
    shown = sum(
        isinstance(event, StreamResult) and event.emotion not in (None, UNCERTAIN, Verdict.NOISE)
        for _, events in found
        for event in events
    )
    return {
        "hours": round(hours, 4),
        "alarms": false,
        "alarms_per_hour": false / hours,
        "intervals_with_emotion": shown,
        "segments": sum(segment.verdict is not Verdict.NO_SPEECH for segment in segments),
    }


def fired(found: list[tuple[np.ndarray, list]], rules: Sequence[Rule]) -> dict:
    """Events of the rules in sessions that follow one another."""
    engine, begin, names = RuleEngine(rules, live=False), 0.0, []
    for audio, events in found:
        for event in events:
            if isinstance(event, Segment):
                at = replace(event, start_seconds=begin + event.start_seconds, end_seconds=begin + event.end_seconds)
                names += [happened.rule for happened in engine.update(at)]
        begin += len(audio) / nonspeech.RATE
    counts = {rule.name: names.count(rule.name) for rule in rules}
    return {"events": counts, "events_per_hour": len(names) * 3600 / begin}


def missed(found: list[tuple[spoken.Spoken, list]]) -> dict:
    """Of sessions with one utterance each."""
    lost = sum(
        not any(
            isinstance(event, Segment)
            and event.verdict in ANSWERS
            and event.start_seconds < item.end_seconds
            and event.end_seconds > item.start_seconds
            for event in events
        )
        for item, events in found
    )
    return {"utterances": len(found), "lost": lost, "missed": lost / len(found)}


def total(measured: list[dict]) -> dict:
    """Over all sounds, and all utterances."""
    sounds = [row for row in measured if row["sound"] in nonspeech.SOUNDS]
    speech = [row for row in measured if "utterances" in row and row["sound"] != ALL]
    hours, lost = sum(row["hours"] for row in sounds), sum(row["lost"] for row in speech)
    utterances = sum(row["utterances"] for row in speech)
    figures = {
        "hours": round(hours, 4),
        "alarms": sum(row["alarms"] for row in sounds),
        "alarms_per_hour": sum(row["alarms"] for row in sounds) / hours,
    }
    if speech:
        figures |= {"utterances": utterances, "lost": lost, "missed": lost / utterances}
    counts = [row["events"] for row in sounds if "events" in row]
    if counts:
        events = {rule: sum(of[rule] for of in counts) for rule in counts[0]}
        figures |= {"events": events, "events_per_hour": sum(events.values()) / hours}
    return figures


def speech_name(corpus: str, snr: float | None) -> str:
    return f"speech {corpus}, {'clean' if snr is None else f'{snr:g} dB'}"


def write(row: dict) -> None:
    add_row(RESULTS, row, KEY)
    figures = {key: row[key] for key in ("alarms_per_hour", "events_per_hour", "missed", "segments") if key in row}
    print(f"{row['vad']:7} {row['sound']:24} {figures}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
