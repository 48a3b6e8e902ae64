"""What the benchmarks compute themselves: conditions, and that documents are made from result files."""

import json
import re
import sys
from datetime import date

import numpy as np
import pytest
import soundfile
from helpers import ROOT

from benchmarks.accuracy.conditions import RATE, clipping, coded, gain, microphone, noise, room, speed, telephone
from benchmarks.harness import recipes
from benchmarks.harness.corpora import CUT_DB, high_frequencies_db, title
from benchmarks.harness.results import add_row, rows_of
from benchmarks.tables.__main__ import PAGES, filled
from benchmarks.tables.markdown import TABLES
from crnn.data.protocols import protocol_facts
from crnn.errors import InputError

MEASURED = {"command", "commit", "machine", "date"}


def voice(seconds: float = 2.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.1 * rng.standard_normal(int(seconds * RATE))).astype(np.float32)


def level(x: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(x))))


def test_conditions_do_what_their_names_say():
    x, rng = voice(), np.random.default_rng(1)
    hum = np.sin(np.arange(RATE) / 9).astype(np.float32)
    for snr in (20, 0):
        assert level(x) - level(noise([hum], snr)(x, rng) - x) == pytest.approx(snr, abs=0.2)
    assert level(gain(-30)(x, rng)) == pytest.approx(level(x) - 30, abs=0.01)
    assert np.mean(np.abs(clipping(0.1)(x, rng)) >= np.abs(clipping(0.1)(x, rng)).max() - 1e-9) == pytest.approx(
        0.1, abs=0.01
    )
    spectrum = np.abs(np.fft.rfft(telephone(x, rng)))
    frequencies = np.fft.rfftfreq(len(telephone(x, rng)), 1 / RATE)
    assert spectrum[frequencies > 4200].mean() < 0.01 * spectrum[(frequencies > 500) & (frequencies < 3000)].mean()
    spectrum = np.abs(np.fft.rfft(microphone(x, rng)))
    frequencies = np.fft.rfftfreq(len(x), 1 / RATE)
    assert spectrum[frequencies < 60].mean() < 0.1 * spectrum[(frequencies > 900) & (frequencies < 1100)].mean()
    assert len(speed(1.1)(x, rng)) == pytest.approx(len(x) / 1.1, abs=1)
    assert len(room(np.exp(-np.arange(3000) / 400))(x, rng)) == len(x)


@pytest.mark.parametrize("kind", [("MP3", "MPEG_LAYER_III"), ("OGG", "OPUS")])
def test_codecs_return_speech_of_about_the_same_length(kind):
    time = np.arange(2 * RATE) / RATE
    x = (0.3 * np.sin(2 * np.pi * 300 * time)).astype(np.float32)
    made = coded(*kind, 0.99)(x, np.random.default_rng(0))
    assert abs(len(made) - len(x)) < 0.2 * RATE
    assert level(made) == pytest.approx(level(x), abs=3)


def test_a_copy_of_crema_d_without_high_frequencies_never_passes_as_the_corpus(tmp_path):
    rng = np.random.default_rng(0)
    for name, rate in (("narrow", 11025), ("wide", 16000)):
        folder = tmp_path / name / "crema_d"
        folder.mkdir(parents=True)
        for number in range(3):
            noise = 0.1 * rng.standard_normal(2 * rate)
            soundfile.write(folder / f"{number}.wav", noise, rate)
    assert title(tmp_path / "narrow" / "crema_d") == "CREMA-D (11 kHz)"
    assert title(tmp_path / "wide" / "crema_d") == "CREMA-D"
    assert title("/data/crema_d_other") == "crema_d_other"
    with pytest.raises(InputError, match="no recordings"):
        title(tmp_path / "nowhere" / "crema_d")


def test_real_crema_d_is_named_by_its_bandwidth(recordings):
    assert title(recordings / "crema_d") == "CREMA-D (11 kHz)"
    assert high_frequencies_db(recordings / "crema_d_original") > CUT_DB + 10


@pytest.mark.parametrize("protocol", ["ravdess-luna5", "emodb-loso", "cremad-evar", "emovo-loso"])
@pytest.mark.parametrize("recipe", recipes.RECIPES)
def test_within_a_corpus_a_run_starts_from_one_that_left_the_corpus_out(recipe, protocol):
    start = recipes.job(recipe, protocol, 0, 1).after
    assert start.seed == 1
    assert protocol_facts(start.protocol)["folds"][start.fold]["test"] == [protocol_facts(protocol)["corpus"]]


@pytest.fixture
def at_root(monkeypatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_of_a_page_are_those_of_the_result_files(page, at_root):
    text = page.read_text(encoding="utf-8")
    assert filled(text) == text, f"{page}: a table differs from its result file; run python -m benchmarks.tables"


def test_every_table_stands_in_a_page(at_root):
    used = {name for page in PAGES for name in re.findall(r"<!-- table: (\S+)", page.read_text(encoding="utf-8"))}
    assert used == set(TABLES)


def test_only_what_stands_between_the_markers_is_rewritten(at_root):
    opened = "<!-- table: fields edge.bundle.manifest.FileFacts -->"
    made = filled(f"Sentence, mended.\n\n{opened}\n\n| bytes | 7 |\n\n<!-- end -->\n\nEnd\n")
    assert made.startswith(f"Sentence, mended.\n\n{opened}\n\n| field |")
    assert made.endswith("|\n\n<!-- end -->\n\nEnd\n")
    assert "| bytes | 7 |" not in made
    assert filled(made) == made
    assert filled(made.replace("mended", "mended again")) == made.replace("mended", "mended again")


@pytest.mark.parametrize(
    "page",
    ["<!-- table: no-such -->\n<!-- end -->\n", "<!-- table: targets -->\n", "text\n<!-- end -->\n"],
    ids=["unknown", "not closed", "not opened"],
)
def test_a_wrong_marker_is_refused(page):
    with pytest.raises(InputError, match="table"):
        filled(page)


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "results").glob("*.json")), ids=lambda path: path.name)
def test_every_row_states_how_it_was_measured(path):
    facts = json.loads(path.read_text(encoding="utf-8"))
    assert set(facts) == {"rows"}
    assert facts["rows"]
    for row in facts["rows"]:
        assert row.keys() >= MEASURED
        if None in [row[key] for key in MEASURED]:
            assert row["recorded"].keys() == MEASURED
            assert re.fullmatch("[0-9a-f]{7,}", row["recorded"]["commit"])
            assert date.fromisoformat(row["recorded"]["date"])


def test_a_row_is_written_with_the_facts_of_its_measurement_and_replaces_its_predecessor(tmp_path, monkeypatch):
    script = str(ROOT / "benchmarks" / "device" / "soak.py")
    monkeypatch.setattr(sys, "argv", [script, "--hours", "1", "two words", "/of/this/machine"])
    path = tmp_path / "made.json"
    for value in (1, 2):
        add_row(path, {"what": "a", "value": value}, ("what",))
        add_row(path, {"what": "b", "value": value}, ("what",))
    rows = rows_of(path)
    assert [(row["what"], row["value"]) for row in rows] == [("a", 2), ("b", 2)]
    for row in rows:
        assert row["command"] == "python -m benchmarks.device.soak --hours 1 'two words' machine"
        assert re.fullmatch(r"[0-9a-f]{7,}\+?", row["commit"])
        assert row["machine"]
        assert row["date"] == date.today().isoformat()
