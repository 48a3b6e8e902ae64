"""A local web page: recognize a recording or the microphone, compare two bundles, and see what an answer depends on.

python -m edge.page                       the shipped models, on http://127.0.0.1:7860
python -m edge.page BUNDLE BUNDLE         your bundles as well
python -m edge.page --corrections FOLDER  also correct what stream_infer.py --keep-unsure FOLDER stored

Only this machine can open the page unless --host names another address. The page connects to nothing. Ctrl-C ends it.
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
from crnn.cli.installed import Parser, program
from crnn.errors import require
from edge.audio.vad import add_vad_option
from edge.bundle import MANIFEST, PRETRAINED, WINDOW, Bundle
from edge.page.corrections import Corrections
from edge.page.upload import UploadLimits
from edge.serve.address import bind, is_loopback, names_of, url
from edge.serve.run import run, serving

NEEDED = ("gradio", "soundfile", "soxr")
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
    """The small bundles that ship and those in `folders`, by the name that the page shows.

    Raises as Bundle.open, and for a larger bundle.
    """
    shipped = [Bundle.open(manifest.parent) for manifest in sorted(PRETRAINED.parent.glob(f"*/{MANIFEST}"))]
    shipped.sort(key=lambda bundle: bundle.path != PRETRAINED)  # the default first
    found = {f"shipped: {bundle.path.name}": bundle for bundle in shipped if bundle.manifest.kind != WINDOW}
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


def serve(args: argparse.Namespace, folder: str) -> None:
    """Serve until a signal. Uploads are written to `folder`."""
    os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
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
        from edge.page.server import build_app  # Gradio and uvicorn read the environment when they are imported

        app = build_app(
            bundles, recognizers, args.runtime, args.vad, limits, names_of(args.host), Path(folder), corrections
        )
        address = url(args.host, listening)
        if not local:
            sys.stderr.write(f"warning: anyone who can reach {address} can use this page; it has no password\n")
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        run(app, listening, ws="none", limit_concurrency=CONNECTIONS)


@command
def main(argv: list[str] | None = None) -> int:
    log_to_stderr(logging.WARNING)
    args = build_parser().parse_args(argv)
    return serving("the page", NEEDED, "ui", "ser-page.", partial(serve, args))


if __name__ == "__main__":
    sys.exit(main())
