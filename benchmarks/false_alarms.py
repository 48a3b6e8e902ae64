"""False emotions per hour of sound without a voice, and utterances missed at the same setting, per gate.

    SER_DATA=FOLDER python -m benchmarks.false_alarms

The whole loop hears half an hour of each of 22 sounds (`benchmarks.nonspeech`) in sessions of five minutes, each from a
fresh start, and real utterances (`benchmarks.spoken`), each from a fresh start too. A false emotion is a segment told
with an emotion where there is no voice. An utterance is missed if no segment that touches it is told with an emotion or
as "uncertain". Split `dev` chose the settings, `test` is reported: other speakers, other recordings, other chance. Adds
a row per sound and gate to benchmarks/results/false_alarms.json; rows that exist are not measured again.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks import nonspeech, spoken
from benchmarks.results import add_row, commit, machine, module_and_arguments
from edge.audio.vad import make_vad
from edge.bundle import PRETRAINED, Bundle
from edge.loop.utterances import UtteranceRecognizer
from edge.stream.decision import UNCERTAIN
from edge.stream.recognizer import StreamingRecognizer
from edge.stream.results import Segment, StreamResult, Verdict

RESULTS = Path("benchmarks/results/false_alarms.json")
KEY = ("sound", "gate", "split", "seed")
VADS = ("energy", "silero")
ALL = "all"
ANSWERS = (None, Verdict.UNCERTAIN)
"""Verdicts of a segment that was taken for an utterance"""
CHUNK = nonspeech.RATE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--split", choices=nonspeech.SPLITS, default="test")
    parser.add_argument("--gates", nargs="+", choices=VADS, default=list(VADS))
    parser.add_argument("--hours", type=float, default=0.5, help="of each sound (default: 0.5)")
    parser.add_argument("--clips", type=int, default=60, help="of each corpus and noise level (default: 60)")
    parser.add_argument("--bundle", type=Path, default=PRETRAINED)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    args = parser.parse_args()
    shared = {"split": args.split, "seed": args.seed, "bundle": args.bundle.name}
    speech = [(corpus, snr) for corpus in spoken.CORPORA for snr in spoken.SNRS]
    names = {sound: sound for sound in nonspeech.SOUNDS} | {speech_name(*which): which for which in speech}
    wanted = {
        name: [gate for gate in args.gates if not rows(sound=name, gate=gate, **shared)]
        for name in names  # rows that exist are not measured again
    }
    with ProcessPoolExecutor(args.jobs) as pool:
        waiting = {pool.submit(measure, names[name], gates, args): name for name, gates in wanted.items() if gates}
        for done in as_completed(waiting):
            for gate, figures in done.result().items():
                write({"sound": waiting[done], "gate": gate, **shared, **figures})
    for gate in args.gates:
        write({"sound": ALL, "gate": gate, **shared, **total(rows(gate=gate, **shared))})


def measure(which: str | tuple[str, float | None], gates: list[str], args: argparse.Namespace) -> dict[str, dict]:
    """Every gate hears the same sessions: of a sound without a voice by its name, or of a corpus at a noise level."""
    recognizer = Bundle.open(args.bundle).recognizer()
    if isinstance(which, str):
        sessions, judge = nonspeech.sessions(which, args.split, args.hours, args.seed), alarms
    else:
        sessions, judge = spoken.sessions(which[0], args.split, which[1], args.clips, args.seed), missed
    found: dict[str, list] = {gate: [] for gate in gates}
    for session in sessions:
        for gate in gates:
            found[gate].append((session, told(recognizer, gate, getattr(session, "audio", session))))
    return {gate: judge(pairs) for gate, pairs in found.items()}


def told(recognizer: StreamingRecognizer, gate: str, audio: np.ndarray) -> list[StreamResult | Segment]:
    """All that a loop tells that starts with `audio (time,)` and ends with it."""
    loop = UtteranceRecognizer(recognizer, make_vad(gate, nonspeech.RATE))
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
        "hops_with_emotion": shown,
        "segments": sum(segment.verdict is not Verdict.NO_SPEECH for segment in segments),
    }


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
    return {
        "hours": round(hours, 4),
        "alarms": sum(row["alarms"] for row in sounds),
        "alarms_per_hour": sum(row["alarms"] for row in sounds) / hours,
        "utterances": utterances,
        "lost": lost,
        "missed": lost / utterances,
    }


def speech_name(corpus: str, snr: float | None) -> str:
    return f"speech {corpus}, {'clean' if snr is None else f'{snr:g} dB'}"


def rows(**wanted) -> list[dict]:
    found = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"] if RESULTS.exists() else []
    return [row for row in found if all(row.get(key) == value for key, value in wanted.items())]


def write(row: dict) -> None:
    made = {"command": " ".join(["python", "-m", *module_and_arguments()]), "commit": commit(), "machine": machine()}
    add_row(RESULTS, row | made | {"date": date.today().isoformat()}, KEY)
    figures = {key: row[key] for key in ("alarms_per_hour", "missed", "segments") if key in row}
    print(f"{row['gate']:7} {row['sound']:24} {figures}", flush=True)


if __name__ == "__main__":
    main()
