"""Uploaded recordings, answered one after another. A browser sends the bytes of a file and the numbers of models; it
names no file, so there is none that it could ask for. The bytes lie in a file of the server's own until they are
answered."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from fastapi.concurrency import run_in_threadpool

from crnn.errors import require
from edge.bundle import Bundle
from edge.page import html as words
from edge.page.clip_analysis import analyze
from edge.page.clip_svg import view
from edge.page.upload import MIB, ClipError, UploadLimits, decode

WAITING = 8
"""Recordings that arrive or wait while one is computed"""
COMPARED = 2
"""Models of one request at most"""


class Recognizer:
    """Recordings in, HTML out.

    Args:
        bundles: by the name that the page shows; a request gives their numbers.
        folder: where uploads lie, for the server's user alone.
    """

    def __init__(
        self, bundles: Mapping[str, Bundle], runtime: str | None, gate: str, limits: UploadLimits, folder: Path
    ) -> None:
        self._bundles, self._runtime, self._vad, self._limits = list(bundles.items()), runtime, gate, limits
        self._folder = folder
        self._inside = 0
        self._turn = asyncio.Lock()

    async def views(self, models: str, body: AsyncIterator[bytes]) -> list[str]:
        """A view of the recording `body` per model of `models`, comma-separated numbers.

        Raises ClipError for what is wrong with the recording, InputError for the rest.
        """
        chosen = self._chosen(models)
        require(
            self._inside <= WAITING, f"{self._inside} recordings wait to be recognized already; try again in a moment"
        )
        self._inside += 1
        try:
            with tempfile.NamedTemporaryFile(dir=self._folder) as file:
                size = 0
                async for chunk in body:
                    size += len(chunk)
                    if size > self._limits.max_megabytes * MIB:
                        raise ClipError(f"the page takes {self._limits.max_megabytes:g} MiB; cut it")
                    file.write(chunk)
                file.flush()
                async with self._turn:
                    return await run_in_threadpool(self._compute, Path(file.name), chosen)
        finally:
            self._inside -= 1

    def _chosen(self, models: str) -> list[tuple[str, Bundle]]:
        numbers = models.split(",")
        known = {str(number): item for number, item in enumerate(self._bundles)}
        require(
            1 <= len(numbers) <= COMPARED and all(number in known for number in numbers),
            "there is no such model here; reload the page",
        )
        chosen = [known[number] for number in numbers]
        rates = {bundle.manifest.features.sample_rate for _, bundle in chosen}
        require(len(rates) == 1, "these models take different sample rates; compare others")
        return chosen

    def _compute(self, path: Path, chosen: list[tuple[str, Bundle]]) -> list[str]:
        samples = decode(path, chosen[0][1].manifest.features.sample_rate, self._limits)
        return [self._view(name, bundle, samples) for name, bundle in chosen]

    def _view(self, name: str, bundle: Bundle, samples) -> str:
        analysis = analyze(bundle, samples, self._runtime, self._vad)
        rows = (words.segment_row(e.segment, analysis.decision, analysis.settings) for e in analysis.segments)
        return view(analysis, name) + words.segment_table("".join(rows))
