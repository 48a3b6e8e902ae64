"""The figures of a finished fit: its best checkpoint on development and test speakers."""

import torch

from crnn.agreement import summarize_arousal, summarize_continuous
from crnn.continuous_labels import continuous_labels
from crnn.data.loaders import EvalClips, eval_loader, label_mask
from crnn.data.prepare import Prepared
from crnn.metrics import summarize
from crnn.models.clip_model import ClipModel, rests
from crnn.models.cost import count_frozen, count_parameters, macs_per_window
from crnn.run_config import RunConfig
from crnn.training.checkpoint import model_weights
from crnn.training.fit import FitResult
from crnn.training.losses import masked_logits
from crnn.training.predict import predict_outputs
from crnn.training.report import counts
from crnn.training.setup import TrainingParts


def evaluate(config: RunConfig, prepared: Prepared, parts: TrainingParts, result: FitResult, test: bool) -> dict:
    """The content of `metrics.json` without its origin. The test fold is read only if `test`.

    Loads the weights of the best checkpoint into the model of `parts`.
    """
    split, model = prepared.split, parts.task.model
    model.load_state_dict(model_weights(result.best_checkpoint))
    metrics = {
        "protocol": config.protocol,
        "split_hash": split.hash,
        "corpus": "+".join(split.corpora),
        "speaker_dependent": split.speaker_dependent,
        "fold": config.fold,
        "seed": config.seed,
        "n_params": count_parameters(model),
        **({"frozen_params": count_frozen(model)} if isinstance(model, ClipModel) and rests(model) else {}),
        **({"transcripts": parts.text.counts} if parts.text else {}),
        "macs_per_window": macs_per_window(model, config),
        "training": {
            "best_epoch": _kept(result.history)["epoch"],
            "seconds_per_epoch": result.seconds_per_epoch,
            "utterances_per_second": result.utterances_per_second,
            "data_wait_share": result.data_wait_share,
        },
        "history": result.history,
        "skipped": prepared.skipped,
        "counts": counts(split),
        **({"self_supervised": _kept(result.history)} if config.self_supervised.on else {}),
    }
    for part, members in split.sets():
        if part == "train" or not members or (part == "test" and not test):
            continue
        clips = (
            parts.dev if part == "dev" else EvalClips(prepared.cache, members, split.labels, config, parts.dev.inputs)
        )
        outputs = predict_outputs(model, config, eval_loader(clips, config))
        logits = torch.from_numpy(outputs.logits).double()
        probs = masked_logits(logits, label_mask(clips.utterances, split)).softmax(dim=1).numpy()
        figures = summarize(probs, clips.labels, clips.utterances, split.labels)
        if outputs.arousal is not None:
            figures["arousal"] = summarize_arousal(outputs.arousal, clips.utterances)
        if outputs.continuous is not None:
            labels = continuous_labels(config.model.continuous)
            figures["continuous"] = summarize_continuous(outputs.continuous, clips.utterances, labels)
        metrics[part] = figures
    return metrics


def _kept(history: list[dict[str, float]]) -> dict[str, float]:
    """The epoch of the best checkpoint; without development speakers the last."""
    return max(history, key=lambda row: row.get("dev_uar", row["epoch"]))
