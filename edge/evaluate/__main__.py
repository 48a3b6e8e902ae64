"""Measure a bundle on test clips, through the whole listening loop: VAD, utterances, segments, abstention.

    python -m edge.evaluate BUNDLE --protocol ravdess-luna5 --fold 0 --data ravdess:FOLDER
    python -m edge.evaluate BUNDLE --data emodb:FOLDER       a corpus that the bundle was not trained on

A clip is decided by its longest segment; a clip in which the VAD detects no voice counts as wrong. The whole-clip
figures are those of the mean logits over all windows, without VAD. Exit code 2: bad input.
"""

from crnn.cli.interrupt import interruptible, starting

if __name__ == "__main__":
    starting()

import argparse
import json
import logging
import sys
from pathlib import Path

from crnn.cli.command import command, log_to_stderr
from crnn.cli.installed import Parser
from crnn.errors import require
from crnn.files.atomic import replacing
from edge.audio.vad import add_vad_option, make_vad
from edge.bundle import Bundle
from edge.evaluate.arguments import add_clip_options, named_folders
from edge.loop.utterances import UtteranceRecognizer
from edge.preflight import check_writable, needed

OTHERS = (("wa", "WA"), ("macro_f1", "macro-F1"), ("wf1", "WF1"))
"""Figures beside the UAR, as the text names them"""


def build_parser() -> argparse.ArgumentParser:
    parser = Parser("edge.evaluate", __doc__)
    add_clip_options(parser)
    add_vad_option(parser)
    parser.add_argument(
        "--profile", type=Path, metavar="FILE", help="of one person, made by python -m edge.enroll; used for every clip"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--plot", type=Path, help="draw the coverage-accuracy curve into this PNG or SVG file")
    return parser


def evaluate(args: argparse.Namespace) -> dict:
    """The figures, as plain values. Raises InputError."""
    bundle = Bundle.open(args.bundle)  # before what takes long to import
    with needed("edge.evaluate", "train"):
        given = named_folders(args)
        from edge.evaluate.playback import judge, play, unseen_clips
    if args.plot:
        _check_plot(args.plot)
    with needed("edge.evaluate", "train"):
        import torch  # noqa: F401  # before TorchMetrics, which fails otherwise without it
        import torchmetrics.functional.classification  # noqa: F401  # takes seconds; it computes the figures
    recognizer = bundle.recognizer(args.runtime, profile=args.profile)
    vad = make_vad(args.vad, recognizer.features.sample_rate)
    loop = UtteranceRecognizer(recognizer, vad)
    interruptible()

    clips = unseen_clips(bundle.manifest, args.protocol, args.fold, given, args.cache)
    made = {
        "bundle": str(args.bundle),
        "corpora": sorted({u.corpus for u in clips.utterances}),
        "protocol": args.protocol,
        "fold": args.fold if args.protocol else None,
        "split_hash": clips.split_hash,
        "gate": vad.name,
        "profile": str(args.profile) if args.profile else None,
        "model_at_chance": _model_at_chance(bundle.manifest.provenance),
        **judge(play(loop, clips), clips.utterances, recognizer.labels),
    }
    if args.plot:
        plot(made, args.plot)
    return made


def _model_at_chance(provenance: dict) -> str:
    """What the bundle says of its model's chance level; older bundles say nothing."""
    found: object = provenance
    for key in ("confidence_dev", "chosen_on", "at_chance"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def as_text(made: dict) -> str:
    what = f"{made['protocol']} fold {made['fold']}, split {made['split_hash']}" if made["protocol"] else "all speakers"
    lines = [f"{', '.join(made['corpora'])}, {what}: {made['n_clips']} clips, VAD {made['gate']}"]
    for name, mode in (("whole clips", "whole"), ("streaming", "stream")):
        figures = made[mode]
        low_high = figures["uar_ci95"]
        interval = f" ({low_high[0]:.1%} to {low_high[1]:.1%})" if low_high else " (one speaker: no interval)"
        others = "  ".join(f"{title} {figures[key]:.1%}" for key, title in OTHERS)
        lines.append(f"{name:12} UAR {figures['uar']:.1%}{interval}  {others}  ECE {figures['ece']:.3f}")
    lines.append(f"chance       UAR {made['whole']['chance']:.1%}")
    answered = made["answered"]
    figures = f"  UAR {answered['uar']:.1%}  WA {answered['wa']:.1%}" if "uar" in answered else ""
    lines.append(f"{'answered':12} {answered['share']:.1%} of the clips{figures}")
    lines.append("abstained    " + ", ".join(f"{reason} {share:.1%}" for reason, share in made["abstained"].items()))
    lines.append("coverage     " + "  ".join(f"{share:6.0%}" for share, _ in made["stream"]["curve"]))
    lines += [
        f"{name:12} " + "  ".join(f"{right:6.1%}" for _, right in made[mode]["curve"])
        for name, mode in (("right, whole", "whole"), ("right, strm", "stream"))
    ]
    lines.append(f"segments per clip: {made['segments_per_clip']:.2f}")
    return "\n".join(lines)


def doubts(made: dict) -> list[str]:
    """Reasons why these figures, or the model, may be no better than chance."""
    of_model = [made["model_at_chance"]] if made["model_at_chance"] else []
    return of_model + [made[mode]["at_chance"] for mode in ("whole", "stream") if made[mode]["at_chance"]]


def _check_plot(path: Path) -> None:
    require(path.suffix.lower() in (".png", ".svg"), f"--plot {path}: give a file name that ends in .png or .svg")
    check_writable(path, f"--plot {path}")
    with needed("--plot", "train"):
        import matplotlib  # noqa: F401


def plot(made: dict, path: Path) -> None:
    """Coverage against accuracy, written whole or not at all."""
    from matplotlib.figure import Figure  # without pyplot: no display, nothing global

    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    for name, mode in (("whole clips", "whole"), (f"streaming, {made['gate']} VAD", "stream")):
        coverage, right = zip(*made[mode]["curve"], strict=True)
        axes.plot(coverage, right, marker="o", label=name)
    axes.set(xlabel="coverage: share of clips answered, the surest first", ylabel="share right", ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    with replacing(path) as file:
        figure.savefig(file, format=path.suffix[1:].lower())


@command
def main(argv: list[str] | None = None) -> int:
    log_to_stderr(logging.WARNING)
    args = build_parser().parse_args(argv)
    made = evaluate(args)
    for doubt in doubts(made):
        logging.warning("WARNING: %s", doubt)
    sys.stdout.write((json.dumps(made) if args.json else as_text(made)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
