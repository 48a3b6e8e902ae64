"""A map of embeddings: every clip as a point of a plane, near those with similar embeddings, coloured by what is known.

The plane is found by t-SNE (van der Maaten & Hinton 2008), or UMAP (McInnes et al. 2018); both are seeded. Distances
between far groups, and the axes, mean nothing.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure  # without pyplot: no display, nothing global

from crnn.files.atomic import replacing
from edge.embed.embeddings import Embeddings

FEWEST = 5
"""Clips that a map needs"""
PERPLEXITY = 30.0
"""Of t-SNE: about so many neighbours count for a point"""
NAMED = 20
"""With more names than this there is no legend"""


def place(vectors: np.ndarray, seed: int, umap: bool = False) -> np.ndarray:
    """`vectors (n, width)` -> places `(n, 2)` on the plane; each dimension is scaled to variance 1 first."""
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().fit_transform(np.asarray(vectors, dtype=np.float64))
    if umap:
        from umap import UMAP

        return UMAP(random_state=seed, n_neighbors=min(15, len(scaled) - 1)).fit_transform(scaled)
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(scaled) - 1) / 3)
    return TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(scaled)


def draw(path: Path, made: Embeddings, seed: int, umap: bool = False) -> None:
    """Draw the map into an SVG or PNG file, once for each property; written whole or not at all."""
    places = place(made.vectors, seed, umap)
    columns = made.columns()
    speakers = [u.speaker if len(set(columns["corpus"])) > 1 else u.speaker_id for u in made.clips]
    emotions = sorted({*columns["emotion"], *columns["predicted"]})  # of one colour in both
    panels = [("emotion", columns["emotion"], emotions), ("predicted", columns["predicted"], emotions)]
    panels.append(("speaker", speakers, sorted(set(speakers))))
    corpora = sorted(set(columns["corpus"]))
    panels += [("corpus", columns["corpus"], corpora)] if len(corpora) > 1 else []
    with rc_context({"svg.hashsalt": "map"}):  # the same figures give the same file
        figure = Figure(figsize=(5.5 * (len(panels) + (made.arousal is not None)), 5), layout="constrained")
        axes = figure.subplots(1, len(panels) + (made.arousal is not None))
        for each, panel in zip(axes, panels, strict=False):
            _by_name(each, places, *panel)
        if made.arousal is not None:
            points = axes[-1].scatter(places[:, 0], places[:, 1], c=made.arousal, cmap="viridis", s=9, vmin=0, vmax=1)
            axes[-1].set(title="estimated arousal", xticks=[], yticks=[])
            figure.colorbar(points, ax=axes[-1])
        figure.suptitle(f"{'UMAP' if umap else 't-SNE'} of {len(places)} clips, seed {seed}")
        with replacing(path) as file:
            metadata = {"Date": None} if path.suffix == ".svg" else None
            figure.savefig(file, format=path.suffix[1:], metadata=metadata, dpi=110)


def _by_name(axes: Axes, places: np.ndarray, title: str, names: Sequence[str], known: Sequence[str]) -> None:
    """One panel; a name has the colour of its place among `known`."""
    found = sorted(set(names))
    few = "tab10" if len(known) <= 10 else "tab20"
    for name in found:
        chosen, number = np.array([each == name for each in names]), known.index(name)
        colour = colormaps[few](number) if len(known) <= NAMED else colormaps["hsv"](number / len(known))
        axes.scatter(places[chosen, 0], places[chosen, 1], color=colour, s=9, label=name)
    axes.set(title=f"{title} ({len(found)})", xticks=[], yticks=[])
    if len(found) <= NAMED:
        axes.legend(fontsize=7, markerscale=2)
