"""Quantize, export and verify a trained run, pruned if asked for; write the bundle a device needs.

    python quantize.py RUN --out BUNDLE
    python quantize.py RUN --out BUNDLE --target-size 120kB --plot pruning.svg
    python quantize.py --large ENCODER       a frozen speech encoder and a classifier trained on it, for larger devices

Exit codes: 0 the bundle is written; 1 an exported file is past a limit, nothing is written; 2 bad input, or a target
that cannot be met: the best that was reached is printed, nothing is written.
"""

from crnn.cli.interrupt import starting

if __name__ == "__main__":
    starting()

import argparse
import contextlib
import json
import logging
import os
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

from augment.config import AugmentConfig
from augment.pipeline import chains
from crnn.cli.command import command, log_to_stderr
from crnn.cli.installed import Parser, program
from crnn.cli.termination import Termination
from crnn.cli.unused import refuse_unused
from crnn.config import from_dict
from crnn.errors import require
from edge import runtimes
from edge.bundle import MANIFEST
from edge.bundle.large import large_folder
from edge.export.limits import ExportLimits, VerificationError
from edge.export.tables import file_table, step_table
from edge.preflight import needed
from edge.prune.plot import check_plot, draw
from edge.prune.targets import OutOfReach, PruningTargets, parse_size

if TYPE_CHECKING:
    from edge.export.large import Large
    from edge.export.pipeline import Compressed
    from edge.export.source import Source
    from edge.prune.gradual import FineTuneData

EXTRAS = "train,export"
"""Extras of this project that this command needs"""
LARGE_EXTRAS = "train,export,teacher"
"""Those that it needs with --large"""
LARGE_PROTOCOL = "all-six-corpora"


def build_parser() -> argparse.ArgumentParser:
    parser = Parser("quantize", __doc__)
    parser.add_argument(
        "run", type=Path, nargs="?", help="run folder made by train.py, or a float32 bundle (not to prune)"
    )
    parser.add_argument("--out", type=Path, help="bundle folder to write; must not exist (--large has a default)")
    parser.add_argument(
        "--data", nargs="+", default=[], metavar="CORPUS:FOLDER", help="recordings, if they have moved since training"
    )
    parser.add_argument("--cache", type=Path, help="folder for decoded audio (default: ~/.cache/ser)")
    parser.add_argument(
        "--scheme",
        choices=(runtimes.INT8, *runtimes.SCHEMES),
        default=runtimes.INT8,
        help="what ships; int8 (default): the scheme measured best for each runtime, "
        + ", ".join(f"{runtime.int8} for {name}" for name, runtime in runtimes.REGISTRY.items()),
    )
    parser.add_argument(
        "--formats",
        nargs="+",
        choices=tuple(runtimes.REGISTRY),
        help="runtimes to make files for (default: every one whose extra is installed and that has the scheme)",
    )
    parser.add_argument("--coverage", type=float, default=0.9, help='share of decisions not "uncertain" (default: 0.9)')
    parser.add_argument(
        "--temperature", type=float, help="of the probabilities (default: fitted to development speakers)"
    )
    parser.add_argument("--json", action="store_true", help="print the tables as JSON")
    pruning = parser.add_argument_group(
        "pruning", "in steps, each followed by training towards the unpruned model's probabilities"
    )
    pruning.add_argument(
        "--prune", type=float, help="share of channels and LSTM units to remove (default: what a target needs, else 0)"
    )
    pruning.add_argument("--target-size", help="prune until the whole bundle has at most this size: 250kB, 0.25MB ...")
    pruning.add_argument(
        "--target-rtf",
        type=float,
        help="prune until processor time / audio time of the stream is at most this, on this machine, 1 thread",
    )
    pruning.add_argument(
        "--fine-tune-epochs",
        type=int,
        default=8,
        help="epochs after the last step; a quarter after others (default: 8)",
    )
    pruning.add_argument("--plot", type=Path, help="draw the steps into this file (.svg, .png, .pdf)")
    large = parser.add_argument_group(
        "the larger bundle",
        "instead of RUN; one file format, weights in int8 (docs/large.md); needs the teacher extra too",
    )
    large.add_argument("--large", type=Path, metavar="ENCODER", help="folder of a Whisper in transformers' format")
    large.add_argument(
        "--protocol", default=LARGE_PROTOCOL, help=f"whose training speakers (default: {LARGE_PROTOCOL})"
    )
    large.add_argument("--fold", type=int, default=0, help="of the protocol (default: 0)")
    large.add_argument(
        "--without-labels", nargs="+", default=[], metavar="CORPUS", help="corpora of the protocol that are left out"
    )
    large.add_argument(
        "--beside",
        type=Path,
        metavar="BUNDLE",
        help="a small bundle of the same split that answers together with it: the mean of both log-probabilities",
    )
    limits = parser.add_argument_group("limits; past any of them nothing is written")
    for item in fields(ExportLimits):
        option = "--" + item.name.replace("_", "-")
        unit = "probability" if "abs_diff" in item.name else "share"
        limits.add_argument(option, type=float, default=item.default, help=f"{unit} (default: {item.default:g})")
    return parser


