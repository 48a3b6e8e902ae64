"""Test a bundle as the published test suite for SER models does: is it correct, fair, and robust?

    python -m edge.battery BUNDLE --data savee:FOLDER        a corpus that the bundle was not trained on
    python -m edge.battery BUNDLE --protocol ravdess-luna5 --fold 0 --data ravdess:FOLDER

Plays whole clips, as they are and changed, and prints a row per test. A row that fails is a result, not an error: exit
code 0. Exit code 2: bad input.
"""

from crnn.cli.interrupt import interruptible, starting

if __name__ == "__main__":
    starting()

import argparse
import json
import logging
import os
import sys
from pathlib import Path

from crnn.cli.command import command, log_to_stderr
from crnn.cli.installed import Parser
from crnn.errors import require
from edge.bundle import Bundle
from edge.evaluate.arguments import add_clip_options, named_folders
from edge.preflight import needed


def build_parser() -> argparse.ArgumentParser:
    parser = Parser("edge.battery", __doc__)
    add_clip_options(parser)
    parser.add_argument(
        "--allow-training-speakers",
        action="store_true",
        help="play a corpus that the bundle was trained on, too; the figures then say nothing about other people",
    )
    parser.add_argument(
        "--noise", type=Path, metavar="FOLDER", help="background noise; coughs and sneezes by name (or SER_DATA/noise)"
    )
    parser.add_argument("--rooms", type=Path, metavar="FOLDER", help="room impulse responses (or SER_DATA/rir)")
    parser.add_argument("--music", type=Path, metavar="FILE", help="a recording of music, or a folder of them")
    parser.add_argument("--quick", type=int, metavar="N", help="play only N clips of each corpus, of all its emotions")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn (default: 0)")
    parser.add_argument("--json", action="store_true", help="print rows and figures as JSON")
    return parser


def run(args: argparse.Namespace) -> dict:
    """Rows and figures, as plain values. Raises InputError."""
    require(args.quick is None or args.quick > 0, f"--quick {args.quick}: give a number of clips above 0")
    require(args.seed >= 0, f"--seed {args.seed}: give 0 or more")
    bundle = Bundle.open(args.bundle)  # before what takes long to import
    with needed("edge.battery", "train"):
        given = named_folders(args)
        from edge.battery.one_corpus import chosen, rows_of
        from edge.battery.report import summary
        from edge.battery.sounds import read_sounds
        from edge.evaluate.playback import by_corpus, unseen_clips
    recognizer = bundle.recognizer(args.runtime)
    interruptible()

    places = {"noise": _place(args.noise, "noise"), "rooms": _place(args.rooms, "rir"), "music": args.music}
    sounds = read_sounds(places, recognizer.features.sample_rate)
    clips = unseen_clips(
        bundle.manifest, args.protocol, args.fold, given, args.cache, trained_too=args.allow_training_speakers
    )
    rows, corpora = [], {}
    for name, found in by_corpus(clips).items():
        played = found if args.quick is None else chosen(found, args.quick, args.seed)
        corpora[name] = {"clips": len(played.utterances), "speakers": len({u.speaker for u in played.utterances})}
        rows += rows_of(recognizer, played, found, sounds, args.seed)
    return {
        "bundle": str(args.bundle),
        "corpora": corpora,
        "protocol": args.protocol,
        "fold": args.fold if args.protocol else None,
        "split_hash": clips.split_hash,
        "training_speakers": args.allow_training_speakers,
        "quick": args.quick,
        "seed": args.seed,
        **summary(rows),
        "rows": [row.as_dict() for row in rows],
    }


def _place(given: Path | None, name: str) -> Path | None:
    """What was given, or the folder of that name in $SER_DATA, if it is there."""
    base = os.environ.get("SER_DATA")
    there = Path(base) / name if base else None
    return given or (there if there is not None and there.is_dir() else None)


@command
def main(argv: list[str] | None = None) -> int:
    log_to_stderr(logging.INFO)
    args = build_parser().parse_args(argv)
    made = run(args)
    if args.json:
        text = json.dumps(made)
    else:
        from edge.battery.report import as_text

        text = as_text(made)
    sys.stdout.write(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
