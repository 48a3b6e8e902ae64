"""A linear probe: how well a property of the clips can be recognized from their embeddings by a linear classifier.

What a linear classifier finds, the classifier of the model can use as well. A speaker who is easy to recognize from an
embedding means that the embedding holds the voice beside the emotion. scikit-learn.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from crnn.metrics import uar

FOLDS = 5
ITERATIONS = 1000
"""Of the solver, at most"""


def probe(vectors: np.ndarray, names: Sequence[str], groups: Sequence[str] | None = None) -> dict | None:
    """Cross-validated answers of a logistic regression on `vectors (n, width)`, each dimension scaled to variance 1, to
    the question which of `names (n,)` a clip has.

    `groups (n,)`: clips of one group are never on both sides (speakers: corpora are not recognized by voices).
    Returns `uar`, the mean recall over the names; `chance`, a guess; `n_names`, `n_clips`, `left_out`, clips of names
    with fewer than two clips (or groups). None where fewer than two names are left.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    units = list(range(len(names))) if groups is None else list(groups)
    found = Counter(name for name, _ in set(zip(names, units, strict=True)))
    known = np.array([found[name] >= 2 for name in names], dtype=bool)
    left = sorted(name for name, count in found.items() if count >= 2)
    if len(left) < 2:
        return None
    truth = np.array([left.index(name) for name, known_one in zip(names, known, strict=True) if known_one])
    folds = min(FOLDS, *(found[name] for name in left))
    splitter = StratifiedKFold if groups is None else StratifiedGroupKFold
    decided = cross_val_predict(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS)),
        np.asarray(vectors, dtype=np.float64)[known],
        truth,
        groups=None if groups is None else np.array(units)[known],
        cv=splitter(folds, shuffle=True, random_state=0),
    )
    confusion = np.zeros((len(left), len(left)))
    np.add.at(confusion, (truth, decided), 1)
    return {
        "uar": uar(confusion),
        "chance": 1 / len(left),
        "n_names": len(left),
        "n_clips": int(known.sum()),
        "left_out": int((~known).sum()),
    }
