"""What is refused, and why: one line that names the file or value and what to do. Standard library only."""

from crnn.files.printable import shown


class InputError(ValueError):
    """Something the user gave cannot be used. One line that names the file or value and says what to do.

    The scripts print it to stderr and exit with code 2. What it quotes is escaped here, so that no name in a file can
    steer a terminal or forge a second line.
    """

    def __init__(self, message: object) -> None:
        super().__init__(shown(message))


def require(condition: bool, message: str) -> None:
    """Raise `InputError(message)` unless `condition` holds."""
    if not condition:
        raise InputError(message)
