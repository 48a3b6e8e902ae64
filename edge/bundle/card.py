"""The model card of a bundle as the Hugging Face hub reads it: front matter with its results, then what it is.

The results stand in the front matter as a model-index. The hub's newer form, files in `.eval_results/`, is for data
sets on the hub that are registered as benchmarks; the corpora of this project are not.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from crnn.errors import InputError
from edge.bundle.manifest import MANIFEST, WINDOW, Manifest
from edge.bundle.notices import is_ours, notices_of
from edge.bundle.reader import PRETRAINED, Bundle
from edge.preflight import needed

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

OURS = PRETRAINED.parent / "MODEL_CARD.md"
"""The card of the small bundles that ship; `python -m benchmarks.tables` writes its front matter and tables"""
LICENCE = "cc-by-nc-sa-4.0"
"""Of the weights that ship"""
LANGUAGES = {
    "ravdess": "en", "crema_d": "en", "emodb": "de", "emovo": "it", "emotiontts": "ko", "emospeech_india": "hi",
}  # fmt: skip
"""Corpus -> language spoken in it, ISO 639-1"""
METRICS = {
    "uar": ("recall", "UAR", {"average": "macro"}),
    "wa": ("accuracy", "WA", {}),
    "macro_f1": ("f1", "macro-F1", {"average": "macro"}),
}
"""Figure -> the hub's metric, our name, its arguments"""
LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]*\)")
"""To a page of the repository, which is not beside a saved bundle"""


def results(corpus: str, name: str, split: str, figures: Mapping) -> list["EvalResult"]:
    """The figures (shares of 1) of one evaluation, as the hub lists them.

    Args:
        corpus: identifies the recordings.
        name: says whose speakers they are, for people.
        split: "test" or "dev".
        figures: `uar`, `wa`, `macro_f1`, with `uar_ci95` and so on where there are intervals.
    """
    from huggingface_hub import EvalResult

    found = []
    for key, (metric, title, arguments) in METRICS.items():
        if figures.get(key) is not None:
            interval = figures.get(f"{key}_ci95")
            ci95 = {"ci95": [round(end, 4) for end in interval]} if interval else {}
            found.append(
                EvalResult(
                    task_type="audio-classification",
                    task_name="Speech emotion recognition",
                    dataset_type=corpus,
                    dataset_name=name,
                    dataset_split=split,
                    metric_type=metric,
                    metric_name=title,
                    metric_value=round(figures[key], 4),
                    metric_args=arguments | ci95 or None,
                )
            )
    return found


def front_matter(manifest: Manifest, name: str, licence: str | None, more: Iterable["EvalResult"] = ()) -> str:
    """The YAML of a card, without its `---`, from a manifest and results that the manifest does not hold."""
    from huggingface_hub import ModelCardData

    made = manifest.provenance
    corpora = [corpus for corpus in made.get("corpora_heard", []) if isinstance(corpus, str)]
    judged = [
        entry
        for part, whose in (("dev", "development"), ("test", "test"))
        if isinstance(figures := made.get("trained_model", {}).get(part), dict)
        for entry in results("+".join(corpora) or "unknown", f"{whose} speakers of the training corpora", part, figures)
    ]
    data = ModelCardData(
        license=licence,
        language=sorted({LANGUAGES[corpus] for corpus in corpora if corpus in LANGUAGES}) or None,
        library_name="crnn-ser",
        pipeline_tag="audio-classification",
        tags=["speech-emotion-recognition", *manifest.models, *(["arousal"] if manifest.arousal else [])],
        metrics=sorted({metric for metric, _, _ in METRICS.values()}),
        model_name=name,
        eval_results=[*more, *judged] or None,
    )
    return data.to_yaml() + "\n"


def model_card(bundle: Bundle, name: str) -> str:
    """The card of a bundle: that of the small bundles that ship, of a copy as well, or one of what the manifest says.

    Raises InputError if the extra hub is missing, or the provenance is not one that quantize.py writes.
    """
    with needed("a model card", "hub"):
        import huggingface_hub  # noqa: F401
    ours = is_ours(bundle.manifest)
    if ours and bundle.manifest.kind != WINDOW:
        return LINK.sub(r"\1", OURS.read_text(encoding="utf-8"))
    try:
        front = front_matter(bundle.manifest, name, LICENCE if ours else None)
        text = _text(bundle.manifest, name, notices_of(bundle.manifest).text)
    # Provenance has no schema: quantize.py writes it for people. Values of other types raise these.
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
        raise InputError(f"{bundle.path}: {MANIFEST} has a provenance that quantize.py does not write") from error
    return f"---\n{front}---\n\n{text}"


def _text(manifest: Manifest, name: str, licence: str) -> str:
    made = manifest.provenance
    beside = made.get("beside")
    paragraphs = [f"# {name}"]
    if made.get("synthetic"):
        paragraphs.append("**Trained on generated voices: for tests only, not for people.**")
    if made.get("speaker_dependent"):
        paragraphs.append("**Its figures hold for the people it was trained on, and for nobody else.**")
    paragraphs += [
        f"Speech emotion recognition on small devices: {', '.join(manifest.labels)}. Trained on "
        f"{made.get('corpus') or 'recordings that the bundle does not name'}.",
        *(
            [f"A small model, trained on {'+'.join(beside['corpora_heard'])}, answers together with it."]
            if beside
            else []
        ),
        "Load it with crnn-ser:",
        "```python\nfrom edge import EmotionModel\n\n"
        'model = EmotionModel.from_pretrained("OWNER/NAME")\nprint(model.recognize("recording.wav"))\n```',
        "It learned what speakers intended; it does not know what anybody feels. Do not use it to judge people.",
        licence,
    ]
    return "\n\n".join(paragraphs) + "\n"
