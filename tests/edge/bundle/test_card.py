"""The model card, read by huggingface_hub: its results are those of the bundle and of the result files."""

import json
import re
import shutil

import pytest
from helpers import ROOT, edit_json, needs

from benchmarks.harness.recipes import LEAVE_ONE_OUT
from benchmarks.harness.results import rows
from benchmarks.tables.accuracy import SHIPPED
from crnn.errors import InputError
from edge.bundle import PRETRAINED, Bundle
from edge.bundle.save import save_bundle

needs("huggingface_hub", reason="needs the extra hub")
OURS = PRETRAINED.parent / "MODEL_CARD.md"


def card(path):
    """Parsed strictly: `ModelCard` raises for front matter that is no YAML, and for results it cannot read."""
    from huggingface_hub import ModelCard

    return ModelCard.load(path, ignore_metadata_errors=False)


def notices(folder) -> set[str]:
    """Names of the licences in a saved bundle, each of which is the file that ships."""
    found = {path.name for path in folder.glob("LICENSE*")}
    assert all((folder / name).read_bytes() == (OURS.parent / name).read_bytes() for name in found)
    return found


def figures(data) -> dict[tuple, float]:
    return {(r.dataset_type, r.dataset_split, r.metric_name): r.metric_value for r in data.eval_results}


def test_the_card_that_ships_has_the_results_of_the_files_and_of_the_bundle(monkeypatch):
    monkeypatch.chdir(ROOT)
    data = card(OURS).data
    found = figures(data)
    measured = rows("cross_corpus_pooled", protocol=LEAVE_ONE_OUT, model=SHIPPED)
    assert len(measured) >= 3
    for row in measured:
        for name, key in (("UAR", "uar"), ("WA", "wa"), ("macro-F1", "macro_f1")):
            assert found.pop((row["test"], "test", name)) == pytest.approx(row[key], abs=5e-5)
    made = json.loads((PRETRAINED / "bundle.json").read_text())["provenance"]
    trained_on = "+".join(made["corpora_heard"])
    dev = made["trained_model"]["dev"]
    assert found.pop((trained_on, "dev", "UAR")) == pytest.approx(dev["uar"], abs=5e-5)
    assert {key[0] for key in found} == {trained_on}
    for entry in data.eval_results:
        low, high = (entry.metric_args or {}).get("ci95", (0, 1))
        assert low <= entry.metric_value <= high
    assert (data.license, data.pipeline_tag, data.library_name) == (
        "cc-by-nc-sa-4.0",
        "audio-classification",
        "crnn-ser",
    )
    assert data.language == ["de", "en", "hi", "it", "ko"]


def test_the_larger_bundle_brings_a_card_of_its_own(tmp_path):
    bundle = Bundle.open(PRETRAINED.with_name("large"))
    save_bundle(bundle, tmp_path / "saved")
    saved = card(tmp_path / "saved" / "README.md")
    assert saved.data.license == "cc-by-nc-sa-4.0"
    assert "layers of the speech encoder whisper, which is Whisper base, under the MIT licence" in saved.text
    assert "not named yet" not in saved.text
    figure = bundle.manifest.provenance["trained_model"]["dev"]["uar"]
    assert [value for key, value in figures(saved.data).items() if key[1:] == ("dev", "UAR")] == [round(figure, 4)]
    corpora = "crema_d+emodb+emospeech_india+emotiontts+emovo+ravdess"
    assert f"A small model, trained on {corpora}, answers together with it." in saved.text
    assert notices(tmp_path / "saved") == {"LICENSE", "LICENSE-whisper"}
    save_bundle(Bundle.open(tmp_path / "saved"), tmp_path / "again")
    assert (tmp_path / "again" / "README.md").read_text().replace("# again", "# saved").replace(
        "- name: again", "- name: saved"
    ) == (tmp_path / "saved" / "README.md").read_text(), "a copy is as much ours"
    assert notices(tmp_path / "again") == {"LICENSE", "LICENSE-whisper"}


def test_a_larger_bundle_of_your_own_names_the_encoder_and_the_small_model_in_it(tmp_path):
    def saved(name: str, change) -> tuple[str, set[str]]:
        mine = shutil.copytree(PRETRAINED.with_name("large"), tmp_path / f"mine-{name}")
        edit_json(mine / "bundle.json", lambda v: change(v["provenance"]))
        save_bundle(Bundle.open(mine), tmp_path / name)
        return (tmp_path / name / "README.md").read_text(), notices(tmp_path / name)

    text, files = saved("same", lambda made: made.update(corpus="mine"))
    assert "Licence: not named yet" in text and "The small model in it comes with crnn-ser" in text
    assert "which is Whisper base, under the MIT licence (`LICENSE-whisper`)" in text
    assert files == {"LICENSE", "LICENSE-whisper"}

    def other(made: dict) -> None:
        made["contains"].update(name="theirs", sha256="ab" * 32)
        made["beside"]["identity"] = "cd" * 32

    text, files = saved("other", other)
    assert "the first 4 layers of the speech encoder theirs (whisper, weights abababababab)" in text
    assert "put it beside this file" in text and "comes with crnn-ser" not in text and not files


