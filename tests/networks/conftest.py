"""Variables without initialisers, which compile for longer than a test runs; a look at dtypes."""

from collections.abc import Callable

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict


@pytest.fixture
def draw() -> Callable[..., dict]:
    """Return `draw(arch, x)`: He-normal kernels and plausible other leaves, drawn by numpy."""

    def draw(arch, x) -> dict:
        shapes = flatten_dict(jax.eval_shape(arch.init, jax.random.key(0), x))
        rng = np.random.default_rng(0)
        leaves = {path: _leaf(path[-1], leaf.shape, rng) for path, leaf in shapes.items()}
        return unflatten_dict({path: leaf.astype(np.float32) for path, leaf in leaves.items()})

    return draw


@pytest.fixture
def conv_dtypes() -> Callable[..., list]:
    """Return `conv_dtypes(f, *args)`: the dtype that each convolution of `f` computes in."""

    def conv_dtypes(f, *args) -> list:
        equations = jax.make_jaxpr(f)(*args).eqns
        convs = [e for e in equations if e.primitive.name == "conv_general_dilated"]
        assert all(conv.invars[0].aval.dtype == conv.invars[1].aval.dtype for conv in convs)
        return [conv.invars[0].aval.dtype for conv in convs]

    return conv_dtypes


def _leaf(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if name in ("mean", "var", "scale", "slope"):
        return np.full(shape, {"mean": 0.0, "slope": 0.25}.get(name, 1.0))
    noise = rng.normal(size=shape)
    if name == "kernel":
        return noise * (2 / np.prod(shape[:-1])) ** 0.5
    return 0.1 * noise if name == "bias" else noise / np.linalg.norm(noise)
