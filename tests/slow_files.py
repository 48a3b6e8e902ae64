"""Which test files take long."""

SLOW = (
    "edge/export/test_quantize.py", "edge/bundle/test_processors.py", "edge/page/test_page.py", "test_docs.py",
    "test_train.py", "test_train_ends.py", "test_examples.py", "benchmarks/harness/test_page_pictures.py",
    "test_fuzz.py", "edge/loop/test_utterances.py", "crnn/training/test_taught_task.py",
    "test_corrections_benchmark.py", "crnn/data/test_own_scripts.py", "crnn/data/test_corrections.py",
    "crnn/test_renamed_keys.py", "edge/page/test_page_attacks_live.py", "test_instruments.py",
    "benchmarks/export/test_ship.py", "edge/export/test_quantize_bundle.py", "test_systems.py",
    "edge/export/test_large.py", "edge/audio/test_microphone.py", "test_command.py", "edge/doctor/test_doctor.py",
    "edge/page/test_page_corrections.py", "crnn/training/test_initial_weights.py", "augment/test_augment.py",
    "edge/enroll/test_enroll.py", "test_stream_infer.py", "edge/page/test_page_attacks.py",
    "edge/evaluate/test_evaluate.py", "edge/sinks/test_sinks_mqtt.py", "edge/bundle/test_foreign_bundle.py",
    "crnn/decoders/test_recordings.py", "crnn/data/test_corpora.py", "edge/audio/test_microphone_end.py",
    "crnn/data/test_protocols.py", "edge/sinks/test_csv_table.py", "crnn/test_crossval.py",
)  # fmt: skip
"""The order in which they start, roughly the longest first. The first file needs the small bundle, the second and third
do not: the workers that get them have something to do while the first builds it."""
