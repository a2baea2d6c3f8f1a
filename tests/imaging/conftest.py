"""A picture with the statistics of photographs, for tests of what gains on photographs."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def leaves():
    """A function of size, channels and seed that draws the dead leaves model, [H, W, C] float32.

    Disks of random grey hide one another, radii r of density r^-3 (Lee, Mumford and Huang, 2001).
    """
    return _leaves


def _leaves(size, *, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    picture = np.zeros((size, size, channels), np.float32)
    for _ in range(size * size // 8):
        radius = 5 / np.sqrt(rng.uniform(25 / size**2, 1))
        row, column = rng.uniform(-radius, size + radius, 2)
        picture[(y - row) ** 2 + (x - column) ** 2 < radius**2] = rng.random(channels)
    return picture
