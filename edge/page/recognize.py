"""Uploaded recordings, answered one after another.

A browser sends the bytes of a recording and the numbers of models. It never sends a file name, so it cannot ask for a
file. The server writes the bytes to a temporary file, which it deletes after the answer.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import numpy as np
from fastapi.concurrency import run_in_threadpool

from crnn.errors import require
from edge.page import html as words
from edge.page.clip_analysis import analyze
from edge.page.clip_svg import view
from edge.page.upload import UploadLimits, decode
from edge.serve.upload import received
from edge.stream.recognizer import StreamingRecognizer

WAITING = 8
"""Recordings that may arrive or wait while one is computed"""
COMPARED = 2
"""Models of one request, at most"""


class Recognizer:
    """Recordings in, HTML out.

    Args:
        recognizers: loaded once and used for every upload, one upload at a time, each in a stream of its own. Named as
            the page names the models; a request gives their numbers.
        folder: for uploads; only the server's user may read it.
    """

    def __init__(
        self, recognizers: Mapping[str, StreamingRecognizer], vad: str, limits: UploadLimits, folder: Path
    ) -> None:
        self._recognizers, self._vad = list(recognizers.items()), vad
        self._limits, self._folder = limits, folder
        self._inside = 0
        self._turn = asyncio.Lock()

    async def recognize(self, models: str, body: AsyncIterator[bytes]) -> list[str]:
        """HTML of the recording `body` for each of `models`, comma-separated numbers.

        Raises ClipError if the recording is at fault, InputError for anything else.
        """
        chosen = self._chosen(models)
        require(self._inside <= WAITING, f"{self._inside} recordings are waiting already; try again in a moment")
        self._inside += 1
        try:
            async with received(body, self._limits.max_megabytes, self._folder) as path, self._turn:
                return await run_in_threadpool(self._compute, path, chosen)
        finally:
            self._inside -= 1

    def _chosen(self, models: str) -> list[tuple[str, StreamingRecognizer]]:
        numbers = models.split(",")
        known = {str(number): item for number, item in enumerate(self._recognizers)}
        require(
            1 <= len(numbers) <= COMPARED and all(number in known for number in numbers),
            "there is no such model here; reload the page",
        )
        chosen = [known[number] for number in numbers]
        rates = {recognizer.features.sample_rate for _, recognizer in chosen}
        require(len(rates) == 1, "these models take different sample rates; compare others")
        return chosen

    def _compute(self, path: Path, chosen: list[tuple[str, StreamingRecognizer]]) -> list[str]:
        samples = decode(path, chosen[0][1].features.sample_rate, self._limits)
        return [self._view(name, recognizer, samples) for name, recognizer in chosen]

    def _view(self, name: str, recognizer: StreamingRecognizer, samples: np.ndarray) -> str:
        analysis = analyze(recognizer, samples, self._vad)
        rows = (words.segment_row(e.segment, analysis.decision, analysis.settings) for e in analysis.segments)
        return view(analysis, name) + words.segment_table("".join(rows))
