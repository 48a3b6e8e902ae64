"""Prune, quantize, export and verify a trained run; write the bundle a device needs.

    python quantize.py RUN --out BUNDLE

Exit codes: 0 the bundle is written; 1 an exported file is past a limit, nothing is written; 2 bad input.
"""

import argparse
import contextlib
import json
import logging
import os
import sys
from dataclasses import asdict, fields
from pathlib import Path

from augment.pipeline import AugmentConfig, Chains, chains
from crnn.config import InputError, from_dict
from crnn.run_config import RunConfig
from edge import runtimes
from edge.limits import Limits


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quantize.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run folder made by train.py")
    parser.add_argument("--out", type=Path, required=True, help="bundle folder to write; must not exist")
    parser.add_argument(
        "--data", nargs="+", default=[], metavar="CORPUS:FOLDER", help="recordings, if they have moved since training"
    )
    parser.add_argument("--cache", type=Path, help="folder for decoded audio (default: ~/.cache/ser)")
    parser.add_argument("--prune", type=float, default=0.25, help="share of encoder channels to drop (default: 0.25)")
    parser.add_argument("--fine-tune-epochs", type=int, default=8, help="epochs after pruning (default: 8)")
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
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    limits = parser.add_argument_group("limits; past any of them nothing is written")
    for item in fields(Limits):
        option = "--" + item.name.replace("_", "-")
        limits.add_argument(option, type=float, default=item.default, help=f"share (default: {item.default:g})")
    return parser


def augmentation(settings: dict, run: RunConfig) -> Chains:
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
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    lines = ("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) for line in [head, *body])
    return "\n".join(line.rstrip() for line in lines)


def main(argv: list[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    args = build_parser().parse_args(argv)
    from crnn.prepare import given_folders  # after the arguments: torch takes seconds
    from edge.compress import GateError, Request, compress

    try:
        request = Request(
            args.prune,
            args.fine_tune_epochs,
            args.scheme,
            tuple(args.formats) if args.formats else None,
            args.coverage,
            Limits(**{item.name: getattr(args, item.name) for item in fields(Limits)}),
        )
        data = given_folders(args.data)
        with contextlib.redirect_stdout(sys.stderr):  # the converters talk; standard output is for the result
            rows, manifest = compress(args.run, args.out, request, augmentation, data, args.cache)
    except GateError as error:
        sys.stdout.write(table(error.rows) + "\n")
        sys.stderr.write(f"error: past the limits, no bundle is written: {error}\n")
        return 1
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"error: {error.filename or args.out}: {error.strerror}\n")
        return 2
    if args.json:
        sys.stdout.write(json.dumps({"bundle": str(args.out), "rows": [asdict(row) for row in rows]}) + "\n")
    else:
        size = sum(facts["bytes"] for facts in manifest.files.values())
        sys.stdout.write(f"{table(rows)}\nbundle {args.out}: {', '.join(manifest.models)}, {size:,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
