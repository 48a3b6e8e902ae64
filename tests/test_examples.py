"""The examples run as a reader would run them, and give what the command gives."""

import csv
import json
import shutil

import numpy as np
import pytest
from helpers import EXAMPLES, ROOT, example, script

CLIP = ROOT / "edge" / "pretrained" / "synthetic_voice.flac"
TESTED = {
    *("recognize.py", "own_sink.py", "folder_to_csv.py", "own_recordings.sh", "analyse.ipynb"),
    "service_client.py",  # in tests/edge/serve/test_service_streams.py: it needs a service
}


@pytest.fixture(scope="module")
def segments() -> list[dict]:
    """What the command says of the clip."""
    result = script("stream_infer.py", CLIP, "--json")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    return [event for event in events if event["type"] == "segment"]


def test_every_example_is_tested():
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == TESTED


def test_recognize_prints_the_segments_of_the_command(segments):
    lines = example("recognize.py", CLIP).splitlines()
    answers = [line.split(" s  ")[1] for line in lines[1:]]
    assert answers == [segment["emotion"] or segment["verdict"] for segment in segments]
    assert lines[0].rsplit(" ", 1)[0] in answers


def test_a_sink_of_ones_own_adds_up_the_segments(segments):
    seconds = {line[:12].strip(): float(line[12:].split()[0]) for line in example("own_sink.py", CLIP).splitlines()}
    expected = {}
    for segment in segments:
        name = segment["emotion"] or segment["verdict"]
        expected[name] = expected.get(name, 0) + segment["end_seconds"] - segment["start_seconds"]
    assert seconds == pytest.approx(expected, abs=0.02)


def test_a_damaged_recording_does_not_stop_the_table(tmp_path, segments):
    shutil.copy(CLIP, tmp_path / "b.flac")
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    example("folder_to_csv.py", tmp_path, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["file"] == "b.flac"
    assert row["emotion"] in {segment["emotion"] for segment in segments}
    assert sum(float(row[label]) for label in segments[0]["probs"]) == pytest.approx(1, abs=0.01)


def test_the_notebook_runs_from_a_new_folder_and_shows_what_the_command_says(tmp_path, monkeypatch, capsys, segments):
    """Its cells in this process, one after the other, as a kernel would run them; nothing is stored in it."""
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="needs the extra train")
    notebook = json.loads((EXAMPLES / "analyse.ipynb").read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pyplot, "show", lambda: pyplot.savefig("shown.png"))
    pyplot.switch_backend("agg")
    names: dict = {}
    for cell in cells:
        exec(compile("".join(cell["source"]), "analyse.ipynb", "exec"), names)
    pyplot.close(names["figure"])
    whole, streamed = names["result"].segments, names["streamed"]
    assert len(whole) == len(segments) > 0
    printed = capsys.readouterr().out
    for expected, one, other in zip(segments, whole, streamed, strict=True):
        assert (expected["emotion"] or expected["verdict"]) in printed
        for segment in (one, other):
            assert segment.start_seconds == pytest.approx(expected["start_seconds"], abs=1e-3)
            assert (segment.emotion or segment.verdict) == (expected["emotion"] or expected["verdict"])
    labels, figure = names["model"].labels, names["figure"]
    decisions = names["decisions"]
    assert len(figure.axes[1].lines) == len(labels) and len(decisions) > 3
    aroused = sum(decision.arousal is not None for decision in decisions)  # none where the VAD is not sure of a voice
    for line, number in [
        *((line, len(decisions)) for line in figure.axes[1].lines),
        (figure.axes[2].lines[0], aroused),
    ]:
        drawn = line.get_ydata()[np.isfinite(line.get_ydata())]
        assert len(drawn) == number > 0 and ((drawn >= 0) & (drawn <= 1)).all()
    assert [path.name for path in tmp_path.iterdir()] == ["shown.png"]


def test_own_recordings_become_a_bundle_that_answers(own_example):
    assert (own_example / "out" / "bundle" / "bundle.json").is_file()
    assert "  segment  " in (own_example / "printed").read_text()


def test_the_readme_shows_what_the_demo_prints():
    """With the VAD of a plain install; numbers may differ in the last digit between processors."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = [line for line in page.splitlines() if "  segment  " in line]
    printed = script("stream_infer.py", CLIP, "--vad", "energy").stdout.splitlines()

    def words(line: str) -> list[str]:
        return [word for word in line.split() if not word.replace(".", "").isdigit()]

    def numbers(line: str) -> list[float]:
        return [float(word) for word in line.split() if word.replace(".", "").isdigit()]

    assert len(shown) == 3
    for ours, theirs in zip(shown, printed, strict=False):
        assert words(ours) == words(theirs)
        assert numbers(ours) == pytest.approx(numbers(theirs), abs=0.011)
