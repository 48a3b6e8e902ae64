"""MkDocs hook: pages that stand beside what they describe join the site, and links to them lead there."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

BESIDE = {
    "model-card.md": "edge/pretrained/MODEL_CARD.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
"""Page of the site -> file of the repository"""
LINK = re.compile(r"\]\(([^)\s:#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    root = Path(config.config_file_path).parent
    for page, path in BESIDE.items():
        files.append(File.generated(config, page, content=(root / path).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links are written for whoever reads the files themselves; here they lead to the site's pages."""
    docs = Path(config.docs_dir).name
    pages = {path: name for name, path in BESIDE.items()} | {f"{docs}/{file.src_uri}": file.src_uri for file in files}
    here = posixpath.dirname(BESIDE.get(page.file.src_uri, f"{docs}/{page.file.src_uri}"))

    def lead(match: re.Match) -> str:
        made = pages.get(posixpath.normpath(posixpath.join(here, match[1])))
        return match[0] if made is None else f"]({made}{match[2] or ''})"

    return LINK.sub(lead, markdown)
