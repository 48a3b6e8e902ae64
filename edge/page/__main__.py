"""A local web page: recognize a recording or the microphone, compare two bundles, and see what an answer depends on.

python -m edge.page                       the shipped models, on http://127.0.0.1:7860
python -m edge.page BUNDLE BUNDLE         your bundles as well
python -m edge.page --corrections FOLDER  also correct what stream_infer.py --keep-unsure FOLDER stored

Only this machine can open the page unless --host names another address. The page connects to nothing. Ctrl-C ends it.
"""

from crnn.cli.interrupt import at_leave, interruptible, starting

if __name__ == "__main__":
    starting()

import argparse
import importlib.util
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from functools import partial
from ipaddress import ip_address
from pathlib import Path

from crnn.cli.command import command, log_to_stderr
from crnn.cli.installed import Parser, install, program
from crnn.errors import InputError, require
from edge.audio.vad import add_vad_option
from edge.bundle import MANIFEST, PRETRAINED, WINDOW, Bundle
from edge.page.corrections import Corrections
from edge.page.upload import UploadLimits

NEEDED = ("gradio", "soundfile", "soxr")
ENDS = (signal.SIGTERM, signal.SIGINT)
GRACE_SECONDS = 2
"""s that open requests get to finish when the server ends"""
CONNECTIONS = 200
"""Open at a time; further ones are answered that the server is busy, before it runs out of file descriptors"""


def build_parser() -> argparse.ArgumentParser:
    parser = Parser("edge.page", __doc__)
    limits = UploadLimits()
    parser.add_argument("bundles", nargs="*", type=Path, metavar="BUNDLE", help="bundle folders made by quantize.py")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to serve on (default: 127.0.0.1, this machine alone)"
    )
    parser.add_argument("--port", type=int, default=7860, help="(default: 7860; 0: any free port)")
    parser.add_argument("--runtime", help="inference runtime (default: each bundle's first that is installed)")
    add_vad_option(parser)
    parser.add_argument(
        "--max-mb", type=float, default=limits.max_megabytes, help=f"of an upload (default: {limits.max_megabytes:g})"
    )
    parser.add_argument(
        "--max-seconds", type=float, default=limits.max_seconds, help=f"of a clip (default: {limits.max_seconds:g})"
    )
    parser.add_argument(
        "--max-sessions",
        type=int,
        default=limits.max_sessions,
        help=f"microphones listened to at a time (default: {limits.max_sessions})",
    )
    parser.add_argument(
        "--corrections",
        type=Path,
        metavar="FOLDER",
        help="add a tab to correct the recordings that stream_infer.py --keep-unsure stored there",
    )
    return parser


def open_bundles(folders: list[Path]) -> dict[str, Bundle]:
    """The shipped bundles and those in `folders`, by the name that the page shows.

    Raises as Bundle.open, and for a larger bundle.
    """
    shipped = [manifest.parent for manifest in sorted(PRETRAINED.parent.glob(f"*/{MANIFEST}"))]
    shipped.sort(key=lambda folder: folder != PRETRAINED)  # the default first
    found = {f"shipped: {folder.name}": Bundle.open(folder) for folder in shipped}
    given = {str(folder): Bundle.open(folder) for folder in folders}
    larger = [name for name, bundle in given.items() if bundle.manifest.kind == WINDOW]
    require(
        not larger,
        f"{', '.join(larger)}: a larger bundle, which recomputes its windows; the page cannot show which intervals an "
        f"answer depends on. Use {program('stream_infer')}",
    )
    return found | given


def open_corrections(folder: Path | None, bundles: dict[str, Bundle]) -> Corrections | None:
    """The recordings to correct, or None without a folder. Raises InputError if the folder is missing or unusable."""
    if folder is None:
        return None
    require(
        folder.is_dir(),
        f"{folder}: no such folder; {program('stream_infer')} --keep-unsure {folder} makes and fills it",
    )
    return Corrections(folder, tuple(dict.fromkeys(label for b in bundles.values() for label in b.manifest.labels)))


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to `host`.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("pi.local")
    (True, True, False, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises InputError if the address cannot be used."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"{host}, port {port}: cannot be served on ({error}); give another --host or --port"
        ) from error


def serve(args: argparse.Namespace, folder: str) -> None:
    """Serve until a signal. Uploads are written to `folder`."""
    os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    tempfile.tempdir = folder  # interrupted uploads leave their files there
    limits = UploadLimits(args.max_mb, args.max_seconds, args.max_sessions)
    local = is_loopback(args.host)
    require(
        local or args.corrections is None,
        f"--host {args.host}: --corrections works on this machine only, because the page plays private recordings",
    )
    bundles = open_bundles(args.bundles)
    corrections = open_corrections(args.corrections, bundles)
    recognizers = {name: bundle.recognizer(args.runtime) for name, bundle in bundles.items()}

    with bind(args.host, args.port) as listening:
        import uvicorn  # with Gradio; both read the environment when they are imported

        from edge.page.server import build_app

        port = listening.getsockname()[1]
        names = ["localhost", "127.0.0.1", "[::1]", args.host] if local else ["*"]
        app = build_app(bundles, recognizers, args.runtime, args.vad, limits, names, Path(folder), corrections)
        if not local:
            sys.stderr.write(
                f"warning: anyone who can reach {args.host}:{port} can use this page; it has no password\n"
            )
        name = f"[{args.host}]" if ":" in args.host else args.host
        sys.stdout.write(f"http://{name}:{port}\n")
        sys.stdout.flush()
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )

        class Server(uvicorn.Server):
            async def serve(self, sockets: list[socket.socket] | None = None) -> None:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
                await super().serve(sockets)

        interruptible()
        # What a signal raises inside the constructor of the event loop would be printed as a traceback.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
        Server(config).run(sockets=[listening])


@command
def main(argv: list[str] | None = None) -> int:
    log_to_stderr(logging.WARNING)
    args = build_parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again, before the folder is removed
    try:
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        require(not missing, f"the page needs {', '.join(missing)}: {install('ui')}")
        with tempfile.TemporaryDirectory(prefix="ser-page.", ignore_cleanup_errors=True) as folder:
            at_leave(partial(shutil.rmtree, folder, ignore_errors=True))
            serve(args, folder)
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
