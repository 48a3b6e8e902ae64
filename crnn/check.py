"""Check recordings before training on them.

    python -m crnn.check --data folder:PATH [--layout '{emotion}/{speaker}_*']
    python -m crnn.check --data csv:FILE --json
    python -m crnn.check --data ravdess:FOLDER --noise
    python -m crnn.check --data corrections:FOLDER

Exit codes: 0 no problems (there may be warnings); 1 problems; 2 bad input.
"""

from crnn.cli.interrupt import starting

if __name__ == "__main__":
    starting()

import argparse
import json
import logging
import sys
from collections import Counter
from pathlib import Path

from crnn.cli.command import command, log_to_stderr
from crnn.cli.installed import Parser
from crnn.data.corpora import Corpus, read_corpus
from crnn.data.corrections import CORRECTIONS, scan_corrections
from crnn.data.inspection import (
    above_noise_by_emotion,
    listen_all,
    near_copies_of,
    possible_split,
    same_audio,
    spread,
    suspicions,
)
from crnn.data.own_data import PLACES, WITHOUT, scan
from crnn.data.own_entries import OWN
from crnn.data.prepare import given_folders
from crnn.data.protocols import protocol_facts, protocol_names
from crnn.errors import require
from crnn.files.printable import shown
from crnn.run_config import LAYOUT

SHOWN_LINES, SHOWN_SPEAKERS = 5, 40
"""Lines of each kind and speakers that the text shows; --json gives all"""


def build_parser() -> argparse.ArgumentParser:
    parser = Parser("crnn.check", __doc__)
    parser.add_argument(
        "--data",
        required=True,
        metavar="KIND:PATH",
        help=f"{PLACES}; without labels {WITHOUT}:PATH; corrections:PATH; or a known corpus: ravdess:FOLDER",
    )
    parser.add_argument(
        "--layout", default=LAYOUT, help=f"where emotion and speaker stand in a path (default: {LAYOUT})"
    )
    parser.add_argument("--protocol", help="split to try (default: own-data, or the corpus's first)")
    parser.add_argument("--fold", type=int, default=0, help="fold of the protocol (default: 0)")
    parser.add_argument(
        "--noise",
        action="store_true",
        help="also by how many dB speech stands above the noise of its recording, for each emotion: where emotions "
        "differ, a model can learn that in place of the voice (docs/training.md)",
    )
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    return parser


def default_protocol(corpus: str, place: str = "") -> str:
    """The first protocol of a corpus; the rule for own recordings where it has none."""
    if corpus == OWN and place.startswith(f"{WITHOUT}:"):
        return WITHOUT
    return next((name for name in protocol_names() if protocol_facts(name).get("corpus") == corpus), "own-data")


def check(data: str, layout: str, protocol: str | None, fold: int, noise: bool = False) -> dict:
    """The findings, as plain values; `problems` and `warnings` hold lines by kind.

    Args:
        noise: also measure how far speech stands above the noise, under "above_noise_db".

    Raises InputError if nothing can be read at all.
    """
    ((name, place),) = given_folders([data]).items()
    problems: dict[str, list[str]] = {}
    warnings: dict[str, list[str]] = {}
    corpus: Corpus
    if name == OWN:
        corpus, problems["list"] = scan(place, layout)
    elif name == CORRECTIONS:
        corpus, problems["list"] = scan_corrections(Path(place))
    else:
        corpus = read_corpus(name, Path(place))
    # The gaps of a published corpus are known; a file of one's own was meant to be used.
    left_out = problems if name in (OWN, CORRECTIONS) else warnings
    left_out["left out"] = [f"{file}: {why}" for file, why in corpus.skipped.items()]
    sounds, unusable = listen_all(corpus.utterances)
    problems["unusable"] = [f"{file}: {why}" for file, why in unusable.items()]
    require(bool(sounds), f"{data}: none of the recordings can be used; first: {''.join(problems['unusable'][:1])}")
    usable = [u for u in corpus.utterances if u.name in sounds]
    near = near_copies_of(usable, sounds)
    problems["same audio"], warnings["same audio"] = same_audio(usable, sounds, near)
    split: dict | None = None
    if name != CORRECTIONS:  # for training alone, whatever the protocol
        split, problems["split"] = possible_split(protocol or default_protocol(name, place), fold, usable, sounds, near)
    warnings |= suspicions(usable, sounds)
    if split:
        warnings["split"] = [
            f"{part} has no recording that is {label}"
            for part, facts in split["sets"].items()
            for label, clips in facts["emotions"].items()
            if not clips and facts["clips"]
        ]
        note = protocol_facts(split["protocol"]).get("note")
        warnings["split"] += [f"{split['protocol']}: {note}"] if note else []
    speakers = sorted({u.speaker_id for u in usable})
    return {
        "data": data,
        "recordings": len(corpus.utterances),
        "usable": len(usable),
        "emotions": dict(sorted(Counter(u.emotion for u in usable).items())),
        "speakers": {s: dict(Counter(u.emotion for u in usable if u.speaker_id == s)) for s in speakers},
        "voted": sum(u.votes is not None for u in usable),
        **spread(sounds.values()),
        **({"above_noise_db": above_noise_by_emotion(usable, sounds)} if noise else {}),
        "split": split,
        "problems": {kind: lines for kind, lines in problems.items() if lines},
        "warnings": {kind: lines for kind, lines in warnings.items() if lines},
    }


