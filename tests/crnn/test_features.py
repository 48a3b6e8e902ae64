"""One feature definition: ours, torch.stft with librosa's filters, and torchaudio agree; so does any chunking."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from augment.torchaudio_import import torchaudio
from crnn.config import FeatureConfig
from crnn.data.audio import read_audio
from crnn.features import LogMel, mel_filterbank

CONFIG = FeatureConfig()
TOLERANCE = 1e-4


@pytest.fixture
def double():
    """torchaudio builds its window and its filters in torch's default type; in float32 their rounding shows."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def torchaudio_log_mel(waveform: np.ndarray, config: FeatureConfig) -> np.ndarray:
    mel = torchaudio.transforms.MelSpectrogram(
        config.sample_rate,
        n_fft=config.n_fft,
        hop_length=config.hop_length,
        f_min=config.f_min,
        f_max=config.f_max,
        n_mels=config.n_mels,
        center=False,
        power=2.0,
        norm=None,
        mel_scale="slaney",
    )
    return torch.log(mel(torch.from_numpy(waveform).double()) + config.log_offset).numpy()


def torch_log_mel(waveform: np.ndarray, config: FeatureConfig) -> np.ndarray:
    import librosa

    window = torch.hann_window(config.n_fft, dtype=torch.float64)
    spectrum = torch.stft(
        torch.from_numpy(waveform).double(),
        config.n_fft,
        config.hop_length,
        window=window,
        center=False,
        return_complex=True,
    )
    filters = librosa.filters.mel(
        sr=config.sample_rate,
        n_fft=config.n_fft,
        n_mels=config.n_mels,
        fmin=config.f_min,
        fmax=config.f_max,
        norm=None,
        dtype=np.float64,
    )
    return torch.log(torch.from_numpy(filters) @ spectrum.abs().square() + config.log_offset).numpy()


def check(waveform: np.ndarray, config: FeatureConfig = CONFIG) -> None:
    ours = LogMel(config)(waveform)
    assert ours.dtype == np.float32
    assert ours.shape == (config.n_mels, config.n_frames(len(waveform)))
    assert np.abs(ours - torch_log_mel(waveform, config)).max() <= TOLERANCE
    assert np.abs(ours - torchaudio_log_mel(waveform, config)).max() <= TOLERANCE


def speechlike(seconds: float, level: float = 0.1) -> np.ndarray:
    """Loud low harmonics beside near silence above: the case that float32 transforms get wrong."""
    time = np.arange(int(seconds * 16000)) / 16000
    sound = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 12)) * (np.sin(2 * np.pi * time) > 0)
    return (level * sound + 1e-5 * np.random.default_rng(0).standard_normal(len(time))).astype(np.float32)


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        FeatureConfig(n_fft=512, hop_length=160, n_mels=40, f_min=0, f_max=8000),
        FeatureConfig(sample_rate=8000, f_max=3800),
        FeatureConfig(n_mels=3),
    ],
)
def test_three_implementations_agree(config, double):
    check(speechlike(2.0), config)


def test_three_implementations_agree_on_real_recordings(recordings, double):
    files = (
        sorted((recordings / "ravdess").rglob("*.flac"))[::97] + sorted((recordings / "emodb").rglob("*.flac"))[::60]
    )
    assert len(files) > 20
    for file in files:
        check(read_audio(file, 16000))


def test_filterbank_is_librosas():
    import librosa

    theirs = librosa.filters.mel(
        sr=16000, n_fft=CONFIG.n_fft, n_mels=CONFIG.n_mels, fmin=CONFIG.f_min, fmax=CONFIG.f_max, norm=None
    )
    assert np.abs(mel_filterbank(CONFIG) - theirs).max() < 1e-6
    assert (mel_filterbank(CONFIG) > 0).any(axis=1).all(), "a band without any bin"


@settings(max_examples=50, deadline=None)
@given(st.integers(800, 20000), st.integers(0, 40), st.integers(1, 40))
def test_a_frame_depends_on_its_own_samples_only(n_samples, first, count):
    log_mel = LogMel(CONFIG)
    waveform = np.random.default_rng(n_samples).standard_normal(n_samples).astype(np.float32) * 0.1
    whole = log_mel(waveform)
    if first >= whole.shape[1]:
        return
    last = min(first + count, whole.shape[1])
    part = waveform[first * CONFIG.hop_length : (last - 1) * CONFIG.hop_length + CONFIG.n_fft]
    assert np.abs(log_mel(part) - whole[:, first:last]).max() <= 1e-6


@pytest.mark.parametrize("waveform", [np.zeros(799, np.float32), np.zeros((1, 1600), np.float32)])
def test_refuses_what_holds_no_frame(waveform):
    with pytest.raises(ValueError, match="shape"):
        LogMel(CONFIG)(waveform)
