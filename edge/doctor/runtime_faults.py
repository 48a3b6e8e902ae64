"""Known faults of published runtime packages, recognized by version, without importing them."""

import re

from crnn.cli.installed import install

# Boards whose cores (Cortex-A53, A72) lack the instructions that came after ARMv8.0; see docs/arm64-transcript.txt.
ARMV8_0 = re.compile(r"Raspberry Pi (3|4|Zero 2|Compute Module [34])")


def known_fault(package: str, version: str | None, numpy: str | None, board: str | None) -> tuple[str, str] | None:
    """The fault of a package version with this NumPy and board, and how to fix it; None if none is known."""
    if package == "onnxruntime" and version == "1.21.0" and ARMV8_0.match(board or ""):
        return (
            "onnxruntime 1.21.0 uses instructions that this board's processor does not have (onnxruntime#23957)",
            "pip install --upgrade 'onnxruntime!=1.21.0'",
        )
    if package == "tflite_runtime" and version and numpy and int(numpy.split(".")[0]) >= 2:
        return (
            f"tflite-runtime {version} was built for NumPy 1 and cannot work with NumPy {numpy} (_ARRAY_API not found)",
            f"pip uninstall -y tflite-runtime && {install('litert')} (32-bit, no LiteRT: pip install 'numpy<2')",
        )
    return None
