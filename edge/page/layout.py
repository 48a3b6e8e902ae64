"""The tabs of the page, drawn with Gradio. Their content comes from other files.

No Gradio function runs on the server, because Gradio's queue accepts file paths from the browser. The scripts beside
this file use the routes of `edge.page.server` instead.
"""

from collections.abc import Sequence

from edge.page import corrections
from edge.page import html as words
from edge.page.gradio_import import gradio as gr
from edge.page.upload import UploadLimits
from edge.serve.upload import formats

INTRODUCTION = """# Emotion in a voice
The model was trained on acted emotions, which differ from felt ones: see the model card for what to expect. The machine
that serves this page computes everything and sends nothing anywhere else."""
ABOUT_CLIPS = "**The recording is not stored**: the server deletes it as soon as it has answered."
ABOUT_LIVE = """**Your voice is not stored**: the server writes no sound to a disk. The history stays in this page until
you reload it."""
ABOUT_CORRECTING = """**These recordings are stored**: `--keep-unsure` saves what the model was least sure of. Listen to
a recording and choose its emotion: it moves to the folder `corrected` and stays there until you delete it. Delete
recordings that are not speech or that are private. The loop deletes uncorrected recordings that are too old or too
many."""
ABOUT_SUPPORT = """**What the answer depends on**: the encoder's output of each quarter of a second is replaced by that
of silence, and the answer is computed again. A bar upwards: without this part the answer is less probable; downwards:
more probable. Each segment has its own scale. The spectrogram is dark where the answer does not depend on it. This is
not the attention inside the model."""


def build_page(names: Sequence[str], limits: UploadLimits, correcting: bool = False) -> gr.Blocks:
    """The page for models of these names; the first is selected. `correcting`: whether to add the Correct tab."""
    with gr.Blocks(title="Speech emotion", analytics_enabled=False, fill_width=True) as page:
        gr.Markdown(INTRODUCTION)
        with gr.Tab("Recording"):
            gr.Markdown(ABOUT_CLIPS)
            gr.HTML(_ask("clip", "recognize", "Recognize", {"model": ("Model", 0)}, ["result"], names, limits))
            gr.Markdown(ABOUT_SUPPORT)
        with gr.Tab("Live"):
            gr.Markdown(ABOUT_LIVE)
            gr.HTML(_live(names))
        with gr.Tab("Compare"):
            gr.Markdown(ABOUT_CLIPS)
            choices = {"left-model": ("Left", 0), "right-model": ("Right", len(names) - 1)}
            gr.HTML(_ask("both", "compare", "Compare", choices, ["left", "right"], names, limits))
        if correcting:
            with gr.Tab("Correct"):
                gr.Markdown(ABOUT_CORRECTING)
                gr.HTML(corrections.tab())
    return page


def _options(names: Sequence[str], chosen: int, numbered: bool) -> str:
    return "".join(
        f"<option{f' value={number}' if numbered else ''}{' selected' if number == chosen else ''}>"
        f"{words.escaped(name)}</option>"
        for number, name in enumerate(names)
    )


def _ask(
    place: str,
    button: str,
    verb: str,
    choices: dict[str, tuple[str, int]],
    results: list[str],
    names: Sequence[str],
    limits: UploadLimits,
) -> str:
    """HTML of a tab that recognizes a clip; clip.js handles its events.

    Args:
        place, button: ids of the clip's element and of the button, whose text is `verb`.
        choices: id of a model selection -> its label, and the number of the model selected at first.
        results: ids of the elements for the answers, one per selection.
    """
    models = "".join(
        f'<label>{label} <select id="{name}">{_options(names, chosen, numbered=True)}</select></label>'
        for name, (label, chosen) in choices.items()
    )
    answers = "".join(f'<div id="{name}" class="ser-result" aria-live="polite"></div>' for name in results)
    return (
        f'<div class="ser-ask"><div id="{place}" class="ser-clip" data-max-megabytes="{limits.max_megabytes:g}" '
        f'data-max-seconds="{limits.max_seconds:g}">'
        '<div class="ser-live"><label class="ser-button">Choose a file<input type="file" accept="audio/*"></label>'
        '<button class="ser-clip-record">Record</button><button class="ser-clip-stop" hidden>Stop</button>'
        '<button class="ser-clip-clear" hidden>Clear</button></div>'
        '<p class="ser-clip-name">No recording yet: choose a file, drop one here, or record.</p>'
        '<audio class="ser-audio" controls hidden></audio>'
        f"{words.note(f'{formats()}; up to {limits.max_seconds:g} s and {limits.max_megabytes:g} MiB')}"
        '<p class="ser-clip-error ser-error" role="alert" hidden></p></div>'
        f'<div class="ser-live">{models}<button id="{button}" class="ser-recognize">{verb}</button></div>'
        f'<div class="ser-results">{answers}</div></div>'
    )


def _live(names: Sequence[str]) -> str:
    return (
        f'<div class="ser-live"><select id="ser-live-bundle" aria-label="Model">{_options(names, 0, numbered=False)}'
        '</select><button id="ser-start">Start</button><button id="ser-stop" disabled>Stop</button>'
        '<button id="ser-csv" disabled>Save history as CSV</button></div>'
        '<p id="ser-live-error" class="ser-error" role="alert" hidden></p>'
        f'<div id="ser-panel" class="ser-panel">{words.note("Not listening.")}</div>'
        f"{words.segment_table('', 'ser-history')}"
    )
