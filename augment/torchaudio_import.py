"""Import torchaudio beside a CPU-only torch. Nothing else in this project imports torchaudio directly.

PyPI's torchaudio wheel links CUDA libraries; with a CPU build of torch `import torchaudio` fails in its compiled
extension, although everything used here (masks, mel spectrograms, resampling) is plain Python. Only if the extension
cannot be loaded, a stand-in replaces it, with the names that the Python part of torchaudio needs.
"""

import importlib
import sys
import types
from collections.abc import Callable
from typing import NoReturn


def _import() -> types.ModuleType:
    try:
        return importlib.import_module("torchaudio")
    except OSError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
            del sys.modules[name]

    def fail_if_no_align(function: Callable) -> Callable[..., NoReturn]:
        def fail(*args: object, **kwargs: object) -> NoReturn:
            raise RuntimeError(
                f"{function.__name__} needs torchaudio's compiled extension, which cannot be loaded here"
            )

        return fail

    extension = types.ModuleType("torchaudio._extension")
    vars(extension).update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False, _IS_ALIGN_AVAILABLE=False, fail_if_no_align=fail_if_no_align
    )
    sys.modules["torchaudio._extension"] = extension
    return importlib.import_module("torchaudio")


torchaudio = _import()
