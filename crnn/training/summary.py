"""The lines that `train.py` prints at its end. No torch."""

from crnn.data.protocols import SPEAKER_DEPENDENT
from crnn.metrics import at_chance


def text(metrics: dict) -> str:
    """The lines of a finished run, from its `metrics.json`."""
    lines = [f"{metrics['protocol']} fold {metrics['fold']} seed {metrics['seed']}, split {metrics['split_hash']}"]
    if metrics.get("speaker_dependent"):
        lines.append(f"SPEAKER-DEPENDENT: {SPEAKER_DEPENDENT}")
    if "self_supervised" in metrics:
        found = metrics["self_supervised"]
        utterance = f"  utterance {found['utterance_loss']:.3f}" if "utterance_loss" in found else ""
        lines.append(
            f"without labels: loss at masked frames {found['frame_loss']:.3f}{utterance}  (a guess: 1)  standard "
            f"deviation of the teacher's states {found['target_std']:.3f}, of its window vectors "
            f"{found['embedding_std']:.3f}"
        )
    for part in ("dev", "dev_unseen", "test"):
        if part in metrics:
            figures = metrics[part]
            ends = figures["uar_ci95"]
            interval = (
                f"95 % interval over speakers {ends[0]:.1%} to {ends[1]:.1%}" if ends else "one speaker: no interval"
            )
            wf1 = f"  WF1 {figures['wf1']:.1%}" if "wf1" in figures else ""  # runs of the version before have none
            lines.append(
                f"{part:5}  UAR {figures['uar']:.1%} ({interval})  "
                f"WA {figures['wa']:.1%}  macro-F1 {figures['macro_f1']:.1%}{wf1}  {figures['n_clips']} clips"
            )
            for corpus, found in figures.get("arousal", {}).items():
                named = (("CCC with listeners' ratings", found.get("ccc")), ("rank correlation", found["spearman"]))
                shown = ", ".join(f"{name} {value:.2f}" for name, value in named if value is not None)
                lines.append(f"{part:5}  arousal, {corpus}: {shown or 'constant'}")
            for label, found in figures.get("continuous", {}).items():
                judged = (("RMSE", found["rmse"]), ("Pearson", found["pearson"]), ("CCC", found["ccc"]))
                shown = ", ".join(f"{name} {value:.2f}" for name, value in judged if value is not None)
                lines.append(f"{part:5}  {label}, {found['low']:g} to {found['high']:g}: {shown}")
            if doubt := at_chance(figures, part):
                lines.append(f"WARNING: {doubt}")
    return "\n".join(lines)
