"""Checks that raw bytes on standard input can be samples, and not a file, a text, or samples of another format.

Bytes read in a wrong format look like loud white noise and would get an answer. They are refused only if they cannot be
a recording: they are text or a known kind of file; every value occurs equally often; or they do not look like a
recording in their own format, but do in another.
"""

import numpy as np

from crnn.decoders.containers import HEAD_BYTES, identify
from crnn.decoders.pcm import FORMATS, SampleFormat
from crnn.decoders.recording import MAX_SAMPLE
from crnn.errors import require
from crnn.offset import median

CHECKED_SECONDS = 0.5
"""s of one piece that is checked as a whole"""
ENOUGH = 8
"""Number of pieces with sound in them to check; if none is refused, it is a recording"""
FEWEST = 1024
"""Samples; fewer are not enough for a check"""
TEXT_SHARE = 0.9
"""Share of bytes that are letters, from which it is text"""
SMALL_SHARE, BLANK_SHARE = 0.25, 0.05
"""Least shares of small letters, and of spaces and line ends, in a text; noise about a level does not have both"""
WHITE_DB = -4.0
"""Spectral flatness, dB, from which on samples look like white noise"""
DENSE = 0.1
"""Median size of the samples, 1 is full scale: above it, it is loud without a pause"""
UNLIKE, UNLIKE_DB = 2.0, 3.0
"""Ratio of levels, and difference of flatness, dB, between every n-th sample and the ones beside it; a recording has
neither"""
DISTINCT = 64
"""Different values: a square wave has few"""
LAST_STEP, CLIPPED = 0.9999, 0.1
"""Magnitude of the last steps of a 16-bit converter, and the share of such samples from which a recording was clipped.
Narrower than `crnn.decoders.pcm.FULL_SCALE`: bytes read in a wrong format take every value below full scale as well"""
AS_UNIFORM = 0.5
"""Level from which on noise is as loud as bytes that mean nothing (0.58)"""
LOUD = 0.8
"""Level, 1 is full scale; only what is clipped throughout, or read wrongly, reaches it"""
LOW_PASS_DB = 8.0
"""Power below half of the highest frequency against the power above it: speech and most other sound"""
LEVELS = (3e-4, 0.5)
"""Level of what is recorded with some care"""
WINDOW = 256
"""Samples of a Fourier transform"""


class RawFormatCheck:
    """Takes the first seconds of a stream, piece by piece; `add` raises InputError if they cannot be such samples.

    Args:
        what: the stream's name, for messages.
        option: by which the user says the format, for messages.
    """

    def __init__(self, what: str, stored: SampleFormat, rate: int, channels: int, option: str = "--format") -> None:
        self._what, self._format, self._channels, self._option = what, stored, channels, option
        self._size = max(FEWEST, int(rate * CHECKED_SECONDS)) * stored.width * channels
        self._held, self._pieces, self._first = b"", 0, True

    def add(self, data: bytes) -> None:
        """Take the next bytes of the stream, from its first byte on."""
        if self._pieces >= ENOUGH:
            return
        self._held += data
        while len(self._held) >= self._size and self._pieces < ENOUGH:
            piece, self._held = self._held[: self._size], self._held[self._size :]
            self._check(piece)

    def end(self) -> None:
        """The stream has ended: check a stream shorter than one piece."""
        if not self._pieces and self._held:
            self._check(self._held)

    def _check(self, piece: bytes) -> None:
        if self._first:
            kind = identify(piece[:HEAD_BYTES])
            require(
                kind is None,
                f"{self._what}: is a file ({kind}), expected raw {self._format.name} samples; name the file, "
                "or convert it: ffmpeg -i FILE -f s16le -ac 1 -ar 16000 -",
            )
            self._first = False
        require(
            not _is_text(piece), f"{self._what}: is text, expected raw {self._format.name} samples (see {self._option})"
        )
        values = np.frombuffer(piece, dtype=np.uint8)
        if len(values) < 2 * FEWEST or len(np.unique(values)) <= 2:
            return
        self._pieces += 1
        require(
            not _is_uniform(values),
            f"{self._what}: every byte occurs equally often, as in compressed data; "
            f"expected raw {self._format.name} samples (see {self._option})",
        )
        other = _looks_like(piece, self._format, self._channels)
        require(
            other is None,
            f"{self._what}: does not look like {self._format.name} samples, but like {other}; "
            f"if they are, give {self._option} {other}",
        )