def test_a_licence_beside_the_bundle_goes_with_every_copy(tmp_path):
    """Such as that of somebody else's encoder, which this project does not have."""
    mine = shutil.copytree(PRETRAINED, tmp_path / "mine")
    edit_json(mine / "bundle.json", lambda v: v["provenance"].update(corpus="mine"))
    (mine / "LICENSE").write_text("theirs")
    (mine / "LICENSE-encoder").write_text("the encoder's")
    save_bundle(Bundle.open(mine), tmp_path / "once")
    save_bundle(Bundle.open(tmp_path / "once"), tmp_path / "again")
    found = {path.name: path.read_text() for path in (tmp_path / "again").glob("LICENSE*")}
    assert found == {"LICENSE": "theirs", "LICENSE-encoder": "the encoder's"}
    (mine / "LICENSE-link").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="LICENSE-link: is a link"):
        save_bundle(Bundle.open(mine), tmp_path / "linked")
    ours = shutil.copytree(PRETRAINED, tmp_path / "ours")
    (ours / "LICENSE").write_text("theirs")
    with pytest.raises(InputError, match="ours/LICENSE: is not the licence of this name .*LICENSE-mine"):
        save_bundle(Bundle.open(ours), tmp_path / "hidden")
    assert not (tmp_path / "hidden").exists()


@pytest.mark.parametrize("contains", [None, 7, {"family": "whisper", "name": "a", "layers": [4]}])
def test_a_larger_bundle_that_does_not_say_what_is_in_it_is_not_saved(contains, tmp_path):
    mine = shutil.copytree(PRETRAINED.with_name("large"), tmp_path / "mine")
    edit_json(mine / "bundle.json", lambda v: v["provenance"].update(contains=contains))
    with pytest.raises(InputError, match=f"{mine}: bundle.json has a provenance that quantize.py does not write"):
        save_bundle(Bundle.open(mine), tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_a_saved_bundle_that_ships_brings_that_card_without_links_to_the_repository(tmp_path):
    save_bundle(Bundle.open(PRETRAINED), tmp_path / "saved")
    saved = card(tmp_path / "saved" / "README.md")
    assert figures(saved.data) == figures(card(OURS).data)
    assert not re.search(r"\]\((?!http)", saved.text)
    assert "must not be used for" in saved.text
    assert notices(tmp_path / "saved") == {"LICENSE"}


def test_another_bundle_brings_a_card_of_its_own_figures_and_names_no_licence(tmp_path):
    shutil.copytree(PRETRAINED, tmp_path / "mine")
    test = {"uar": 0.5, "uar_ci95": [0.25, 0.75], "wa": 0.75}
    edit_json(tmp_path / "mine" / "bundle.json", lambda v: v["provenance"]["trained_model"].update(test=test))
    edit_json(tmp_path / "mine" / "bundle.json", lambda v: v["provenance"].update(synthetic=True))
    save_bundle(Bundle.open(tmp_path / "mine"), tmp_path / "my-model")
    saved = card(tmp_path / "my-model" / "README.md")
    found = {(split, name): value for (_, split, name), value in figures(saved.data).items()}
    assert found["test", "UAR"] == 0.5 and found["test", "WA"] == 0.75 and ("test", "macro-F1") not in found
    assert saved.data.model_name == "my-model" and saved.data.license is None
    assert "generated voices" in saved.text and "Licence: not named yet" in saved.text
    assert "onnx" in saved.data.tags
    assert not notices(tmp_path / "my-model")


@pytest.mark.parametrize(
    "strange",
    [{"trained_model": {"dev": {"uar": "high"}}}, {"corpora_heard": 3}, {"trained_model": 7}, {"contains": 7}],
)
def test_provenance_that_nobody_wrote_is_one_line(tmp_path, strange):
    shutil.copytree(PRETRAINED, tmp_path / "mine")
    edit_json(tmp_path / "mine" / "bundle.json", lambda v: v["provenance"].update(strange))
    with pytest.raises(InputError, match="provenance"):
        save_bundle(Bundle.open(tmp_path / "mine"), tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
