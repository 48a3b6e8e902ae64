"""Embeddings as a file that other programs read: arrays in .npz, or a table in .parquet (pyarrow)."""

from pathlib import Path
from typing import Any

import numpy as np

from crnn.files.atomic import replacing
from edge.embed.embeddings import Embeddings


def write(path: Path, made: Embeddings) -> None:
    """Write the file whole or not at all, as .npz or as .parquet, by its name's end."""
    with replacing(path) as file:
        if path.suffix == ".npz":
            np.savez(file, **_arrays(made))  # type: ignore[arg-type] # taken for its option
        else:
            import pyarrow.parquet

            pyarrow.parquet.write_table(_table(made), file)


def _arrays(made: Embeddings) -> dict[str, np.ndarray]:
    """No array holds objects, so nothing needs to be unpickled."""
    arrays = {"embeddings": made.vectors} | {name: np.array(values) for name, values in made.columns().items()}
    if made.arousal is not None:
        arrays["arousal"] = made.arousal
    if made.steps:
        arrays |= {"steps": made.steps.vectors, "step_clip": made.steps.clip, "step_seconds": made.steps.seconds}
    return arrays


def _table(made: Embeddings) -> Any:
    """A row per clip; its vectors are lists in it."""
    import pyarrow as pa

    columns: dict = {name: pa.array(values, pa.string()) for name, values in made.columns().items()}
    if made.arousal is not None:
        columns["arousal"] = pa.array(made.arousal)
    columns["embedding"] = _vectors(made.vectors)
    if made.steps:
        ends = np.searchsorted(made.steps.clip, np.arange(len(made.clips) + 1)).astype(np.int32)
        columns["steps"] = pa.ListArray.from_arrays(ends, _vectors(made.steps.vectors))
        columns["step_seconds"] = pa.ListArray.from_arrays(ends, pa.array(made.steps.seconds))
    return pa.table(columns)


def _vectors(values: np.ndarray) -> Any:
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
