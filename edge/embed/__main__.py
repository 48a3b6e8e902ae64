"""Write the embeddings of recordings by a trained model, draw a map of them, and probe what they hold.

    python -m edge.embed RUN --data emodb:FOLDER --out emodb.npz
    python -m edge.embed edge/pretrained/float32 --data emodb:FOLDER emovo:FOLDER --map map.svg
    python -m edge.embed RUN --data ravdess:FOLDER --subset test --out test.parquet --frames
    python -m edge.embed AFTER --against BEFORE --data emodb:FOLDER

The embedding of a clip is the mean of the pooled vectors of its decisions, of which the answer is made. Printed is how
well emotion, speaker and corpus can be recognized from them by a linear classifier, cross-validated; emotion and
corpus on other speakers than it was fitted on; with --against also from those of another model, for instance of a run
without a speaker adversary. Exit code 2: bad input.
"""

from crnn.cli.interrupt import interruptible, starting

if __name__ == "__main__":
    starting()

import argparse
import json
import logging
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from crnn.cli.command import command, log_to_stderr
from crnn.cli.installed import Parser
from crnn.data import prepare as preparation
from crnn.data.cache import merged
from crnn.data.splits import SETS
from crnn.errors import require
from crnn.training.run_folder import RunFolder
from edge.bundle import MANIFEST
from edge.preflight import check_writable, needed

if TYPE_CHECKING:
    from crnn.training.trained_run import TrainedModel
    from edge.embed.embeddings import Embeddings


TABLES, PICTURES = (".npz", ".parquet"), (".svg", ".png")
"""How the names of the files end that --out and --map write"""


