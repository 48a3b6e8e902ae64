"""Draws an SVG of the live view from the events of a run.

python stream_infer.py recording.wav --json --decisions | python -m edge.sinks.picture docs/images/terminal.svg
"""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from crnn.cli.command import command
from crnn.errors import InputError, require
from crnn.files.atomic import replacing
from edge.loop.events import Event
from edge.sinks.lines import from_dict
from edge.sinks.terminal import Screen, as_svg


def draw(lines: Iterable[str]) -> Screen:
    """The screen after the last of these JSON lines.

    Raises InputError for a line that is not an event, and if no event has probabilities.
    """
    events: list[tuple[float, Event]] = []
    labels: tuple[str, ...] = ()
    for number, line in enumerate(lines, 1):
        try:
            values = json.loads(line)
            events.append(from_dict(values))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"line {number} is no event of stream_infer.py --json ({error!r})") from error
        labels = labels or tuple(values.get("probs") or ())
    require(bool(labels), "no line has probabilities; stream a longer recording")
    screen = Screen(labels)
    for seconds, event in events:
        screen.update(seconds, event)
    return screen


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="picture", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="SVG file")
    parser.add_argument("--title", default="stream_infer.py --view")
    args = parser.parse_args(argv)
    picture = as_svg(draw(sys.stdin), args.title)
    with replacing(args.out) as file:
        file.write(picture.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
