"""Adapt the recognizer to one person's voice with a few sentences, in two minutes, on the device itself.

    python -m edge.enroll --out me.json                          three neutral sentences at the microphone
    python -m edge.enroll --out me.json --emotions               three sentences in every emotion (best)
    python -m edge.enroll --out me.json --files neutral=a.wav,b.wav happy=c.wav ...
    python -m edge.enroll --out me.json --folder VOICE           VOICE/neutral/*.wav, VOICE/happy/*.wav ...
    python stream_infer.py --mic --profile me.json

The profile is a small JSON file for this bundle alone. With sentences in every emotion it also holds a template of the
voice, by which stream_infer.py chooses among several profiles. No audio is stored without --keep-audio. Neutral
sentences alone only correct an emotion that the model answers too often for this voice. Exit code 2: bad input.
"""

from crnn.cli.interrupt import interruptible, starting

if __name__ == "__main__":
    starting()

import argparse
import json
import logging
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from crnn.cli.command import command, log_to_stderr
from crnn.cli.installed import Parser, program
from crnn.cli.unused import refuse_unused
from crnn.errors import require
from edge.audio.microphone import Microphone
from edge.audio.vad import add_vad_option, make_vad
from edge.bundle import PRETRAINED, Bundle
from edge.enroll.fit import make_profile
from edge.enroll.session import SETTINGS, Sentence, SentenceCollector, Session, from_file
from edge.loop.utterances import UtteranceRecognizer
from edge.preflight import check_writable
from edge.stream.profile import NEUTRAL, Profile, Speakers

MAX_TAKES = 10


