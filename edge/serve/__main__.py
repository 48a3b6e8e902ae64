"""A service for other programs: recordings over HTTP, live audio over WebSocket, many clients at a time.

python -m edge.serve                      the int8 model that ships, on http://127.0.0.1:8000
python -m edge.serve BUNDLE --port 8001   your bundle
curl --data-binary @recording.wav http://127.0.0.1:8000/recognize

Only this machine can connect unless --host names another address; then clients must show a token, the first line of
--token-file FILE or SER_SERVE_TOKEN. Nothing that is sent is stored. http://127.0.0.1:8000/docs describes the rest.
Ctrl-C ends it.
"""

from crnn.cli.interrupt import starting

if __name__ == "__main__":
    starting()

import argparse
import logging
import os
import sys
from functools import partial
from pathlib import Path

from crnn.cli.command import command, log_to_stderr
from crnn.cli.installed import Parser
from crnn.errors import require
from edge.audio.vad import add_vad_option
from edge.loop.recognition import open_model
from edge.serve.address import bind, is_loopback, names_of, url
from edge.serve.limits import ServiceLimits
from edge.serve.run import run, serving

NEEDED = ("fastapi", "uvicorn", "websockets", "prometheus_client", "soundfile", "soxr")
MORE_CONNECTIONS = 64
"""Beside the streams, at a time; further requests are answered with 503"""


def build_parser() -> argparse.ArgumentParser:
    parser = Parser("edge.serve", __doc__)
    limits = ServiceLimits()
    parser.add_argument(
        "bundle", nargs="?", type=Path, metavar="BUNDLE", help="folder made by quantize.py (default: the int8 model)"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to serve on (default: 127.0.0.1, this machine alone)"
    )
    parser.add_argument("--port", type=int, default=8000, help="(default: 8000; 0: any free port)")
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="its first line is the token that clients show (else: SER_SERVE_TOKEN); needed with another --host",
    )
    parser.add_argument("--runtime", help="inference runtime (default: the bundle's first that is installed)")
    add_vad_option(parser)
    processors = os.cpu_count() or 1
    parser.add_argument(
        "--threads",
        type=int,
        default=processors,
        help=f"that compute live audio (default: {processors}, as processors)",
    )
    for option, kind, value, meaning in (
        ("--max-mb", float, limits.max_megabytes, "MiB of an uploaded file"),
        ("--max-seconds", float, limits.max_seconds, "s of an uploaded recording"),
        ("--max-waiting", int, limits.max_waiting, "uploads that may wait"),
        ("--max-streams", int, limits.max_streams, "WebSocket connections at a time"),
        ("--max-stream-seconds", float, limits.max_stream_seconds, "s of one connection"),
        ("--max-per-minute", float, limits.max_per_minute, "requests and connections of one address per minute"),
    ):
        parser.add_argument(option, type=kind, default=value, help=f"{meaning} (default: {value:g})")
    return parser


def serve(args: argparse.Namespace, folder: str) -> None:
    """Serve until a signal. Uploads are written to `folder`."""
    from edge.serve.access import TOKEN_VARIABLE, read_token

    limits = ServiceLimits(
        args.max_mb, args.max_seconds, args.max_waiting, args.max_streams, args.max_stream_seconds, args.max_per_minute
    )
    require(args.threads >= 1, f"--threads {args.threads}; give at least 1")
    token = read_token(args.token_file)
    require(
        token is not None or is_loopback(args.host),
        f"--host {args.host}: others could connect, so a token is needed: --token-file FILE, or {TOKEN_VARIABLE}",
    )
    model = open_model(args.bundle, runtime=args.runtime, vad=args.vad)
    with bind(args.host, args.port) as listening:
        from edge.serve.app import build_app  # FastAPI, once nothing is to be refused any more
        from edge.serve.streams import WEBSOCKETS

        app = build_app(model, limits, names_of(args.host), token, args.threads, Path(folder))
        sys.stdout.write(f"{url(args.host, listening)}\n")
        sys.stdout.flush()
        run(
            app,
            listening,
            **WEBSOCKETS,
            limit_concurrency=limits.max_streams + MORE_CONNECTIONS,
        )


@command
def main(argv: list[str] | None = None) -> int:
    log_to_stderr(logging.WARNING)
    args = build_parser().parse_args(argv)
    return serving("the service", NEEDED, "serve", "ser-serve.", partial(serve, args))


if __name__ == "__main__":
    sys.exit(main())
