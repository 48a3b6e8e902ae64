"""Tables of docs/bundle.md: the fields of the dataclasses that read a bundle, from their docstrings."""

import dataclasses
import pydoc
import typing

import docstring_parser

from benchmarks.tables.markdown import markdown, table
from crnn.errors import require
from crnn.renamed_keys import RENAMED

KINDS = {
    int: "integer",
    float: "number",
    str: "text",
    bool: "true or false",
    tuple[str, ...]: "list of texts",
}


@table("fields")
def fields(name: str) -> str:
    """Name, type and description of every field of a dataclass, given as `package.module.Class`."""
    cls = pydoc.locate(name)
    require(dataclasses.is_dataclass(cls), f"{name} is no dataclass")
    described = {item.args[1]: item.description for item in docstring_parser.parse_from_object(cls).meta}
    hints = typing.get_type_hints(cls)
    names = {new.rpartition(".")[2]: old.rpartition(".")[2] for old, new in RENAMED.items()}  # those in bundle.json
    return markdown(
        ("field", "type", "meaning"),
        (
            (
                f"`{names.get(field.name, field.name)}`",
                KINDS.get(hints[field.name], "named values"),
                " ".join(described[field.name].split()),
            )
            for field in dataclasses.fields(cls)
        ),
    )
