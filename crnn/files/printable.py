"""Text from outside made safe to show: on a terminal, in a log, on a page. Standard library only."""

from __future__ import annotations  # the doctor imports this under a Python that is too old, to say so

MOST = 2000
"""Characters of one line"""


def shown(text: object, most: int = MOST) -> str:
    r"""`text` as one line that steers nothing: control characters, terminal escapes, line ends, bidirectional
    overrides and undecodable bytes of file names are escaped, and what is too long loses its middle.

    >>> print(shown("a\x1b[31m\n\u202eb\udce9"))
    a\x1b[31m\n\u202eb\xe9
    """
    text = str(text)
    if len(text) > most:
        text = f"{text[: most // 2]} ... {text[-most // 2 :]}"
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def brief(value: object) -> str:
    """`value` of a file or an option, short enough for a message; it may be of any type, size and depth.

    >>> brief([1, "two"]), brief({"a": 10**5000})
    ("[1, 'two']", 'a value of type dict')
    """
    try:
        return shown(repr(value), 80)
    except (ValueError, RecursionError):  # digits without end; a list within lists without end
        return f"a value of type {type(value).__name__}"


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that the file system's encoding does not know (surrogateescape)
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
