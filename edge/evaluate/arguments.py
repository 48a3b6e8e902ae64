"""The options that say which bundle is played which clips, for every command that plays some."""

import argparse
from pathlib import Path

from crnn.cli.unused import refuse_unused
from crnn.errors import require


def add_clip_options(parser: argparse.ArgumentParser) -> None:
    """`bundle`, --data, --protocol, --fold, --runtime, --cache."""
    parser.add_argument("bundle", type=Path, help="bundle folder made by quantize.py")
    parser.add_argument("--data", nargs="+", default=[], metavar="CORPUS:FOLDER", help="recordings (or set SER_DATA)")
    parser.add_argument("--protocol", help="play its test speakers (default: every speaker of --data)")
    parser.add_argument("--fold", type=int, default=0, help="of the protocol (default: 0)")
    parser.add_argument("--runtime", help="inference runtime (default: the bundle's first that is installed)")
    parser.add_argument("--cache", type=Path, help="folder for decoded audio (default: ~/.cache/ser)")


def named_folders(args: argparse.Namespace) -> dict[str, str]:
    """Corpus -> folder, of the values of --data. Raises InputError if these and --protocol name nothing to play, or for
    --fold without --protocol."""
    named = bool(args.data) or args.protocol is not None
    require(named, "name the recordings: --data CORPUS:FOLDER, or --protocol and --fold")
    refuse_unused(args, "--protocol", args.protocol is not None, "fold")
    from crnn.data.prepare import given_folders  # takes long to import

    return given_folders(args.data)
