"""The environment of a program that is measured or emulated: one thread, and nothing that names another processor."""

import os

ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
PROCESSOR_SETTINGS = (
    "OPENBLAS_CORETYPE", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES", "GLIBC_TUNABLES",
)  # fmt: skip
"""They tell libraries which processor this is. What is right here stops a program on an emulated one"""


def measured(**settings: str) -> dict[str, str]:
    """Environment variables of a program that is measured or emulated, with those of `settings` as well.

    >>> measured(PYTHONHASHSEED="0")["PYTHONHASHSEED"], measured()["OMP_NUM_THREADS"]
    ('0', '1')
    """
    kept = {name: value for name, value in os.environ.items() if name not in PROCESSOR_SETTINGS}
    return kept | ONE_THREAD | settings
