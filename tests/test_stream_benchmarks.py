"""The streaming benchmark compares the systems and reports skipped ones; the soak test finds faults."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from benchmarks.device import counted_parts, instructions, stream_systems, streaming
from benchmarks.device.soak import loop_problems, problems, soak, soak_loop
from benchmarks.export.shipped_layers import same_layers
from crnn.errors import InputError
from edge.audio.vad import make_vad
from edge.bundle import PRETRAINED, Bundle
from edge.loop.utterances import UtteranceRecognizer

KEYS = {
    "system", "threads", "interval_seconds", "window_seconds", "rtf", "latency_ms_p50", "latency_ms_p95", "rss_mb",
    "startup_s", "cpu_s_per_hour_speech", "cpu_s_per_hour_silence",
}  # fmt: skip


SYSTEMS = ("ours", "ours_stream", "ours_recompute", "torch_recompute")


def test_one_command_compares_stream_and_recomputation(tmp_path, monkeypatch, capsys):
    out = tmp_path / "streaming.json"
    arguments = ["--rounds", "1", "--seconds", "3", "--systems", *SYSTEMS, "--json"]
    monkeypatch.setattr(sys, "argv", ["streaming.py", *arguments, "--out", str(out)])
    assert streaming.main() == 0
    printed, written = json.loads(capsys.readouterr().out), json.loads(out.read_text())
    stamp = {"command", "commit", "machine", "int8_path", "date"}
    assert printed["rows"] == [{k: v for k, v in row.items() if k not in stamp} for row in written["rows"]]
    rows = {(row["system"], row["runtime"]): row for row in written["rows"]}
    assert set(rows) | {tuple(name.split()) for name in printed["skipped"]} == {
        ("ours", "onnx"), ("ours", "tflite"), ("ours_stream", "onnx"), ("ours_recompute", "onnx"),
        ("torch_recompute", "torch"),
    }  # fmt: skip
    for row in rows.values():
        assert row.keys() >= KEYS
        assert all(np.isfinite(row[key]) and row[key] > 0 for key in KEYS - {"system"})
        assert row["latency_ms_p50"] <= row["latency_ms_p95"]
    assert rows["ours_stream", "onnx"]["rtf"] < rows["ours_recompute", "onnx"]["rtf"]
    assert rows["ours_recompute", "onnx"]["max_abs_diff"] <= streaming.TOLERANCE
    assert rows["ours", "onnx"]["rss_mb"] < rows["torch_recompute", "torch"]["rss_mb"], "no torch in our process"


@pytest.mark.parametrize(("system", "reason"), [("silero_vad", "silero-vad"), ("egemaps", "opensmile")])
def test_what_is_not_installed_is_skipped_with_the_reason(system, reason, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stream_systems, "find_spec", lambda name: None)
    arguments = [system, "onnx", str(PRETRAINED), str(tmp_path), "--started", "0", "--seconds", "1", "--budget", "1"]
    monkeypatch.setattr(sys, "argv", ["stream_systems.py", *arguments])
    assert stream_systems.main() == 0
    assert reason in json.loads(capsys.readouterr().out)["skipped"]


def test_the_loop_the_stream_and_each_part_are_counted_on_what_the_stream_gives_them(monkeypatch):
    monkeypatch.setattr(stream_systems, "find_spec", lambda name: None)
    audio, calls, runs = streaming.quiet_room(16_000), {}, []
    run = counted_parts.Recorded.repeat
    monkeypatch.setattr(counted_parts.Recorded, "repeat", lambda self: runs.append(len(self._given)) or run(self))
    counted_parts.count_audio(lambda name, call: calls.setdefault(name, call()), Bundle.open(PRETRAINED), audio, 4)
    assert tuple(calls) == counted_parts.PLAYED[:-1], "all but silero_vad, which is not installed here"
    assert runs == [16, 16, 16], "four intervals a second, each through features, encoder and head"


def test_rows_are_millions_of_instructions_per_second_of_audio(tmp_path, monkeypatch):
    def counted(module, arguments):
        assert module == counted_parts.__name__ and arguments[-1] == "2.0"
        assert [np.load(path).dtype for path in arguments[1:3]] == [np.float32, np.float32]
        return {"head speech": 4_000_000, "head silence": 2_000_000}

    monkeypatch.setattr(instructions, "counted", counted)
    out = tmp_path / "instructions.json"
    assert instructions.main(["--seconds", "2", "--out", str(out)]) == 0
    (row,) = json.loads(out.read_text())["rows"]
    assert (row["bundle"], row["part"], row["speech"], row["silence"]) == ("int8", "head", 2.0, 1.0)


def test_other_layers_than_the_bundles_are_refused():
    manifest = Bundle.open(PRETRAINED).manifest
    layers = manifest.provenance["model"] | {"channels": [8, 8, 8, 8]}
    other = replace(manifest, provenance=manifest.provenance | {"model": layers})
    with pytest.raises(InputError, match="parameters"):
        same_layers(other)


class Faulty:
    """A recognizer with a fault: `fault` changes the results of every push."""

    def __init__(self, recognizer, fault) -> None:
        self.geometry, self.flush, self._push, self._fault = (
            recognizer.geometry,
            recognizer.flush,
            recognizer.push,
            fault,
        )

    def push(self, samples):
        return self._fault(self._push(samples))


def test_soak_passes_a_sound_stream_and_reports_lost_and_late_results_and_growing_memory():
    recognizer = Bundle.open(PRETRAINED).recognizer("onnx")
    g, audio = recognizer.geometry, (0.05 * np.random.default_rng(0).standard_normal(50_000)).astype(np.float32)

    def verdict(fault) -> list[str]:
        recognizer.reset()
        return problems(soak(Faulty(recognizer, fault), audio, hours=0.01), g.window_intervals, 0.25)

    assert verdict(lambda results: results) == []
    lost = verdict(lambda results: [r for r in results if not 20 < r.seconds < 20.3])
    assert any("intervals where" in words for words in lost)
    assert any("time drifted by -0.25 s" in words for words in lost)
    late = verdict(lambda results: [replace(r, seconds=r.seconds + 0.01) for r in results])
    assert any("another time" in words for words in late)
    hoard = []
    grown = verdict(lambda results: hoard.append(np.ones(100_000)) or results)
    assert any("memory grew" in words for words in grown)


class Forgetful(UtteranceRecognizer):
    """Loses every `every`-th event, or reports it late."""

    def __init__(self, *parts, lose: int = 0, late: int = 0) -> None:
        super().__init__(*parts)
        self._count, self._lose, self._late = 0, lose, late

    def push(self, samples):
        events = []
        for event in super().push(samples):
            self._count += 1
            if self._lose and self._count % self._lose == 0:
                continue
            if self._late and self._count % self._late == 0 and hasattr(event, "seconds"):
                event = replace(event, seconds=event.seconds + 0.25)
            events.append(event)
        return events


def test_the_soak_of_the_loop_names_lost_and_late_events():
    recognizer = Bundle.open(PRETRAINED).recognizer("onnx")
    speech = soundfile.read(PRETRAINED.parent / "synthetic_voice.flac", dtype="float32")[0][:48_000]
    quiet = 1e-4 * np.random.default_rng(0).standard_normal(48_000).astype(np.float32)
    audio = np.concatenate([speech, quiet])

    def verdict(**fault: int) -> list[str]:
        loop = Forgetful(recognizer, make_vad("energy", 16000), lose=fault.get("lose", 0), late=fault.get("late", 0))
        row = soak_loop(loop, audio, hours=0.03)
        row["rss_mb_end"] = row["rss_mb_early"]  # the memory of a test session is not the loop's
        return loop_problems(row)

    assert verdict() == []
    assert any("unlike" in words or "missing" in words for words in verdict(lose=41))
    assert any("another time" in words for words in verdict(late=41))
