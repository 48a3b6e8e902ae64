"""Prune, quantize, export and verify a trained run; write the bundle a device needs.

    python quantize.py RUN --out BUNDLE
    python quantize.py RUN --out BUNDLE --target-size 120kB --plot pruning.svg

Exit codes: 0 the bundle is written; 1 an exported file is past a limit, nothing is written; 2 bad input, or a target
that cannot be met: the best that was reached is printed, and nothing is written.
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
from augment.pipeline import Chains, chains
from crnn.cli.command import command, log_to_stderr
from crnn.cli.installed import Parser, program
from crnn.cli.termination import Termination
from crnn.config import from_dict
from edge import runtimes
from edge.export.limits import ExportLimits, VerificationError
from edge.preflight import needed
from edge.prune.plot import check_plot, draw
from edge.prune.targets import DEFAULT_SHARE, OutOfReach, PruningTargets, parse_size

if TYPE_CHECKING:
    from crnn.run_config import RunConfig

EXTRAS = "train,export"
"""Of this project, without which nothing can be compressed"""


def build_parser() -> argparse.ArgumentParser:
    parser = Parser("quantize", __doc__)
    parser.add_argument("run", type=Path, help="run folder made by train.py, or a float32 bundle (with --prune 0)")
    parser.add_argument("--out", type=Path, required=True, help="bundle folder to write; must not exist")
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
    parser.add_argument("--json", action="store_true", help="print the tables as JSON")
    pruning = parser.add_argument_group("pruning, in steps, each trained further towards the unpruned model's answers")
    pruning.add_argument(
        "--prune",
        type=float,
        help=f"share of channels and LSTM units to drop (default: {DEFAULT_SHARE} without a target)",
    )
    pruning.add_argument(
        "--target-size", help="whole bundle, at most: 250kB, 0.25MB ...; what has to go for it is found"
    )
    pruning.add_argument(
        "--target-rtf", type=float, help="processor time / audio time of the stream on this machine, 1 thread, at most"
    )
    pruning.add_argument(
        "--fine-tune-epochs",
        type=int,
        default=8,
        help="epochs after the last step; a quarter after others (default: 8)",
    )
    pruning.add_argument("--plot", type=Path, help="draw the steps into this file (.svg, .png, .pdf)")
    limits = parser.add_argument_group("limits; past any of them nothing is written")
    for item in fields(ExportLimits):
        option = "--" + item.name.replace("_", "-")
        unit = "probability" if "abs_diff" in item.name else "share"
        limits.add_argument(option, type=float, default=item.default, help=f"{unit} (default: {item.default:g})")
    return parser


def augmentation(settings: dict, run: "RunConfig") -> Chains:
    """The run's own augmentation, for fine-tuning."""
    config = from_dict(AugmentConfig, settings, "augment")
    return chains(config, run.features.sample_rate, run.geometry.window_samples, run.features.log_offset)


def table(rows: list) -> str:
    head = ("files", "runtime", "scheme", "bytes", "max diff", "flips", "UAR", "drop", "ms/window", "rtf", "")
    body = [
        (
            row.files,
            row.runtime,
            row.scheme,
            f"{row.bytes:,}",
            f"{row.max_abs_diff:.1e}",
            f"{row.flip_rate:.2%}",
            f"{row.uar:.1%}",
            f"{row.uar_drop:+.1%}",
            f"{row.ms_per_window:.2f}",
            f"{row.rtf:.4f}",
            "ships" if row.ships else "past a limit" if row.failures else "",
        )
        for row in rows
    ]
    return aligned(head, body)


def step_table(steps: list) -> str:
    """The steps of a pruning, the trained model first; empty without any."""
    if not steps:
        return ""
    head = ("pruned", "channels", "LSTM", "parameters", "MACs/window", "bytes", "rtf", "dev UAR", "lost")
    body = [
        (
            f"{step.share:.0%}",
            "-".join(map(str, step.channels)),
            str(step.lstm_units),
            f"{step.n_params:,}",
            f"{step.macs_per_window:,}",
            f"{step.bytes:,}",
            f"{step.rtf:.4f}",
            f"{step.uar:.1%}",
            f"{steps[0].uar - step.uar:+.1%}",
        )
        for step in steps
    ]
    return aligned(head, body)


def aligned(head: tuple[str, ...], body: list[tuple[str, ...]]) -> str:
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    lines = ("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) for line in [head, *body])
    return "\n".join(line.rstrip() for line in lines)


@command
def main(argv: list[str] | None = None) -> int:
    log_to_stderr(logging.INFO)
    termination = Termination()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    args = build_parser().parse_args(argv)
    try:
        with needed(program("quantize"), EXTRAS):
            from crnn.data.prepare import given_folders

        target_size = None if args.target_size is None else parse_size(args.target_size)
        wish, data = PruningTargets(args.prune, target_size, args.target_rtf), given_folders(args.data)
        if args.plot is not None:
            check_plot(args.plot)
        with needed(program("quantize"), EXTRAS):
            from edge.export.pipeline import Request, compress  # what was mistyped is told before: torch takes seconds
            from edge.prune.gradual import Recipe
        termination.begin()

        request = Request(
            wish,
            Recipe(step_epochs=-(-args.fine_tune_epochs // 4), epochs=args.fine_tune_epochs),
            args.scheme,
            tuple(args.formats) if args.formats else None,
            args.coverage,
            ExportLimits(**{item.name: getattr(args, item.name) for item in fields(ExportLimits)}),
        )
        with contextlib.redirect_stdout(sys.stderr):  # the converters talk; standard output is for the result
            rows, steps, manifest = compress(args.run, args.out, request, augmentation, data, args.cache)
            if args.plot is not None and steps:
                draw(steps, args.plot)
    except VerificationError as error:
        sys.stdout.write("".join(f"{told}\n" for told in (step_table(error.steps), table(error.rows)) if told))
        sys.stderr.write(f"error: past the limits, no bundle is written: {error}\n")
        return 1
    except OutOfReach as error:
        sys.stdout.write(step_table(error.steps) + "\n")
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"{termination.reason}; no bundle is written\n")
        return termination.exit_code
    size = sum(path.stat().st_size for path in args.out.iterdir())
    if args.json:
        told = {"steps": [asdict(step) for step in steps], "rows": [asdict(row) for row in rows]}
        sys.stdout.write(json.dumps({"bundle": str(args.out), "bytes": size, **told}) + "\n")
    else:
        tables = "".join(f"{told}\n\n" for told in (step_table(steps), table(rows)) if told)
        sys.stdout.write(f"{tables}bundle {args.out}: {', '.join(manifest.models)}, {size:,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
