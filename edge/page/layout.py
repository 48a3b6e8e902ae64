"""The page itself: its tabs in Gradio. What is in them is made elsewhere."""

import logging
from collections.abc import Mapping
from pathlib import Path

import gradio as gr

from crnn.config import InputError
from edge.bundle import Bundle
from edge.page import corrections, words
from edge.page.clip import FORMATS, Limits, take_clip
from edge.page.hearing import hear
from edge.page.picture import view

log = logging.getLogger(__name__)

WAITING_JOBS = 8
ABANDONED_SECONDS = 600
"""An upload that nobody asked about is deleted after so long"""

INTRODUCTION = """# What the model hears
Acted emotions are not felt ones: see the model card for what can be expected. Everything is computed on this machine;
nothing that you record or upload is kept."""
ABOUT_CORRECTING = """What the listening loop was least sure of and was told to keep. Listen, then say **what it was**:
the recording moves to the folder `corrected`. What is not speech, or nobody's business, is deleted. Nothing leaves this
machine."""
ABOUT_SUPPORT = """**What the answer rests on**: each quarter of a second of what the encoder found is replaced by
silence, and the answer asked again. A bar upwards: without it the answer would be less probable; downwards: more
probable. Each segment has its own scale. On the spectrogram, what the answer does not rest on lies in the dark. This is
not the attention inside the model."""


def build_page(
    bundles: Mapping[str, Bundle], runtime: str | None, gate: str, limits: Limits, correcting: bool = False
) -> gr.Blocks:
    """The page over `bundles`, by the names it shows; the first is chosen. `correcting`: whether it has that tab."""
    names = list(bundles)

    def shown(name: str, samples) -> str:
        hearing = hear(bundles[name], samples, runtime, gate)
        rows = (words.segment_row(e.segment, hearing.decision, hearing.settings) for e in hearing.segments)
        return view(hearing, name) + words.segment_table("".join(rows))

    def recognize(upload: str | None, *chosen: str) -> list:
        """The views of one clip, one per model, and an empty place for the next clip."""
        try:
            if upload is None:
                raise InputError("there is no recording yet; record or upload one first")
            rate = bundles[chosen[0]].manifest.features.sample_rate
            if any(bundles[name].manifest.features.sample_rate != rate for name in chosen):
                raise InputError("these models hear at different sample rates; compare others")
            samples = take_clip(Path(upload), rate, limits)
            return [None, *(shown(name, samples) for name in chosen)]
        except InputError as error:
            return [None, words.error(str(error)), *("" for _ in chosen[1:])]

    said = f"{FORMATS}; up to {limits.max_seconds:g} s and {limits.max_megabytes:g} MiB; deleted once it is heard"
    with gr.Blocks(
        title="Speech emotion", analytics_enabled=False, delete_cache=(60, ABANDONED_SECONDS), fill_width=True
    ) as page:
        gr.Markdown(INTRODUCTION)
        with gr.Tab("Recording"):
            with gr.Row():
                clip = _clip_input("clip")
                with gr.Column():
                    one = gr.Dropdown(names, value=names[0], label="Model", elem_id="model")
                    go = gr.Button("Recognize", variant="primary", elem_id="recognize")
                    gr.Markdown(said)
            result = gr.HTML(elem_id="result")
            gr.Markdown(ABOUT_SUPPORT)
            _on_click(go, recognize, [clip, one], [clip, result])
        with gr.Tab("Live"):
            gr.HTML(_live(names))
        with gr.Tab("Compare"):
            with gr.Row():
                both = _clip_input("both")
                with gr.Column():
                    first = gr.Dropdown(names, value=names[0], label="Left", elem_id="left-model")
                    second = gr.Dropdown(names, value=names[-1], label="Right", elem_id="right-model")
                    compare = gr.Button("Compare", variant="primary", elem_id="compare")
                    gr.Markdown(said)
            with gr.Row():
                left = gr.HTML(elem_id="left")
                right = gr.HTML(elem_id="right")
            _on_click(compare, recognize, [both, first, second], [both, left, right])
        if correcting:
            with gr.Tab("Correct"):
                gr.Markdown(ABOUT_CORRECTING)
                gr.HTML(corrections.tab())
    page.queue(max_size=WAITING_JOBS, default_concurrency_limit=1)
    return page


def _clip_input(name: str) -> gr.Audio:
    return gr.Audio(
        sources=["upload", "microphone"],
        type="filepath",
        label="A recording",
        elem_id=name,
        editable=False,
        buttons=[],
    )


def _on_click(button: gr.Button, fn, inputs: list, outputs: list) -> None:
    button.click(fn, inputs, outputs, show_progress="minimal", api_visibility="private")


def _live(names: list[str]) -> str:
    options = "".join(f"<option>{words.escaped(name)}</option>" for name in names)
    return (
        f'<div class="ser-live"><select id="ser-live-bundle" aria-label="Model">{options}</select>'
        '<button id="ser-start">Start</button><button id="ser-stop" disabled>Stop</button>'
        '<button id="ser-csv" disabled>Save history as CSV</button></div>'
        '<p id="ser-live-error" class="ser-error" role="alert" hidden></p>'
        f'<div id="ser-panel" class="ser-panel">{words.note("Not listening.")}</div>'
        f"{words.segment_table('', 'ser-history')}"
    )
