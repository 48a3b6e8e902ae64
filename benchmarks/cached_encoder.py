"""What was tried and not kept: an encoder that is given only new frames, and an LSTM that is given its projections.

They are here so that `benchmarks.hop` can measure them again beside what is used.
"""

import torch
from torch import Tensor, nn

from crnn.models.crnn import Encoder, Head, StridedBlock


class CachedEncoder(nn.Module):
    """The encoder whose blocks from `first` on keep the frames they will need again, passed in and handed back.

    `log_mel (1, n_mels, new_frames)` and one cache per such block -> `steps (1, interval_steps, d)` and the new caches.
    Blocks before `first` see the overlap again; with `first=0` none does.
    """

    def __init__(self, encoder: Encoder, first: int, interval_frames: int) -> None:
        super().__init__()
        self.encoder, self.first = encoder, first
        pools = encoder.inputs.config.pool_frames
        self.kept = [(5 - pools[0] if isinstance(block, StridedBlock) else 2) for block in encoder.blocks]
        rows = interval_frames
        for pool in pools[:first]:
            rows //= pool
        for block, pool in reversed(list(zip(encoder.blocks, pools, strict=True))[:first]):
            rows = (rows - 1) * pool + 5 if isinstance(block, StridedBlock) else rows * pool + 2
        self.new_frames = rows + encoder.inputs.config.lookback_frames
        """Frames it is given per hop, those that the inputs look back on included"""

    def example(self, n_mels: int) -> tuple[Tensor, ...]:
        """The log-mel frames of one hop and the caches of a stream's beginning, all zeros."""
        x, caches = self.encoder.inputs(torch.zeros(1, n_mels, self.new_frames)), []
        for number, (block, kept) in enumerate(zip(self.encoder.blocks, self.kept, strict=True)):
            if number >= self.first:
                caches.append(torch.zeros(*x.shape[:3], kept))
                x = torch.cat([caches[-1], x], dim=3)
            x = block(x)
        return torch.zeros(1, n_mels, self.new_frames), *caches

    def forward(self, log_mel: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        encoder = self.encoder
        x, handed_back = (encoder.inputs(log_mel) - encoder.band_mean) * encoder.band_scale, []
        for number, (block, kept) in enumerate(zip(encoder.blocks, self.kept, strict=True)):
            if number >= self.first:
                x = torch.cat([caches[number - self.first], x], dim=3)
                handed_back.append(x[..., -kept:])
            x = block(x)
        return x.permute(0, 3, 1, 2).flatten(2), *handed_back


class ProjectedHead(nn.Module):
    """The head with the LSTM's input projection taken out of it: `projections (steps, 2, 4 * units)` -> `logits`.

    ONNX's LSTM takes inputs, not projections, so both directions are unrolled side by side.
    """

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head, lstm = head, head.lstm
        given = torch.stack([lstm.weight_ih_l0, lstm.weight_ih_l0_reverse])
        self.register_buffer("given", given)
        self.register_buffer("bias", torch.stack([lstm.bias_ih_l0 + lstm.bias_hh_l0,
                                                  lstm.bias_ih_l0_reverse + lstm.bias_hh_l0_reverse]))  # fmt: skip
        self.register_buffer("recurrent", torch.stack([lstm.weight_hh_l0.T, lstm.weight_hh_l0_reverse.T]))

    def project(self, steps: Tensor) -> Tensor:
        """`steps (1, n, d)` -> `(n, 2, 4 * units)`: what the encoder would hand out per step."""
        return torch.einsum("td,kgd->tkg", steps[0], self.given) + self.bias

    def forward(self, projections: Tensor) -> Tensor:
        n_steps, _, gates = projections.shape
        given = torch.stack([projections[:, 0], projections.flip(0)[:, 1]], dim=1)
        hidden = cell = torch.zeros(2, 1, gates // 4)
        states = []
        for step in range(n_steps):
            i, f, g, o = (given[step][:, None] + hidden @ self.recurrent).chunk(4, dim=2)
            cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
            hidden = o.sigmoid() * cell.tanh()
            states.append(hidden[:, 0])
        states = torch.stack(states)
        seen = torch.cat([states[:, 0], states[:, 1].flip(0)], dim=1)[None]
        weights = torch.softmax(self.head.attention(seen), dim=1)
        return self.head.classifier((seen * weights).sum(dim=1))
