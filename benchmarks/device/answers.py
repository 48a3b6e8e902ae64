"""What this processor answers: every event of a recording, under each bundle that ships and runtime that is named.

    python -m benchmarks.device.answers RECORDING BUNDLE:RUNTIME ...

`benchmarks.device.processors` starts it under emulators, where each start of an interpreter takes seconds. Imports
only what the device has. A line of JSON names the bundle and the runtime; the lines of `stream_infer.py` follow.
"""

import json
import sys

import stream_infer
from edge.bundle import PRETRAINED


def main(argv: list[str] | None = None) -> int:
    recording, *cases = sys.argv[1:] if argv is None else argv
    for case in cases:
        bundle, runtime = case.split(":")
        sys.stdout.write(json.dumps({"bundle": bundle, "runtime": runtime}) + "\n")
        sys.stdout.flush()  # the script writes around this buffer
        # Opening the bundle replays its golden values. The other VAD is an extra, with a network of its own.
        options = ("--runtime", runtime, "--json", "--decisions", "--vad", "energy")
        code = stream_infer.main([str(PRETRAINED.parent / bundle), recording, *options])
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
