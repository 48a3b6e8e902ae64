"""Settings that do nothing in a run, because another one switches them off."""

from collections.abc import Mapping

from crnn.data.inputs import LOG_MEL, STEPS, TOKENS, WAVEFORM
from crnn.models.registry import input_of
from crnn.run_config import CRNN_KIND, RunConfig

WHOLE_CLIPS = (STEPS, TOKENS)
"""Inputs that are computed once from each recording, which is then never cut, and never augmented"""
NOT_AUGMENTED = "is trained on what a pretrained encoder gives of every recording as it is"


def without_effect(config: RunConfig) -> dict[str, str]:
    """The settings that do nothing in this run, whatever their values: `loss.teacher_share` -> what they need."""
    loss, optim, model, takes = config.loss, config.optim, config.model, input_of(config)
    continuous = model.arousal or bool(model.continuous)
    teacher = ("layers", "answers", "regularization", "embedding", "components")
    in_windows, windows = takes not in WHOLE_CLIPS, "a model.kind that is trained on windows of sound"
    over_log_mel = "a model.kind over log-mel features"
    groups: tuple[tuple[object, str, str, tuple[str, ...]], ...] = (
        (continuous, "model.arousal or model.continuous", "loss", ("continuous", "continuous_weight")),
        (loss.adversary_weight, "loss.adversary_weight", "loss", ("adversary_epochs", "adversary_share")),
        (loss.contrast_weight, "loss.contrast_weight", "loss", ("contrast_temperature", "contrast_components")),
        (loss.teachers, "loss.teachers", "loss", ("teacher_share",)),
        (config.teacher.encoder, "teacher.encoder", "teacher", teacher),
        (optim.schedule == "plateau", "optim.schedule plateau", "optim", ("plateau_factor", "plateau_patience")),
        (
            *(optim.schedule == "warm-restarts", "optim.schedule warm-restarts"),
            *("optim", ("restart_epochs", "restart_factor")),
        ),
        (config.system.encoder, "system.encoder", "system", ("encoder_layers",)),
        (model.kind == "tuned-encoder", "model.kind tuned-encoder", "system", ("trained_layers", "lora_rank")),
        (
            *(model.kind == "waveform-cnn", "model.kind waveform-cnn"),
            *("system", ("waveform_kernels", "waveform_channels")),
        ),
        (takes != TOKENS, "a model.kind that takes sound as well", "text", ("fusion",)),
        (takes == LOG_MEL, over_log_mel, "features", ("n_mels", "f_min", "f_max")),
        (takes == LOG_MEL, over_log_mel, "model", ("channels", "pool_mels", "inputs", "spectral_floor_db")),
        (in_windows, windows, "features", ("n_fft", "hop_length", "log_offset")),
        (in_windows, windows, "window", ("window_seconds", "interval_seconds")),
        (model.kind == CRNN_KIND, f"model.kind {CRNN_KIND}", "model", ("lstm_units", "attention_units")),
    )
    return {f"{section}.{name}": needed for used, needed, section, names in groups if not used for name in names}


def unused_settings(config: RunConfig, augmented: Mapping[str, bool]) -> list[str]:
    """A line for each group of settings that differ from the default ones and do nothing, with what they need. They are
    no error: whoever compares runs sets a weight to 0 and leaves the rest as it is.

    Args:
        augmented: settings of augmentation that differ from the default ones -> whether they change log-mel features
            alone.
    """
    given: dict[str, list[str]] = {}
    for setting, needed in without_effect(config).items():
        section, name = setting.split(".")
        values = getattr(config, section)
        if getattr(values, name) != getattr(type(values), name):
            given.setdefault(needed, []).append(setting)
    lines = [f"{', '.join(names)} without effect: only with {needed}" for needed, names in given.items()]
    model, takes = config.model, input_of(config)
    if augmented and takes in WHOLE_CLIPS:
        lines.append(f"augment.* without effect: model.kind {model.kind} {NOT_AUGMENTED}")
    on_features = [f"augment.{name}" for name, features_alone in augmented.items() if features_alone]
    if on_features and takes == WAVEFORM:
        lines.append(f"{', '.join(on_features)} without effect: only with a model.kind over log-mel features")
    return lines
