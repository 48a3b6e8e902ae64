"""What leaves for the device.

Workstation (may use torch): prune, quantize, export_onnx, export_tflite, verify.
Device (standard library, NumPy and one runtime): bundle, runtimes, streaming, decision, smoothing, vad, silero,
utterances, sources, microphone (capture, capture_process, ring, input_watch), events, sinks, listening;
and what examines it: doctor, doctor_checks, machine, selftest.
"""
