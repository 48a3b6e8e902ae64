"""How well the emotion of the next turn of a dialogue can be predicted from the six turns before it.

    python -m edge.embed RUN --data csv:turns.csv --out turns.npz
    python -m crnn.conversation turns.npz --list turns.csv

The list names for every recording its dialogue and its turn (columns path, dialogue, turn). A GRU takes the embeddings
of the turns before; it is cross-validated so that nobody it is tested on, nor anybody who talks with him, was trained
on. Beside it stands the answer that the emotion of the last turn stays. Exit code 2: bad input.
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

from crnn.cli.command import command, log_to_stderr
from crnn.cli.installed import Parser, install
from crnn.data.dialogues import read_turns
from crnn.errors import require

log = logging.getLogger(__name__)
SHOWN_LINES = 5


def build_parser() -> argparse.ArgumentParser:
    parser = Parser("crnn.conversation", __doc__)
    parser.add_argument("embeddings", type=Path, metavar="FILE.npz", help="what python -m edge.embed --out wrote")
    parser.add_argument("--list", type=Path, required=True, metavar="FILE.csv", help="path, dialogue, turn")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the order (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def text(result: dict) -> str:
    lines = [
        f"{result['n_turns']} turns of {result['n_dialogues']} dialogues, {len(result['labels'])} emotions, "
        f"{result['n_folds']} folds; chance {1 / len(result['labels']):.1%}"
    ]
    titles = (("model", f"GRU over the last {result['context']} turns"), ("repeated", "the last turn's true emotion"))
    for name, title in titles:
        figures = result[name]
        ends = figures["uar_ci95"]
        interval = f" ({ends[0]:.1%} to {ends[1]:.1%} over speakers)" if ends else ""
        lines.append(f"{title:32} UAR {figures['uar']:.1%}{interval}  WA {figures['wa']:.1%}")
    return "\n".join(lines)


@command
def main(argv: list[str] | None = None) -> int:
    log_to_stderr(logging.WARNING)
    args = build_parser().parse_args(argv)
    require(0 <= args.seed < 2**31, f"--seed is {args.seed}; give 0 to {2**31 - 1}")
    missing = [package for package in ("lightning", "sklearn") if find_spec(package) is None]
    require(not missing, f"crnn.conversation needs {', '.join(missing)}: {install('train,embed')}")
    from crnn.training.conversation import next_turns

    interruptible()
    problems: list[str] = []
    turns = read_turns(args.embeddings, args.list, problems)
    for problem in problems[:SHOWN_LINES]:
        log.warning("%s", problem)
    if len(problems) > SHOWN_LINES:
        log.warning("and %d more", len(problems) - SHOWN_LINES)
    result = next_turns(turns, args.seed) | {"unused_rows": len(problems)}
    sys.stdout.write((json.dumps(result) if args.json else text(result)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
