"""Settings of the features, on which training and device must agree. No torch."""

from dataclasses import dataclass

from crnn.errors import require


@dataclass(frozen=True)
class FeatureConfig:
    """Log-mel features: frame k covers samples [k * hop_length, k * hop_length + n_fft)."""

    sample_rate: int = 16000
    """Hz, mono"""
    n_fft: int = 800
    """Samples per frame and per Fourier transform (800 are 50 ms)"""
    hop_length: int = 200
    """Samples between frames (12.5 ms)"""
    n_mels: int = 64
    """Mel bands"""
    f_min: float = 50.0
    """Hz, lower edge of the first band"""
    f_max: float = 7600.0
    """Hz, upper edge of the last band"""
    log_offset: float = 1e-6
    """Power added before the logarithm, on samples in [-1, 1]"""

    def __post_init__(self) -> None:
        for name, most in (("sample_rate", 384_000), ("n_fft", 16_384), ("n_mels", 512)):
            value = getattr(self, name)
            require(0 < value <= most, f"features.{name} is {value}; give 1 to {most}")
        require(
            0 < self.hop_length <= self.n_fft,
            f"features.hop_length is {self.hop_length}; give 1 to n_fft ({self.n_fft}) samples",
        )
        require(
            0 <= self.f_min < self.f_max <= self.sample_rate / 2,
            f"features.f_min, f_max are {self.f_min}, {self.f_max}; "
            f"they must satisfy 0 <= f_min < f_max <= {self.sample_rate / 2}",
        )
        require(0 < self.log_offset < 1, f"features.log_offset is {self.log_offset}; give a power above 0 and below 1")

    def n_frames(self, n_samples: int) -> int:
        """Whole frames in `n_samples` samples.

        >>> FeatureConfig().n_frames(16000)
        77
        """
        return max(0, (n_samples - self.n_fft) // self.hop_length + 1)
