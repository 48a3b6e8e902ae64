"""How far each emotion stands above the noise of its recording, as recorded and denoised: what a corpus gives away.

    SER_DATA=FOLDER python -m benchmarks.noise_levels

Nothing is trained. In one room, at one gain, whoever speaks louder stands further above the noise; where corpora differ
in it, a model that has learned it is lost. A row per corpus and emotion to benchmarks/results/noise_levels.json.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from augment.denoise import Denoise
from augment.padding import speech_frames
from benchmarks import corpora
from benchmarks.results import add_row
from crnn.data import prepare as preparation
from crnn.labels import canonical
from crnn.run_config import RunConfig

RESULTS = Path("benchmarks/results/noise_levels.json")
QUIETEST = 0.05
"""Share of a recording's frames that are taken to be its noise"""


def main() -> None:
    argparse.ArgumentParser(description=__doc__.split("\n\n")[0]).parse_args()
    config = RunConfig(protocol="all-corpora")
    folders = corpora.folders(config.protocol, config.fold)
    prepared = preparation.prepare(config, folders)
    rate = config.features.sample_rate
    denoise, rng = Denoise(1.0, rate), np.random.default_rng(0)
    found = defaultdict(list)
    for u in (*prepared.split.train, *prepared.split.dev):
        waveform = np.array(prepared.cache.waveform(u.name))
        told = speech_above_noise(waveform, rate), speech_above_noise(denoise(waveform, rng), rate)
        found[u.corpus, canonical(u.emotion)].append(told)
    for (corpus, emotion), values in sorted(found.items()):
        recorded, denoised = np.mean(values, axis=0).tolist()
        row = {
            "corpus": corpora.title(folders[corpus]),
            "emotion": emotion,
            "n_clips": len(values),
            "split_hash": prepared.split.hash,
            "recorded_db": recorded,
            "denoised_db": denoised,
        }
        add_row(RESULTS, row, ("corpus", "emotion"))
        print(f"{row['corpus']:25} {emotion:10} {recorded:5.1f} dB, denoised {denoised:5.1f} dB", flush=True)


def speech_above_noise(waveform: np.ndarray, sample_rate: int) -> float:
    """dB from a recording's quietest frames to those that hold speech."""
    power, speech = speech_frames(waveform, sample_rate)
    power = power + 1e-12  # one recording of CREMA-D holds next to nothing
    return float(10 * np.log10(power[speech].mean() / np.quantile(power, QUIETEST)))


if __name__ == "__main__":
    main()