def build_parser() -> argparse.ArgumentParser:
    parser = Parser("edge.enroll", __doc__)
    parser.add_argument("bundle", type=Path, nargs="?", default=PRETRAINED, help="default: the int8 model that ships")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="profile to write; must not exist")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--files", nargs="+", metavar="EMOTION=FILE,...", help="recordings instead of a microphone")
    source.add_argument("--folder", type=Path, help="likewise: a folder that holds a folder per emotion")
    mic = parser.add_argument_group("microphone")
    mic.add_argument("--emotions", action="store_true", help="sentences in every emotion, not neutral ones alone")
    mic.add_argument("--takes", type=int, default=3, help="sentences per emotion (default: 3)")
    mic.add_argument("--device", help="microphone by index or part of its name (default: the system's)")
    mic.add_argument("--channel", type=int, metavar="N", help="channel to use, from 1")
    mic.add_argument("--keep-audio", type=Path, metavar="FOLDER", help="also store the sentences there, as WAV files")
    add_vad_option(parser)
    parser.add_argument("--runtime", help="inference runtime (default: the bundle's first that is installed)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def named_files(args: argparse.Namespace, labels: tuple[str, ...]) -> list[tuple[str, Path]]:
    """Emotion and recording, from --files or --folder. Raises InputError for an emotion the bundle does not know."""
    if args.folder is not None:
        require(args.folder.is_dir(), f"--folder {args.folder}: no such folder")
        folders = sorted(path for path in args.folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        named = [
            (folder.name, path)
            for folder in folders
            for path in sorted(folder.iterdir())
            if path.is_file() and not path.name.startswith(".")
        ]
        require(bool(named), f"--folder {args.folder}: holds no folder with recordings, one per emotion")
    else:
        named = []
        for item in args.files:
            emotion, sign, files = item.partition("=")
            require(bool(sign and files), f"--files {item}: give EMOTION=FILE or EMOTION=FILE,FILE ...")
            named += [(emotion, Path(name)) for name in files.split(",")]
    unknown = sorted({emotion for emotion, _ in named} - set(labels))
    require(not unknown, f"the bundle does not know {', '.join(unknown)}; it knows {', '.join(labels)}")
    return named


def say(line: str) -> None:
    """Show a line to the person; standard output is for the result."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def sentences_of(
    args: argparse.Namespace, collector: SentenceCollector, labels: tuple[str, ...]
) -> list[tuple[str, Sentence]]:
    if args.files or args.folder:
        return [(emotion, from_file(collector, path)) for emotion, path in named_files(args, labels)]
    require(1 <= args.takes <= MAX_TAKES, f"--takes {args.takes}: give 1 to {MAX_TAKES}")
    require(args.emotions or NEUTRAL in labels, f"the bundle knows no {NEUTRAL}; enrol with --emotions")
    if args.keep_audio is not None:
        args.keep_audio.mkdir(parents=True, exist_ok=True)
    emotions = labels if args.emotions else (NEUTRAL,)
    with Microphone(collector.sample_rate, args.device, channel=args.channel) as microphone:
        return list(Session(collector, microphone, say, args.keep_audio).run(emotions, args.takes))


def judge(
    bundle: str, labels: tuple[str, ...], speakers: Speakers, sentences: list[tuple[str, Sentence]]
) -> dict[str, int | bool | None]:
    """Count the sentences that are right without a profile, and with one made from all the others.

    `recommended`: whether the profile helps; a hint, not a measurement. None if an emotion has only one sentence.
    """
    emotions, logits, pooled = _arrays(sentences)
    truth = np.array([labels.index(emotion) for emotion in emotions])
    right = int((logits.argmax(axis=1) == truth).sum())
    if min(Counter(emotions).values()) < 2:
        return {"right_without": right, "right_with": None, "recommended": None}
    with_profile = 0
    for index in range(len(truth)):
        others = np.arange(len(truth)) != index
        rest = [emotion for emotion, used in zip(emotions, others, strict=True) if used]
        profile = make_profile(bundle, labels, speakers, logits[others], pooled[others], rest)
        with_profile += int(profile.adapt(logits[index], pooled[index]).argmax() == truth[index])
    return {"right_without": right, "right_with": with_profile, "recommended": with_profile > right}


def _arrays(sentences: list[tuple[str, Sentence]]) -> tuple[list[str], np.ndarray, np.ndarray]:
    emotions = [emotion for emotion, _ in sentences]
    return emotions, np.stack([s.logits for _, s in sentences]), np.stack([s.pooled for _, s in sentences])


def enroll(args: argparse.Namespace) -> tuple[Profile, dict]:
    """Write the profile; returns it and the report to print. Raises InputError; then nothing is written."""
    microphone = not (args.files or args.folder)
    options = ("emotions", "takes", "device", "channel", "keep_audio")
    refuse_unused(args, "the microphone", microphone, *options)
    require(not args.out.exists(), f"{args.out}: exists already; give another --out or remove it")
    check_writable(args.out, str(args.out))
    bundle = Bundle.open(args.bundle)
    recognizer = bundle.recognizer(args.runtime)
    speakers = bundle.speakers(recognizer)
    interruptible()
    identity, labels = bundle.manifest.identity, recognizer.labels
    collector = SentenceCollector(
        UtteranceRecognizer(recognizer, make_vad(args.vad, recognizer.features.sample_rate), SETTINGS)
    )
    sentences = sentences_of(args, collector, labels)
    emotions, logits, pooled = _arrays(sentences)
    voices = [sentence.voice for _, sentence in sentences if sentence.voice is not None]
    whole = np.stack(voices) if len(voices) == len(sentences) else None
    profile = make_profile(identity, labels, speakers, logits, pooled, emotions, voices=whole)
    profile.save(args.out)
    report: dict[str, Any] = {
        "profile": str(args.out),
        "bundle": identity,
        "sentences": profile.sentences,
        "n_sentences": len(sentences),
        "voice": profile.voice is not None,
        **judge(identity, labels, speakers, sentences),
    }
    if set(emotions) == {NEUTRAL}:
        lowered = {name: -float(b) for name, b in zip(labels, profile.bias, strict=True) if b < 0}
        report["lowered"] = lowered
    return profile, report


def as_text(report: dict) -> str:
    counts = ", ".join(f"{name} {count}" for name, count in report["sentences"].items())
    lines = [f"profile {report['profile']}: {counts}"]
    of = f"of these {report['n_sentences']} sentences {report['right_without']} are right without it"
    if report["right_with"] is not None:
        of += f", {report['right_with']} with one made from all the others"
    lines.append(of)
    if "lowered" in report:
        lowered = ", ".join(f"{name} by {by:.2f}" for name, by in report["lowered"].items())
        lines.append(
            f"lowered: {lowered}" if lowered else "the profile changes nothing: this voice sounds as neutral as most"
        )
    if report["voice"]:
        lines.append("it holds a template of the voice, which is biometric: keep the file to yourself")
    lines.append(advice(report))
    return "\n".join(lines)


def advice(report: dict) -> str:
    """Whether to use the profile. It is written in any case, so that it can be tested further."""
    use = f"{program('stream_infer')} --mic --profile {report['profile']}"
    if report["recommended"]:
        return f"use it: {use}"
    if report["recommended"] is None:
        return (
            "not recommended yet: its gain cannot be tested with one sentence in an emotion. "
            f"Enrol again with two or more in each, or try it: {use}"
        )
    total, right, right_with = report["n_sentences"], report["right_without"], report["right_with"]
    if right == total:
        return f"not recommended: all {total} sentences are right without a profile; recognize without --profile"
    return (
        f"not recommended: its own test gains nothing ({right} of {total} right without it, {right_with} with it). "
        "Recognize without --profile, or enrol again with more sentences in every emotion"
    )


@command
def main(argv: list[str] | None = None) -> int:
    log_to_stderr(logging.WARNING)
    args = build_parser().parse_args(argv)
    try:
        _, report = enroll(args)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; no profile is written\n")
        raise
    sys.stdout.write((json.dumps(report) if args.json else as_text(report)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
