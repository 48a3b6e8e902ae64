"""Rewrite every generated table of the documents, and the front matter of the model card, from the result files.

python -m benchmarks.tables
"""

import argparse
import re
import sys
from pathlib import Path

from benchmarks.tables import accuracy, adaptation, battery, bundle, device, export, model_card, systems  # noqa: F401  they register
from benchmarks.tables.markdown import TABLES
from crnn.cli.command import command
from crnn.errors import require
from crnn.files.atomic import write_text

PAGES = (Path("README.md"), Path("edge/pretrained/MODEL_CARD.md"), *sorted(Path("docs").glob("*.md")))
FRONT = re.compile(r"\A---\n# python -m benchmarks\.tables writes this\n.*?\n---\n", re.DOTALL)
BLOCK = re.compile(r"<!-- table: (?P<call>[^\n]+?) -->\n.*?<!-- end -->", re.DOTALL)


def filled(text: str) -> str:
    """The page with new tables between its markers, and new front matter below its mark; all else is unchanged.

    Raises InputError for a marker that names no table or is not closed.
    """
    opened, closed = len(re.findall("<!-- table: ", text)), len(re.findall("<!-- end -->", text))
    blocks = len(BLOCK.findall(text))
    require(
        blocks == opened == closed, f"{opened} table markers, {closed} end markers: close each table with <!-- end -->"
    )
    return FRONT.sub(_front_matter, BLOCK.sub(_made, text))


def _front_matter(block: re.Match) -> str:
    first, comment, *_ = block[0].splitlines()
    return f"{first}\n{comment}\n{model_card.front_matter_that_ships()}---\n"


def _made(block: re.Match) -> str:
    name, *arguments = block["call"].split()
    require(name in TABLES, f"no table {name}; known: {', '.join(sorted(TABLES))}")
    return f"<!-- table: {block['call']} -->\n\n{TABLES[name](*arguments).strip()}\n\n<!-- end -->"


@command
def main(argv: list[str] | None = None) -> int:
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        made = filled(text)
        if made != text:
            write_text(page, made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
