"""What an extra of this project brings, and what to say where it is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from crnn.config import InputError
from crnn.installed import install


@contextmanager
def needed(what: str, extra: str) -> Iterator[None]:
    """Around an import: where it fails, InputError says what `what` needs and which extra, or extras, to install."""
    try:
        yield
    except ImportError as error:
        raise InputError(f"{what} needs {error.name or error}: {install(extra)}") from error
