"""What leaves for the device.

Workstation (may use torch): compress drives shrink (wish, importance, prune, fine_tune, trials), exporting (export_*,
quantize_*), verify and assemble.
Device (standard library, NumPy and one runtime): bundle, runtimes, streaming, decision, smoothing, vad, silero,
utterances, sources, microphone (capture, capture_process, ring, input_watch), events, sinks, listening;
and what examines it: doctor, doctor_checks, machine, selftest.
"""

import os

# ONNX Runtime's wheels report to Microsoft unless they are told not to before they are first imported (seen in 1.31.1,
# see its Privacy.md). Nothing here reports to anybody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
