"""Which files below a folder are recordings, as far as that shows without decoding. No torch."""

from pathlib import Path

from crnn.data.audio import AUDIO_SUFFIXES
from crnn.data.tables import is_lfs_pointer


def audio_files(root: Path) -> list[Path]:
    """Every file below `root` with the extension of a recording, in order of path; links to nothing among them."""
    return sorted(path for path in root.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES and not path.is_dir())


def unusable_file(path: Path, root: Path) -> str | None:
    """Why what has the name of a recording below `root` is none, as far as that shows without decoding."""
    if any(part.startswith(".") or part == "__MACOSX" for part in path.relative_to(root).parts):
        return "hidden (macOS leaves ._ files beside recordings)"
    if not path.is_file():
        return "a link to nothing (git-annex get, or restore the file)"
    if is_lfs_pointer(path):
        return "a git-lfs pointer, not the recording; run git lfs pull"
    return None
