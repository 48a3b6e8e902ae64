"""The options that say which bundle is played which clips, for every command that plays some."""

import argparse
from pathlib import Path


def add_clip_options(parser: argparse.ArgumentParser) -> None:
    """`bundle`, --data, --protocol, --fold, --runtime, --cache."""
    parser.add_argument("bundle", type=Path, help="bundle folder made by quantize.py")
    parser.add_argument("--data", nargs="+", default=[], metavar="CORPUS:FOLDER", help="recordings (or set SER_DATA)")
    parser.add_argument("--protocol", help="play its test speakers (default: every speaker of --data)")
    parser.add_argument("--fold", type=int, default=0, help="of the protocol (default: 0)")
    parser.add_argument("--runtime", help="inference runtime (default: the bundle's first that is installed)")
    parser.add_argument("--cache", type=Path, help="folder for decoded audio (default: ~/.cache/ser)")