def fine_tune_data(source: "Source", cache: Path | None) -> "FineTuneData":
    """The training speakers under the run's own augmentation."""
    from edge.export.source import open_fine_tune_data

    trained = source.trained
    features, geometry = trained.config.features, trained.config.geometry
    config = from_dict(AugmentConfig, trained.augment, "augment")
    made = chains(config, features.sample_rate, geometry.window_samples, features.log_offset, features.hop_length)
    return open_fine_tune_data(source, made, cache)


def run(args: argparse.Namespace, termination: Termination) -> "Compressed":
    """Make the bundle. What can be wrong with the command line is checked before torch is imported."""
    with needed(program("quantize"), EXTRAS):
        from crnn.data.prepare import given_folders
        from crnn.run_config import PRUNED, require_crnn, require_exportable
        from crnn.training.run_folder import RunFolder

    require(args.run is not None, "name a run folder made by train.py, or --large ENCODER")
    require(args.out is not None, "name the bundle folder to write: --out FOLDER")
    refuse_unused(args, "--large ENCODER", False, "protocol", "fold", "without_labels", "beside")
    size = None if args.target_size is None else parse_size(args.target_size)
    targets, data = PruningTargets(args.prune, size, args.target_rtf), given_folders(args.data)
    if args.plot is not None:
        check_plot(args.plot)
    refuse_unused(args, "--prune or a target", targets.any, "plot", "fine_tune_epochs")
    if not (args.run / MANIFEST).is_file():
        config = RunFolder(args.run).read_config()[0]
        require_exportable(config, args.run)
        if targets.any:
            require_crnn(config, args.run, PRUNED)
    with needed(program("quantize"), EXTRAS):
        from edge.export.pipeline import Request, compress, shipping_schemes
        from edge.export.source import open_source
        from edge.prune.gradual import Recipe
    termination.begin()

    request = Request(
        args.out,
        shipping_schemes(args.scheme, tuple(args.formats) if args.formats else None),
        targets,
        Recipe(step_epochs=-(-args.fine_tune_epochs // 4), epochs=args.fine_tune_epochs),
        args.coverage,
        args.temperature,
        given_limits(args),
    )
    with contextlib.redirect_stdout(sys.stderr):  # the converters print; standard output is for the result
        source = open_source(args.run, data, args.cache, prunes=targets.any)
        tuning = fine_tune_data(source, args.cache) if targets.any else None
        result = compress(source, request, tuning)
        if args.plot is not None and result.steps:
            draw(result.steps, args.plot)
    return result


def run_large(args: argparse.Namespace, termination: Termination) -> "Large":
    """Make the larger bundle; `args.out` is then set."""
    for_runs = ("run", "formats", "prune", "target_size", "target_rtf", "plot")
    refuse_unused(args, "RUN and --prune or a target", False, "fine_tune_epochs")
    given = [name.replace("_", "-") for name in for_runs if getattr(args, name) is not None]
    require(not given, f"--large takes no {', '.join(given)}: its encoder is not pruned, and its files are of one kind")
    require(
        "scheme" not in args.given,
        f"--scheme {args.scheme}: --large makes {runtimes.WEIGHT_INT8} files; leave it out",
    )
    args.out = args.out or large_folder()
    with needed(program("quantize"), LARGE_EXTRAS):
        import augment.torchaudio_import  # noqa: F401 - before transformers
        from crnn.data.prepare import given_folders
        from edge.export.large import LargeRequest, make_large
    termination.begin()
    with contextlib.redirect_stdout(sys.stderr):
        return make_large(
            LargeRequest(
                args.large,
                args.out,
                given_folders(args.data),
                args.protocol,
                args.fold,
                tuple(args.without_labels),
                args.cache,
                args.coverage,
                args.temperature,
                given_limits(args),
                args.beside,
            )
        )


def given_limits(args: argparse.Namespace) -> ExportLimits:
    return ExportLimits(**{item.name: getattr(args, item.name) for item in fields(ExportLimits)})


def as_json(out: Path, result: "Compressed | Large") -> str:
    steps, rows = [asdict(step) for step in result.steps], [row.facts() for row in result.rows]
    return json.dumps({"bundle": str(out), "bytes": result.bytes, "steps": steps, "rows": rows}) + "\n"


def as_text(out: Path, result: "Compressed | Large") -> str:
    tables = "".join(f"{text}\n\n" for text in (step_table(result.steps), file_table(result.rows)) if text)
    return f"{tables}bundle {out}: {', '.join(result.manifest.models)}, {result.bytes:,} bytes\n"


@command
def main(argv: list[str] | None = None) -> int:
    log_to_stderr(logging.INFO)
    termination = Termination()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    args = build_parser().parse_args(argv)
    try:
        result = run_large(args, termination) if args.large else run(args, termination)
    except VerificationError as error:
        sys.stdout.write("".join(f"{text}\n" for text in (step_table(error.steps), file_table(error.rows)) if text))
        sys.stderr.write(f"error: past the limits, no bundle is written: {error}\n")
        return 1
    except OutOfReach as error:
        sys.stdout.write(step_table(error.steps) + "\n")
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"{termination.reason}; no bundle is written\n")
        return termination.exit_code
    sys.stdout.write(as_json(args.out, result) if args.json else as_text(args.out, result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
