"""Which settings and recordings a run without labels takes. No torch."""

from dataclasses import replace

from crnn.config import ModelConfig
from crnn.data.prepare import Prepared
from crnn.data.protocols import protocol_facts
from crnn.errors import require
from crnn.run_config import CRNN_KIND, RunConfig

CONFIG = "configs/self-supervised.yaml"
"""Settings of a run without labels"""


def check_self_supervision(config: RunConfig) -> None:
    """Raises InputError for settings that do not go with a run without labels, and for recordings without labels in a
    run that learns them."""
    settings = config.self_supervised
    without = protocol_facts(config.protocol).get("unlabelled", False)
    require(
        settings.on or not without,
        f"{config.protocol}: these recordings have no labels to learn; add --config {CONFIG}",
    )
    if not settings.on:
        return
    kind, loss, optim = config.model.kind, config.loss, config.optim
    require(
        kind == CRNN_KIND,
        f"model.kind is {kind}; only a crnn learns without labels, because only a crnn gives its weights (--init)",
    )
    for name, given in (
        ("loss.teachers", loss.teachers),
        ("teacher.encoder", config.teacher.encoder),
        ("loss.adversary_weight", loss.adversary_weight),
        ("loss.contrast_weight", loss.contrast_weight),
    ):
        require(not given, f"{name} belongs to a run that learns labels; leave it out, or leave out self_supervised")
    require(
        optim.schedule != "plateau",
        "optim.schedule is plateau, which follows the development UAR, and a run without labels has none; give cosine "
        "or warm-restarts",
    )
    require(optim.batch_size >= 2, f"optim.batch_size is {optim.batch_size}; clips of a batch are compared, give 2")
    _check_spans(config)


def seen_frames(model: ModelConfig) -> int:
    """Frames of the encoder's input channels that one step is computed from. What these channels look back on is not
    counted: the channels of a frame are masked together."""
    return model.receptive_frames - model.lookback_frames


def _check_spans(config: RunConfig) -> None:
    """A masked span must hide at least one step, wherever it lies, and leave frames to see."""
    model, geometry = config.model, config.geometry
    stride, steps = model.stride_frames, config.self_supervised.span_steps
    least = -(-(seen_frames(model) + stride - 1) // stride)
    require(
        steps >= least,
        f"self_supervised.span_steps is {steps}; a step of this model sees {seen_frames(model)} frames, {stride} "
        f"apart, so give at least {least}, or no step is hidden",
    )
    frames = geometry.frames_for(geometry.window_steps) - model.lookback_frames
    require(
        steps * stride <= frames // 2,
        f"self_supervised.span_steps is {steps}, which is {steps * stride} of the {frames} frames of a window; give at "
        f"most {frames // 2 // stride}, or a longer window.window_seconds",
    )


def training_alone(config: RunConfig, prepared: Prepared) -> Prepared:
    """The same with the training recordings alone: no development or test speaker is listened to.

    Raises InputError unless there are at least two, one of them as long as two masked spans: with less there is nothing
    to see beside what is masked. Windows that are longer than a recording are filled up with faint noise.
    """
    split, rate = prepared.split, config.features.sample_rate
    require(
        len(split.train) >= 2,
        f"{split.protocol}: {split.train[0].place} is the only recording; give several, whose differences are learned",
    )
    least = 2 * config.self_supervised.span_steps * config.model.stride_frames * config.features.hop_length
    longest = max(prepared.cache.clips[u.name][1] for u in split.train)
    require(
        longest >= least,
        f"{split.protocol}: none of {len(split.train)} recordings is as long as two masked spans, {least / rate:.2f} "
        f"s; the longest has {longest / rate:.2f} s. Give longer ones, or a smaller self_supervised.span_steps",
    )
    return replace(prepared, split=replace(split, dev=(), test=(), dev_unseen=()))
