"""Options of stream_infer.py that contradict each other, or that would do nothing beside the others."""

import argparse

from crnn.cli.unused import refuse_unused
from crnn.errors import require
from edge.loop.arguments import STDIN


def refuse_options(args: argparse.Namespace) -> None:
    """Raise InputError that names the option and what it needs, or what it contradicts."""
    stored, mqtt = ([name for name in vars(args) if name.startswith(start)] for start in ("keep_unsure_", "mqtt_"))
    for needed, used, options in (
        ("--mic", args.mic, ["device", "channel"]),
        ("- (standard input)", STDIN in args.names, ["rate", "channels", "format"]),
        ("--log FILE", args.log, ["log_decisions"]),
        ("--keep-unsure FOLDER", args.keep_unsure, stored),
        ("--mqtt HOST", args.mqtt, mqtt),
    ):
        refuse_unused(args, needed, used, *options)
    if args.view:
        refuse_others(args, "--view takes the place of lines", "json", "decisions")
    if args.rttm:
        refuse_others(args, "--rttm is for one recording, and stands alone", "mic", "json", "view", "decisions")
        if not (args.log or args.mqtt):
            refuse_others(args, "--rttm has no line for the event of a rule", "rules")


def refuse_others(args: argparse.Namespace, what: str, *options: str) -> None:
    """Raise InputError, beginning with `what`, if any of these options was given."""
    others = [f"--{name.replace('_', '-')}" for name in options if getattr(args, name)]
    require(not others, f"{what}; leave {', '.join(others)} out")
