"""openSMILE functionals of whole corpora, the input of the classical baselines. Computed once, cached in ~/.cache/ser.

eGeMAPSv02 (Eyben et al. 2016, 88 values) and ComParE_2016 (Schuller et al. 2016, 6373 values).
"""

import hashlib
import logging

import numpy as np
import opensmile

from crnn.data.cache import AudioCache, default_folder
from crnn.files.atomic import replacing

log = logging.getLogger("baselines")

SETS = ("eGeMAPSv02", "ComParE_2016")
LEVEL = 0.05
"""Root mean square of every clip if all are scaled to the same level"""


def functionals(
    cache: AudioCache, corpus: str, name: str, sample_rate: int, same_level: bool = False
) -> dict[str, np.ndarray]:
    """Utterance name -> functionals of the set `name`, for every clip of one corpus.

    `same_level` first scales every clip to one root mean square, because recording levels differ between corpora.
    """
    names = sorted(clip for clip in cache.clips if clip.startswith(f"{corpus}/"))
    content = " ".join([name, str(same_level), *(cache.hashes[clip] for clip in names)])
    file = default_folder() / f"functionals-{hashlib.sha256(content.encode()).hexdigest()[:24]}.npy"
    if not file.is_file():
        smile = opensmile.Smile(opensmile.FeatureSet[name], opensmile.FeatureLevel.Functionals)
        rows = []
        for number, clip in enumerate(names):
            waveform = np.array(cache.waveform(clip))
            rows.append(smile.process_signal(at_level(waveform) if same_level else waveform, sample_rate).to_numpy()[0])
            if number % 1000 == 0:
                log.info("%s of %s: %d of %d clips", name, corpus, number, len(names))
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as out:
            np.save(out, np.nan_to_num(np.stack(rows).astype(np.float32)))
    return dict(zip(names, np.load(file), strict=True))


def at_level(waveform: np.ndarray, rms: float = LEVEL) -> np.ndarray:
    """`waveform (time,)` scaled to a root mean square of `rms`; silence stays silent."""
    level = float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))
    return waveform * np.float32(rms / level) if level > 0 else waveform
