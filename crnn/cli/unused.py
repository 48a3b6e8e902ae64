"""Options of a command line that would do nothing, because the one that they belong to is missing. Standard library."""

import argparse

from crnn.errors import require


def refuse_unused(args: argparse.Namespace, needed: str, used: object, *options: str) -> None:
    """Raise InputError if any of these options was given, even with its default, where it is not `used`.

    Args:
        args: of a `crnn.cli.installed.Parser`, which knows what was given.
        needed: what it needs to do something, as the person would type it.
        options: names in `args`.
    """
    given = [f"--{name.replace('_', '-')}" for name in options if name in args.given]
    require(bool(used) or not given, f"{', '.join(given)}: does nothing without {needed}; leave it out")