def build_parser() -> argparse.ArgumentParser:
    parser = Parser("edge.embed", __doc__)
    parser.add_argument("model", type=Path, help="run folder of train.py, or float32 bundle of quantize.py")
    parser.add_argument("--against", type=Path, metavar="MODEL", help="another model, whose embeddings are probed too")
    parser.add_argument("--data", nargs="+", required=True, metavar="CORPUS:FOLDER", help="recordings, as for train.py")
    parser.add_argument("--subset", choices=SETS, help="only the clips of this subset of the run (default: every clip)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the embeddings here: .npz or .parquet")
    parser.add_argument("--frames", action="store_true", help="write the encoder's output at every step as well")
    parser.add_argument("--map", type=Path, metavar="FILE", help="draw a map of the clips here: .svg or .png")
    parser.add_argument("--umap", action="store_true", help="find the map by UMAP, which must be installed")
    parser.add_argument("--seed", type=int, default=0, help="of the map (default: 0)")
    parser.add_argument("--cache", type=Path, help="folder for decoded audio (default: ~/.cache/ser)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def check(args: argparse.Namespace) -> None:
    """Raise InputError for what can be refused before the model is opened."""
    for option, path, suffixes in (("--out", args.out, TABLES), ("--map", args.map, PICTURES)):
        if path:
            require(path.suffix in suffixes, f"{option} {path}: give a file name that ends in {' or '.join(suffixes)}")
            check_writable(path, f"{option} {path}")
    require(not args.frames or args.out is not None, "--frames is written into --out FILE, which is missing")
    require(not args.umap or args.map is not None, "--umap is for --map FILE, which is missing")
    require(not args.umap or find_spec("umap") is not None, "--umap needs umap: pip install umap-learn")
    require(0 <= args.seed < 2**32, f"--seed is {args.seed}; give 0 to {2**32 - 1}")


def embeddings(args: argparse.Namespace, model: Path) -> "Embeddings":
    """By `model`, of every usable recording that is asked for. Raises InputError."""
    from crnn.training.trained_run import open_run
    from edge.embed.embeddings import embed

    is_bundle, run = (model / MANIFEST).is_file(), RunFolder(model)
    require(not (is_bundle and args.subset), f"--subset {args.subset}: {model} is a bundle, which names no clips")
    trained = open_bundle(model) if is_bundle else open_run(run)
    interruptible()
    subsets = {} if is_bundle else run.read("split").get("clips", {})
    subset_of = {name: subset for subset, names in subsets.items() for name in names}
    config = trained.config
    opened = [
        preparation.open_corpus(name, place, config.layout, config.features.sample_rate, args.cache)
        for name, place in sorted(preparation.given_folders(args.data).items())
    ]
    cache = merged(cache for _, cache in opened)
    clips = [u for corpus, _ in opened for u in corpus.utterances if u.name in cache.clips]
    if args.subset:
        clips = [u for u in clips if subset_of.get(u.name) == args.subset]
    require(len(clips) > 0, f"--data {' '.join(args.data)}: no recording there is in {args.subset or 'it'}")
    return embed(trained, cache, clips, args.frames, subset_of, args.cache)


def open_bundle(path: Path) -> "TrainedModel":
    """The model of a float32 bundle that has its weights beside it. Raises InputError."""
    from crnn.training.trained_run import TrainedModel
    from edge.export.trained import trained_of_bundle

    found = trained_of_bundle(path)
    return TrainedModel(found.config, tuple(found.metrics["dev"]["labels"]), found.model)


def probes(made: "Embeddings") -> dict[str, dict | None]:
    """How well each property can be recognized from the embeddings."""
    from crnn.linear_probe import probe

    columns, speakers = made.columns(), [u.speaker for u in made.clips]
    found = {"emotion": probe(made.vectors, columns["emotion"], speakers), "speaker": probe(made.vectors, speakers)}
    if len(set(columns["corpus"])) > 1:
        found["corpus"] = probe(made.vectors, columns["corpus"], speakers)
    return found


def another(args: argparse.Namespace, made: "Embeddings") -> "Embeddings":
    """The embeddings of the same clips by the model of --against. Raises InputError."""
    other = embeddings(args, args.against)
    require(
        sorted(u.name for u in other.clips) == sorted(u.name for u in made.clips),
        f"--against {args.against}: --subset {args.subset} of its split has other clips; compare runs of one split",
    )
    return other


def described(model: Path, made: "Embeddings") -> dict:
    return {"model": str(model), "width": made.vectors.shape[1], "probes": probes(made)}


def probed(found: dict[str, dict | None]) -> list[str]:
    """A line per property."""
    lines = []
    for name, figures in found.items():
        if figures is None:
            units = "clips" if name == "speaker" else "speakers"
            lines.append(f"  {name:8} too few: two {name}s with two {units} each")
            continue
        left = f"; {figures['left_out']} clips left out" if figures["left_out"] else ""
        guess = f"chance {figures['chance']:.1%} ({figures['n_names']} {name}s)"
        lines.append(f"  {name:8} UAR {figures['uar']:.1%}, {guess}{left}")
    return lines


def text(result: dict) -> str:
    lines = [f"{result['n_clips']} clips, embeddings of {result['width']} values"]
    lines += ["recognized from them by a linear classifier, cross-validated:", *probed(result["probes"])]
    if "against" in result:
        other = result["against"]
        lines += [f"from those of {other['model']} ({other['width']} values):", *probed(other["probes"])]
    lines += [f"{title:10} {result[title]}" for title in ("out", "map") if result[title]]
    return "\n".join(lines)


@command
def main(argv: list[str] | None = None) -> int:
    log_to_stderr(logging.WARNING)
    args = build_parser().parse_args(argv)
    check(args)
    with needed("edge.embed", "train,embed"):
        import sklearn  # noqa: F401
        import torch  # noqa: F401

        if args.out and args.out.suffix == ".parquet":
            import pyarrow  # noqa: F401
    made = embeddings(args, args.model)
    other = another(args, made) if args.against else None
    if args.map:
        from edge.embed.map import FEWEST, draw

        require(len(made.clips) >= FEWEST, f"--map: {len(made.clips)} clips; a map needs {FEWEST}")
        draw(args.map, made, args.seed, args.umap)
    if args.out:
        from edge.embed.files import write

        write(args.out, made)
    result = {
        **described(args.model, made),
        "n_clips": len(made.clips),
        **({"against": described(args.against, other)} if other else {}),
        "out": str(args.out) if args.out else None,
        "map": str(args.map) if args.map else None,
    }
    sys.stdout.write((json.dumps(result) if args.json else text(result)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