def _is_text(piece: bytes) -> bool:
    """Of any language, in UTF-8 or UTF-16 with its mark, or in an 8-bit code of Latin letters."""
    if piece.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return "".join(piece[: len(piece) // 2 * 2].decode("utf-16").split()).isprintable()
        except UnicodeDecodeError:
            return False
    values = np.frombuffer(piece, dtype=np.uint8)
    if _is_wide_text(values):
        return True
    letters = ((values >= 0x20) & (values < 0x7F)) | ((values >= 9) & (values <= 13))
    if np.any((values < 0x20) & ~letters) or len(np.unique(values)) < 8:
        return False
    if letters.mean() >= TEXT_SHARE:
        return True
    for cut in range(4):  # a piece may end within a letter
        try:
            piece[: len(piece) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return True
    return False


def _is_wide_text(values: np.ndarray) -> bool:
    """Of Latin letters in UTF-16 or UTF-32 without a mark: of every two or four bytes all but one are zero, and that
    one is a letter, a digit, a sign or a blank. Samples so small are not spread like that."""
    for width in (2, 4):
        lanes = values[: len(values) // width * width].reshape(-1, width)
        used = np.flatnonzero(lanes.any(axis=0))
        if len(used) != 1 or len(lanes) < ENOUGH:
            continue
        lane = lanes[:, used[0]]
        small, blank = (lane >= ord("a")) & (lane <= ord("z")), np.isin(lane, (9, 10, 13, 32))
        if np.all(blank | ((lane > 32) & (lane < 127))) and small.mean() > SMALL_SHARE and blank.mean() > BLANK_SHARE:
            return True
    return False


def _is_uniform(values: np.ndarray) -> bool:
    """Even and odd bytes: whether all 256 values are as frequent as in random numbers (chi-square, six deviations)."""
    for lane in (values[0::2], values[1::2]):
        counts = np.bincount(lane, minlength=256)
        expected = len(lane) / 256
        if ((counts - expected) ** 2 / expected).sum() > 255 + 6 * np.sqrt(2 * 255):
            return False
    return True


def _looks_like(piece: bytes, stored: SampleFormat, channels: int) -> str | None:
    """Name of another format in which the bytes are sound, the shortest first, if they are none in their own."""
    widths = _suspected_widths(stored, piece, channels)
    scores = {
        name: score
        for name, other in FORMATS.items()
        if other is not stored
        and other.width in widths
        and (score := _low_pass_db(other, piece, channels)) >= LOW_PASS_DB
    }
    return min(scores, key=lambda name: (FORMATS[name].width, -scores[name]), default=None)


def _suspected_widths(stored: SampleFormat, piece: bytes, channels: int) -> set[int]:
    """Bytes that a sample may have in truth, by how it looks with the bytes that it is said to have."""
    widths = {other.width for other in FORMATS.values()}
    with np.errstate(all="ignore"):
        samples = stored.decode(piece, channels)
    if not np.isfinite(samples).all() or np.abs(samples).max() > MAX_SAMPLE:
        return widths
    found = set()
    for channel in samples.T:
        if _is_dense(channel) and _flatness_db(channel) > WHITE_DB:
            found |= {width for width in widths if width <= stored.width or _level(channel) > AS_UNIFORM}
        clipped = np.mean(np.abs(channel) >= LAST_STEP)
        if stored.width > 1 and _level(channel) > LOUD and clipped < CLIPPED and len(np.unique(channel)) > DISTINCT:
            found |= {1}
        if _is_mixed(channel):
            found |= {width for width in widths if width > stored.width}
    return found


def _is_mixed(samples: np.ndarray) -> bool:
    """Whether every second or third sample is of another kind than the rest, as where samples of another width are cut
    in the wrong places: loud noise, or nothing at all."""
    for step in (2, 3):
        phases = [samples[offset::step] for offset in range(step)]
        levels, flatness = [_level(phase) for phase in phases], [_flatness_db(phase) for phase in phases]
        if min(levels) == 0 < max(levels) and len(np.unique(samples)) > ENOUGH:
            return True
        unlike = max(levels) > UNLIKE * min(levels) or max(flatness) - min(flatness) > UNLIKE_DB
        if unlike and any(_is_dense(phase) and flat > WHITE_DB for phase, flat in zip(phases, flatness, strict=True)):
            return True
    return False


def _level(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def _is_dense(samples: np.ndarray) -> bool:
    return bool(median(np.abs(samples)) > DENSE)


def _spectrum(samples: np.ndarray) -> np.ndarray:
    """Mean power over windows, without the lowest and the highest bins: constants, and bytes that alternate."""
    samples = samples[: len(samples) // WINDOW * WINDOW].reshape(-1, WINDOW).astype(np.float64)
    samples = (samples - samples.mean()) * np.hanning(WINDOW)
    return np.square(np.abs(np.fft.rfft(samples, axis=1))).mean(axis=0)[3:-3]


def _flatness_db(samples: np.ndarray) -> float:
    """0 for white noise, far below it for anything else; -inf for silence."""
    power = _spectrum(samples)
    if not power.size or not power.mean() > 0:
        return -np.inf
    return float(10 * np.log10(np.exp(np.log(power + 1e-30).mean()) / power.mean()))


def _low_pass_db(stored: SampleFormat, piece: bytes, channels: int) -> float:
    """How far low frequencies outweigh high ones if the bytes are read like this; -inf if they cannot be sound."""
    with np.errstate(all="ignore"):
        samples = stored.decode(piece, channels)
        if not np.isfinite(samples).all() or np.abs(samples).max() > 2:
            return -np.inf
    worst = np.inf
    for channel in samples.T:
        level = np.sqrt(np.square(channel - channel.mean(), dtype=np.float64).mean())
        if not LEVELS[0] < level < LEVELS[1]:
            return -np.inf
        power = _spectrum(channel)
        half = len(power) // 2
        worst = min(worst, 10 * np.log10((power[:half].sum() + 1e-30) / (power[half:].sum() + 1e-30)))
    return worst
