"""Which test files take long."""

SLOW = (
    "edge/export/test_quantize.py", "edge/bundle/test_processors.py", "test_docs.py", "test_train_ends.py",
    "test_train.py", "crnn/data/test_own_scripts.py", "edge/export/test_quantize_bundle.py", "edge/page/test_page.py",
    "test_command.py", "crnn/training/test_initial_weights.py", "crnn/data/test_corrections.py",
    "crnn/training/test_distillation.py", "edge/evaluate/test_evaluate.py", "edge/audio/test_microphone.py",
    "edge/export/test_schemes.py", "edge/runtimes/test_tflite_runtime.py", "edge/page/test_page_command.py",
    "test_stream_infer.py", "test_fuzz.py", "edge/sinks/test_sinks_mqtt.py", "edge/page/test_page_corrections.py",
    "edge/enroll/test_enroll_microphone.py",
)  # fmt: skip
"""Files that take long, the longest first. The first needs the small bundle, the second does not: the worker that
gets it has something to do while the other builds it."""
