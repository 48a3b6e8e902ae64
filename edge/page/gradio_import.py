"""Import Gradio without its type stubs. Nothing else in this project imports gradio directly.

On every start Gradio parses the source of each of its components and writes a stub for editors beside it, into
site-packages. That is half of its import time, and no business of a program that runs. It leaves out a component whose
source file inspect does not find.
"""

import importlib
import inspect
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from unittest.mock import patch


def _import() -> types.ModuleType:
    find: Callable[[Any], str] = inspect.getfile

    def find_none_of_gradio(thing: Any) -> str:
        if isinstance(thing, type) and thing.__module__.startswith("gradio."):
            raise OSError(f"{thing.__module__}: no stub is wanted")
        return find(thing)

    with patch.object(inspect, "getfile", find_none_of_gradio):
        return importlib.import_module("gradio")


if TYPE_CHECKING:
    import gradio as gradio
else:
    gradio = _import()
