"""Options of a command line that would do nothing, because the one that they belong to is missing. Standard library."""

import argparse

from crnn.errors import require


def refuse_unused(
    args: argparse.Namespace, parser: argparse.ArgumentParser, needed: str, used: object, *options: str
) -> None:
    """Raise InputError if any of these options was given, with another value than its default, where it is not `used`.

    Args:
        needed: what it needs to do something, as the person would type it.
        options: names in `args`.
    """
    given = [f"--{name.replace('_', '-')}" for name in options if getattr(args, name) != parser.get_default(name)]
    require(bool(used) or not given, f"{', '.join(given)}: does nothing without {needed}; leave it out")