def text(found: dict) -> str:
    """The findings as text."""
    seconds, silence = found["seconds"], found["silence"]
    wrong = len(found["problems"].get("list", ()))
    lines = [
        f"{found['data']}: {found['usable']} of {found['recordings']} recordings can be used, "
        f"{len(found['emotions'])} emotions, {len(found['speakers'])} speakers, {seconds['total'] / 60:.1f} minutes"
        + f"; {wrong} faults in the list, see below"
        * (wrong > 0),
        "",
        *_table(found),
        "",
        f"length       {seconds['min']:.1f} to {seconds['max']:.1f} s, median {seconds['median']:.1f} s",
        f"sample rate  {', '.join(f'{n} at {rate} Hz' for rate, n in found['sample_rates'].items())}",
        f"channels     {', '.join(f'{n} with {count}' for count, n in found['channels'].items())}",
        f"clipping     {found['clipped_clips']} recordings",
        f"silence      {silence['median_share']:.0%} of a recording, {silence['zeros_share']:.0%} digital (medians)",
    ]
    if "above_noise_db" in found:
        decibels = ", ".join(f"{db:.0f} dB {emotion}" for emotion, db in found["above_noise_db"].items())
        lines.append(f"noise        speech stands above it by {decibels} (means)")
    lines.append("")
    if found["split"]:
        lines.append(f"split        {found['split']['protocol']} fold {found['split']['fold']}")
        for part, facts in found["split"]["sets"].items():
            emotions = ", ".join(f"{n} {label}" for label, n in facts["emotions"].items())
            people = f"{len(facts['speakers'])} speaker{'s' * (len(facts['speakers']) != 1)}"
            lines.append(f"  {part:10} {people}, {facts['clips']} recordings ({emotions})")
    elif found["problems"].get("split"):
        lines.append("split        not possible, see below")
    else:
        lines.append("split        none: corrections only train, beside the recordings of a protocol")
    for title in ("problems", "warnings"):
        total = sum(map(len, found[title].values()))
        lines += ["", f"{title}: {total or 'none'}"]
        for kind, items in found[title].items():
            lines += [f"  {kind}: {item}" for item in items[:SHOWN_LINES]]
            lines += [f"  {kind}: and {len(items) - SHOWN_LINES} more (--json)"] * (len(items) > SHOWN_LINES)
    return "\n".join(map(shown, lines))


def _table(found: dict) -> list[str]:
    """Recordings by speaker and emotion."""
    emotions, speakers = found["emotions"], found["speakers"]
    rows = [["", *emotions, "all"]]
    for speaker, counts in list(speakers.items())[:SHOWN_SPEAKERS]:
        rows.append([speaker, *(str(counts.get(emotion, 0)) for emotion in emotions), str(sum(counts.values()))])
    rows.append(["all", *map(str, emotions.values()), str(sum(emotions.values()))])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    ]
    if len(speakers) > SHOWN_SPEAKERS:
        lines.insert(-1, f"and {len(speakers) - SHOWN_SPEAKERS} more speakers (--json)")
    return lines


@command
def main(argv: list[str] | None = None) -> int:
    log_to_stderr(logging.INFO)
    args = build_parser().parse_args(argv)
    found = check(args.data, args.layout, args.protocol, args.fold, args.noise)
    sys.stdout.write((json.dumps(found) if args.json else text(found)) + "\n")
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
