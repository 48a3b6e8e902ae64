"""Distillation: learning from the answers of trained models (teachers) to the same batches (Hinton et al. 2015)."""

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from crnn.data.protocols import Split
from crnn.errors import require
from crnn.models.crnn import CRNN, WindowModel
from crnn.run_config import RunConfig, require_labels
from crnn.training.initial_weights import Start, start_of_run
from crnn.training.run_folder import RunFolder
from crnn.training.task import EmotionTask, in_memory_format

TEMPERATURE = 2.0
"""Divides the logits of teachers and student before they are compared"""


class DistillTask(EmotionTask):
    """The training task with teachers: on the same augmented batch, (1 - share) * label loss + share * T^2 *
    KL(teachers || student), both softened by T, with the mean of the teachers' softened probabilities (share:
    `loss.teacher_share`, T: `TEMPERATURE`). What is learned beside the classes (`crnn.training.auxiliary`) is not
    learned from teachers."""

    model: WindowModel

    def __init__(self, config: RunConfig, model: WindowModel, teachers: list[CRNN], *others) -> None:
        super().__init__(config, model, *others)
        as_ours = torch.channels_last if config.loop.channels_last else torch.contiguous_format
        # A tuple, so that torch does not train, average and save them.
        self._teachers = tuple(in_memory_format(teacher.eval(), as_ours) for teacher in teachers)

    def batch_loss(self, log_mel: Tensor, targets: Tensor, mask: Tensor, *others: Tensor) -> Tensor:
        loss = self.config.loss
        pooled = self.model.training_pooled(log_mel)
        logits = self.model.head.classify(pooled).float()
        with torch.no_grad():
            taught = [
                _softened(teacher.to(log_mel.device).training_logits(log_mel), mask) for teacher in self._teachers
            ]
        mean = torch.logsumexp(torch.stack(taught), dim=0) - math.log(len(taught))
        own = _softened(logits, mask)
        divergence = nn.functional.kl_div(own, mean, reduction="batchmean", log_target=True)
        share = loss.teacher_share
        classes = (1 - share) * self.label_loss(logits, targets, mask) + share * TEMPERATURE**2 * divergence
        return classes + self.auxiliary_loss(pooled, targets, others)


def _softened(logits: Tensor, mask: Tensor) -> Tensor:
    # Not minus infinity: the divergence of two probabilities of zero would be NaN.
    closed = logits.float().masked_fill(~mask, -1e4)
    return torch.log_softmax(closed / TEMPERATURE, dim=-1)


def open_teachers(config: RunConfig, split: Split) -> list[Start]:
    """The runs of `loss.teachers`.

    A teacher has the student's split: it was trained on the same training speakers and chosen on the same development
    speakers, so it carries no information about test speakers.

    Raises InputError, naming the run, if it is no finished run of this very split, or takes other features or windows.
    """
    teachers: list[Start] = []
    for name in config.loss.teachers:
        run = Path(name)
        require(run.is_dir(), f"--loss.teachers {name}: no such folder; give runs of train.py")
        require_labels(RunFolder(run).read_config()[0], f"--loss.teachers {name}")
        teacher = start_of_run(run)
        require(
            teacher.split_hash == split.original_hash,
            f"--loss.teachers {name}: trained under split {teacher.split_hash}, this run's is {split.original_hash}; "
            "a teacher needs the same protocol, fold and recordings, or it may have been trained on who is tested here",
        )
        geometry = RunConfig(features=teacher.features, model=teacher.model, window=teacher.window).geometry
        require(
            (teacher.features, geometry) == (config.features, config.geometry),
            f"--loss.teachers {name}: it takes other features, or a window of other length than this run's; train it "
            "with the same --features, --window, strides and inputs",
        )
        teachers.append(teacher)
    return teachers


def model_of(teacher: Start) -> CRNN:
    """The trained model of a run."""
    model = CRNN(teacher.features, teacher.model, len(teacher.labels))
    model.load_state_dict(teacher.weights)
    return model
