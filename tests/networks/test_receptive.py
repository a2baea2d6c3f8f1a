"""The radius against what the network's derivative says, and against known numbers."""

import jax
import numpy as np
import pytest
from toys import VARIANTS, toy

from jaxsr.networks.generators import GENERATORS
from jaxsr.networks.receptive import receptive_radius


@pytest.mark.parametrize(
    ("arch", "radius"),
    [
        (GENERATORS["rrdbnet"](4), 349),
        (GENERATORS["rrdbnet"](4, num_blocks=6), 94),
        (GENERATORS["compact"](4, num_convs=32), 34),
        (GENERATORS["compact"](4), 18),
        (GENERATORS["msrresnet"](4), 35),
        # the convolutions of 9, 33 of 3, and the last, which takes 4 pixels of the output
        (GENERATORS["srresnet"](4), 4 + 33 + 3),
    ],
)
def test_known_radii(arch, radius):
    assert receptive_radius(arch) == radius


def reach(arch, variables, radius: int) -> list[int]:
    """How far, beside `multiple` x `multiple` LR pixels on its grid, their derivative extends.

    To all four sides. All values of the output pixels count, and the maxima and ReLUs of several
    pictures, for each passes but a part.
    """
    multiple, scale = arch.multiple, arch.scale
    first = radius + multiple
    side = 2 * first + multiple

    @jax.jit
    def pull(key):
        of_picture, of_output = jax.random.split(key)
        x = jax.random.uniform(of_picture, (1, side, side, arch.channels))
        block = slice(first * scale, (first + multiple) * scale)
        y, pullback = jax.vjp(lambda x: arch.apply(variables, x)[:, block, block], x)
        return abs(pullback(jax.random.normal(of_output, y.shape))[0]).sum((0, 3))

    heat = sum(np.asarray(pull(key)) for key in jax.random.split(jax.random.key(3), 3))
    lines = [np.flatnonzero(heat.any(axis)) for axis in (0, 1)]
    return [n for line in lines for n in (first - line[0], line[-1] - first - multiple + 1)]


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("msrresnet", 4),
        ("srresnet", 3),
        ("edsr", 2),
        ("rrdbnet", 1),
        ("rrdbnet", 2),
        ("rrdbnet", 4),
        ("compact", 2),
        ("espcn", 2),
        ("concat", 3),
        ("encdec", 1),
        ("encdec", 2),
        ("restore", 1),
    ],
)
def test_the_radius_is_that_of_the_derivative(name, scale, draw):
    assert_that_of_the_derivative(toy(name, scale), draw)


@pytest.mark.parametrize("fields", VARIANTS)
def test_the_radius_of_variants_of_rrdbnet(fields, draw):
    assert_that_of_the_derivative(toy("rrdbnet", **fields), draw)


def assert_that_of_the_derivative(arch, draw):
    """On a grid, the next multiple."""
    radius, multiple = receptive_radius(arch), arch.multiple
    variables = draw(arch, np.zeros((1, 8, 8, 3), np.float32))
    sides = reach(arch, variables, radius)
    assert [-(-n // multiple) * multiple for n in sides] == [radius] * 4


def test_a_generator_without_pictures_has_none():
    with pytest.raises(ValueError, match="DCGANGenerator has no receptive radius.*sample"):
        receptive_radius(toy("dcgan"))
