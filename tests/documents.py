"""The documents as the tests read them: their commands, what these need, their inline code and their links.

The rules of the house. An indented block, or one fenced as `sh`, holds commands and nothing else; whatever is no
command is fenced with its own language. A comment before a block, `<!-- needs: recordings -->`, says what a machine
must have to run it (`NEEDS`): such a block is not run, but its programs and options are checked like all others. The
names `BUNDLE`, `RUN` and `recording.wav` stand for a bundle, a trained run and a recording; the tests provide them.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from helpers import ROOT
from markdown_it import MarkdownIt
from markdown_it.token import Token

PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "edge" / "pretrained").glob("*.md")],
)
NEEDS = {"recordings", "a speech encoder", "microphone", "network", "Raspberry Pi", "several machines"}
MARKER = re.compile(r"<!-- needs: (.+?) -->\s*")
OPERATORS = {"&&", "||", "|", ";"}
IMPLIED = {"make": frozenset({"network"})}
"""What a program always needs: make installs what is missing"""


@dataclass(frozen=True)
class Command:
    """One program and its arguments, as a reader types them."""

    page: str
    words: tuple[str, ...]
    """Without the settings of variables before it"""
    needs: frozenset[str]
    """What a machine must have for it; empty: it runs anywhere"""

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def tokens(page: Path) -> list[Token]:
    text = re.sub(
        r"\A---\n.*?\n---\n", "", page.read_text(encoding="utf-8"), flags=re.DOTALL
    )  # front matter is no text
    return MarkdownIt("commonmark").enable("table").parse(text)


def commands(page: Path) -> list[Command]:
    """Every command in the page's blocks, in order. Raises ValueError for a marker that is not in NEEDS."""
    found, needs = [], frozenset()
    for token in tokens(page):
        if token.type == "html_block":
            marker = MARKER.fullmatch(token.content)
            needs = frozenset(marker[1].split(", ")) if marker else frozenset()
            if not needs <= NEEDS:
                raise ValueError(f"{page.name}: needs {', '.join(needs - NEEDS)}; known: {', '.join(sorted(NEEDS))}")
            continue
        if token.type == "code_block" or (token.type == "fence" and token.info == "sh"):
            for line in token.content.replace("\\\n", " ").splitlines():
                found += [Command(page.name, words, needs | IMPLIED.get(words[0], needs)) for words in _split(line)]
        needs = frozenset()
    return found


def _split(line: str) -> list[tuple[str, ...]]:
    """The commands of one line of shell, without comments and without settings of variables."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    parts: list[list[str]] = [[]]
    for word in lexer:
        if word in OPERATORS:
            parts.append([])
        elif parts[-1] or not re.match(r"[A-Z_]+=", word):
            parts[-1].append(word)
    return [tuple(part) for part in parts if part]


def examples(page: Path) -> str:
    """Its Python examples, to be run as doctests."""
    return "\n".join(t.content for t in tokens(page) if t.type == "fence" and t.info == "python")


def unnamed_fences(page: Path) -> list[str]:
    """Fences that do not say what language they hold."""
    return [t.content for t in tokens(page) if t.type == "fence" and not t.info]


def inline(page: Path, kind: str) -> list[Token]:
    """Tokens of a kind inside its text: code_inline, link_open, image."""
    return [child for token in tokens(page) for child in token.children or () if child.type == kind]


def links(page: Path) -> list[str]:
    """What it leads to within the repository, without anchors."""
    targets = [t.attrs["href"] for t in inline(page, "link_open")] + [t.attrs["src"] for t in inline(page, "image")]
    return [t.split("#")[0] for t in map(str, targets) if "://" not in t and t.split("#")[0]]
