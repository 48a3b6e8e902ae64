"""Sound and text in one model: every fusion learns what only both tell, and padding changes no answer."""

from dataclasses import replace

import pytest
import torch
from tiny_text import WIDTH, write_tiny_text
from tiny_whisper import needs_transformers, write_tiny_whisper
from torch import nn

from crnn.config import ModelConfig
from crnn.data.padded import Padded, WithText
from crnn.errors import InputError
from crnn.models.cost import count_frozen, count_parameters, macs_per_window
from crnn.models.registry import FUSIONS, build_model
from crnn.run_config import RunConfig
from crnn.system_config import SystemConfig
from crnn.text_config import TextConfig

needs_transformers()
LAYERS, SOUND = 2, 16


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("fusion")
    return write_tiny_whisper(base / "whisper"), write_tiny_text(base / "bert")


def config_of(folders, fusion: str = "concat", kind: str = "frozen-encoder", text: bool = True, **more) -> RunConfig:
    whisper, bert = folders
    encoder = {"encoder": str(whisper), "encoder_layers": (1, 2)} if kind == "frozen-encoder" else {}
    return replace(
        RunConfig(),
        model=ModelConfig(kind=kind, dropout=0.0),
        system=SystemConfig(units=16, heads=2, **(encoder | more)),
        text=TextConfig(encoder=str(bert), column="text", fusion=fusion) if text else TextConfig(),
    )


def made(config: RunConfig) -> nn.Module:
    torch.manual_seed(0)
    return build_model(config, 4)


def clips(n: int, generator: torch.Generator) -> tuple[list, list, torch.Tensor]:
    """The sound tells the first half of a class of four, the text the other; both are of any length."""
    halves = torch.randint(2, (2, n), generator=generator)
    sounds, texts = [], []
    for sound, text in halves.T:
        steps, tokens = (int(torch.randint(3, 9, (), generator=generator)) for _ in range(2))
        sounds.append(torch.randn(steps, LAYERS, SOUND, generator=generator) + 2 * (2 * sound - 1))
        texts.append(torch.randn(tokens, WIDTH, generator=generator) + 2 * (2 * text - 1))
    return sounds, texts, 2 * halves[0] + halves[1]


def learned(model: nn.Module, batch_of, steps: int = 40) -> float:
    """Share of new clips that the model answers rightly after so many batches."""
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        sounds, texts, labels = clips(32, generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(batch_of(sounds, texts)), labels).backward()
        optimizer.step()
    sounds, texts, labels = clips(300, generator)
    with torch.no_grad():
        return float((model.eval()(batch_of(sounds, texts)).argmax(dim=1) == labels).float().mean())


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_fusion_learns_what_only_both_tell(fusion, folders):
    share = learned(made(config_of(folders, fusion)), lambda s, t: WithText(Padded.of(s), Padded.of(t)))
    assert share > 0.9


def test_either_alone_knows_half_of_it(folders):
    """Whoever knows one half of four classes guesses the other: a half, with an error of 3 % at 300 clips."""
    sound = learned(made(config_of(folders, text=False)), lambda sounds, _: Padded.of(sounds))
    text = learned(made(config_of(folders, kind="text")), lambda _, texts: Padded.of(texts))
    assert 0.35 < sound < 0.65
    assert 0.35 < text < 0.65


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("system", [{}, {"sequence": ("bigru",), "pooling": "attention"}], ids=["mean", "bigru"])
def test_other_clips_of_a_batch_change_no_answer_and_every_weight_is_reached(fusion, system, folders):
    model = made(config_of(folders, fusion, **system))
    sounds, texts, labels = clips(5, torch.Generator().manual_seed(2))
    model.head.standardized.learn_scale(texts)
    together = model(WithText(Padded.of(sounds), Padded.of(texts)))
    alone = [model(WithText(s[None], Padded.full(t[None]))) for s, t in zip(sounds, texts, strict=True)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)
    nn.functional.cross_entropy(together, labels).backward()
    missed = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert not {name for name in missed if not name.endswith("key.bias")}


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_sound_of_an_earlier_run_is_taken_and_stays(fusion, folders):
    system = {"sequence": ("bigru",), "pooling": "attention"}
    sound, model = made(config_of(folders, text=False, **system)), made(config_of(folders, fusion, **system))
    with torch.no_grad():
        for p in sound.parameters():
            p.add_(0.1)
    model.take_sound(sound)
    before = {name: p.clone() for name, p in model.state_dict().items()}
    learned(model.train(), lambda s, t: WithText(Padded.of(s), Padded.of(t)), steps=3)
    same = {name for name, p in model.state_dict().items() if torch.equal(p, before[name])}
    of_sound = {name for name in before if name.startswith(("encoder", "head.sequence", "head.fusion.sound_pooling"))}
    assert same == of_sound | {"head.standardized.mean", "head.standardized.scale"}
    assert torch.equal(model.encoder.sum.scores, sound.encoder.sum.scores)
    model.train()
    assert not any(module.training for module in (model.encoder, *model.head.sequence))
    assert model.head.dropout.training


def test_costs_count_the_text_encoder(folders):
    config, alone = config_of(folders), config_of(folders, text=False)
    model, sound = made(config), made(alone)
    states = model.text.states()
    n_states = sum(p.numel() for p in states.parameters())
    assert count_frozen(model) == count_frozen(sound) + n_states
    assert count_parameters(model) == count_parameters(sound) + 4 * WIDTH
    assert macs_per_window(model, config) > macs_per_window(sound, alone) + 16 * WIDTH * WIDTH
    only = made(config_of(folders, kind="text"))
    assert (count_frozen(only), count_parameters(only)) == (n_states, 4 * (WIDTH + 1))


@pytest.mark.parametrize(
    ("model", "text", "says"),
    [
        ("crnn", {"encoder": "E", "column": "text"}, "model.kind is crnn, which answers windows.*frozen-encoder"),
        ("cnn", {"encoder": "E", "column": "text"}, "model.kind is cnn, which answers windows.*waveform-cnn"),
        ("text", {}, "model.kind is text; .*text.encoder"),
        ("text", {"encoder": "E", "column": "text", "sound": "runs/a"}, "model.kind is text, .*text.sound"),
        ("waveform-cnn", {"encoder": "E", "column": "text", "fusion": "sum"}, "text.fusion is sum; .*gated"),
        ("waveform-cnn", {"encoder": "E"}, "text.column.*text.recognizer"),
        ("waveform-cnn", {"column": "text"}, "text.column is given without text.encoder"),
        ("waveform-cnn", {"encoder": "E", "column": "text", "language": "de"}, "text.language is de"),
        ("waveform-cnn", {"encoder": "/nowhere", "column": "text"}, "/nowhere: no text encoder"),
    ],
)
def test_settings_that_make_no_model_are_refused(model, text, says):
    with pytest.raises(InputError, match=says) as refused:
        build_model(replace(RunConfig(), model=ModelConfig(kind=model), text=TextConfig(**text)), 4)
    assert "\n" not in str(refused.value)
