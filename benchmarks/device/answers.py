"""What this processor answers: every event of a recording, under each bundle that ships and runtime that is named.

    python -m benchmarks.device.answers RECORDING BUNDLE:RUNTIME ... [--open BUNDLE:RUNTIME ...]

`benchmarks.device.processors` starts it under emulators, where each start of an interpreter takes seconds. Imports
only what the device has. A line of JSON names the bundle and the runtime; the lines of `stream_infer.py --json
--decisions` follow. What `--open` names is opened, which replays the golden values, and not streamed.
"""

import argparse
import json
import sys
from pathlib import Path

from crnn.cli.command import command
from crnn.errors import require
from edge import EmotionModel, open_model
from edge.audio.sources import from_file
from edge.bundle import PRETRAINED
from edge.loop.listening import listen
from edge.sinks.lines import LinesSink, StandardOutput, as_json


def names(case: str) -> tuple[str, str]:
    """Bundle and runtime of `BUNDLE:RUNTIME`."""
    bundle, _, runtime = case.partition(":")
    require(bool(bundle and runtime), f"{case}: give BUNDLE:RUNTIME, such as int8:onnx")
    return bundle, runtime


def opened(bundle: str, runtime: str) -> EmotionModel:
    """Its golden values hold here. The other VAD is an extra, with a network of its own."""
    return open_model(PRETRAINED.parent / bundle, runtime=runtime, vad="energy")


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("recording", type=Path)
    parser.add_argument("cases", nargs="*", metavar="BUNDLE:RUNTIME")
    parser.add_argument("--open", nargs="+", default=[], metavar="BUNDLE:RUNTIME", dest="opened", help="only opened")
    args = parser.parse_args(argv)
    out = StandardOutput()
    for case in args.opened:
        opened(*names(case))
    for case in args.cases:
        bundle, runtime = names(case)
        model = opened(bundle, runtime)
        out.write(json.dumps({"bundle": bundle, "runtime": runtime}) + "\n")
        sink = LinesSink(out, model.labels, as_json, decisions=True)
        listen(from_file(args.recording, model.sample_rate), model.utterances(), sink)
    return 0


if __name__ == "__main__":
    sys.exit(main())
