"""Write a list of recordings in another form: csv, Parquet (Hugging Face datasets), or a database of audformat.

    python -m crnn.lists --data csv:FILE --out parquet:FILE
    python -m crnn.lists --data audformat:FOLDER --out csv:FILE
    python -m crnn.lists --data results:FILE --out audformat:FOLDER      a table of stream_infer.py --csv

Exit codes: 0 done; 1 rows that could not be used were left out; 2 bad input.
"""

from crnn.cli.interrupt import starting

if __name__ == "__main__":
    starting()

import argparse
import logging
import os
import sys
from pathlib import Path

from crnn.cli.command import command, log_to_stderr
from crnn.cli.installed import Parser
from crnn.data.list_files import WRITERS
from crnn.data.list_table import of_recordings, of_results
from crnn.data.own_data import PLACES, WITHOUT, scan
from crnn.errors import InputError, require
from crnn.run_config import LAYOUT

log = logging.getLogger(__name__)

RESULTS = "results"
SHOWN = 20
"""Lines about rows that are left out"""


def build_parser() -> argparse.ArgumentParser:
    parser = Parser("crnn.lists", __doc__)
    parser.add_argument("--data", required=True, metavar="KIND:PATH", help=f"{PLACES} or results:FILE")
    parser.add_argument("--out", required=True, metavar="KIND:PATH", help="csv:FILE, parquet:FILE or audformat:FOLDER")
    parser.add_argument("--layout", default=LAYOUT, help=f"of folder: and audiofolder: (default: {LAYOUT})")
    parser.add_argument("--embed", action="store_true", help="parquet: with the recordings in the table")
    return parser


def convert(data: str, out: str, layout: str, embed: bool) -> tuple[str, list[str]]:
    """Write the list; returns what was written, and a line for every row that was left out."""
    kind, _, place = out.partition(":")
    require(kind in WRITERS and bool(place), f"--out {out}: give csv:FILE, parquet:FILE or audformat:FOLDER")
    # A list holds what somebody typed, and rows that cannot be used are left out of what is written.
    require(not os.path.lexists(place), f"{place}: exists already; give another --out, or remove it")
    require(kind == "parquet" or not embed, f"--embed is for parquet; leave it out for {kind}")
    problems: list[str] = []
    if data.startswith(f"{RESULTS}:"):
        table = of_results(Path(data.removeprefix(f"{RESULTS}:")), problems)
    else:
        require(not data.startswith(f"{WITHOUT}:"), f"--data {data}: no labels, which a list holds; give {PLACES}")
        corpus, problems = scan(data, layout)
        problems += [f"{file}: {why}" for file, why in corpus.skipped.items()]
        table = of_recordings(corpus.utterances)
    require(bool(table.files), problems[0] if problems else f"{data}: lists nothing")
    try:
        WRITERS[kind](table, Path(place), **({"embed": True} if embed else {}))
    except OSError as error:
        raise InputError(f"{error.filename or place}: {error.strerror}") from error
    return f"{place}: {len(table.files)} rows, {len(set(table.files))} recordings", problems


@command
def main(argv: list[str] | None = None) -> int:
    log_to_stderr(logging.INFO)
    args = build_parser().parse_args(argv)
    written, problems = convert(args.data, args.out, args.layout, args.embed)
    for line in problems[:SHOWN]:
        log.warning("left out: %s", line)
    if problems:
        log.warning("%d rows left out", len(problems))
    sys.stdout.write(f"{written}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
