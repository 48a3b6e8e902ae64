"""Which names on the command line are a bundle and which are recordings; anything else is refused by what it is."""

from dataclasses import dataclass, replace
from pathlib import Path

from crnn.cli.installed import program
from crnn.errors import InputError, require
from edge.bundle import MANIFEST, PRETRAINED
from edge.bundle.find import find_bundle

STDIN = "-"


@dataclass(frozen=True)
class Names:
    """The names on the command line."""

    bundle: Path
    recordings: list[str]
    """Paths, or "-" for standard input; none where the microphone is the source"""


def sort_names(names: list[str], microphone: bool, many: bool, model: str | None = None) -> Names:
    """Separate the bundle, which comes first if there is one, from the recordings.

    Args:
        model: what an option names instead of a bundle (`find_bundle`), which is looked for when all else is in order.
        microphone: it is the source, so no recording is named.
        many: any number of recordings may be named, instead of one.

    Raises InputError for anything else, saying what it is.
    """
    found = _sorted(names, microphone, many)
    if model is None:
        return found
    require(found.bundle is PRETRAINED, f"{found.bundle}: a bundle is named beside --model; give one of them")
    return replace(found, bundle=find_bundle(model))


def _sorted(names: list[str], microphone: bool, many: bool) -> Names:
    ours = program("stream_infer")
    if microphone:
        require(not many, "--csv is for recordings; for the microphone use --log FILE")
        require(len(names) <= 1, f"too many names: {' '.join(names)}; with --mic give a bundle at most")
        for name in names:
            require(not Path(name).is_file() or Path(name).name == MANIFEST, f"{name}: is a file; give it or --mic")
        return Names(_bundle(names[0]) if names else PRETRAINED, [])
    require(bool(names), f"name a recording, - for standard input, or --mic ({ours} --help)")
    first, *rest = names
    folder = Path(first).is_dir() or bool(rest and not many)
    recordings = rest if folder else names
    if not recordings:
        raise InputError(_folder_alone(first))
    swapped = not Path(first).is_dir() and (Path(recordings[0]) / MANIFEST).is_file()
    require(not swapped, f"{recordings[0]}: is a bundle, which comes first: {ours} {recordings[0]} {first}")
    bundle = _bundle(first) if folder else PRETRAINED
    for name in recordings:
        require(not (many and name == STDIN), "--csv is for files; leave - out")
        require(name == STDIN or Path(name).exists(), f"{name}: no such file")
        if not many:
            _check_recording(name)
    if not many and len(recordings) > 1:
        raise InputError(f"{len(recordings)} recordings are named; name one, or add --csv FILE for a table of them all")
    return Names(bundle, recordings)


def _bundle(name: str) -> Path:
    path = Path(name)
    if path.name == MANIFEST and path.is_file():
        raise InputError(f"{name}: is part of a bundle; name its folder, {path.parent}")
    require(path.exists(), f"{name}: no such folder; a bundle is expected here")
    require(
        path.is_dir(),
        f"{name}: is a file, and of two names the first is a bundle's folder; for several recordings add --csv FILE",
    )
    require((path / MANIFEST).is_file(), f"{name}: is not a bundle: the folder holds no {MANIFEST}")
    return path


def _check_recording(name: str) -> None:
    path = Path(name)
    if path.is_dir():
        what = "a bundle, and comes before the recording" if (path / MANIFEST).is_file() else "a folder"
        raise InputError(f"{name}: is {what}; name a recording, or several with --csv FILE")
    if path.name == MANIFEST:
        raise InputError(f"{name}: is part of a bundle, and no recording; name its folder, then a recording")


def _folder_alone(name: str) -> str:
    ours = program("stream_infer")
    if (Path(name) / MANIFEST).is_file():
        return f"{name}: is a bundle; name a recording after it, - for standard input, or --mic"
    return (
        f"{name}: is a folder, neither a bundle (it holds no {MANIFEST}) nor a recording; name the recordings in it: "
        f"{ours} {name.rstrip('/')}/*.wav --csv FILE"
    )
