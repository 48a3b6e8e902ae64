"""Give libraries that draw from global generators a generator of their own, for the length of one call."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def seeded(rng: np.random.Generator) -> Iterator[None]:
    """Inside, `random` and `numpy.random` draw from a stream that `rng` decides; afterwards they are as before.

    >>> def draw():
    ...     with seeded(np.random.default_rng(3)):
    ...         return random.random(), np.random.rand()
    >>> draw() == draw()
    True
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    seed = int(rng.integers(2**32))
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
