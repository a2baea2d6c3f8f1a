"""What a patch depends on: derivatives in closed form, and what is drawn of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from repeating import compact, repeating

from jaxsr.inference.explain import Box, Explanation, _heat, draw, explain
from jaxsr.networks.generators import EncDecNet
from jaxsr.networks.layers import Conv
from jaxsr.networks.weights import Weights, init_weights

NOISE = np.random.default_rng(0).random((12, 14, 3)).astype(np.float32)


def test_a_repeated_pixel_depends_on_itself_alone():
    """2 x 2 outputs copy each pixel: the Frobenius norm of its derivative is the root of 4 x 3."""
    heat, patch, field = explain(repeating(), NOISE, y=4, x=6, size=4)
    wanted = np.zeros((12, 14))
    wanted[2:4, 3:5] = np.sqrt(4 * 3)
    np.testing.assert_allclose(heat, wanted, rtol=0.4)  # sixteen draws
    assert patch == field == Box(2, 3, 4, 5)
    assert explain(repeating(), NOISE, y=5, x=7, size=1).patch == Box(2, 3, 3, 4)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.uint16])
def test_takes_what_upscale_takes(dtype):
    heat = explain(repeating(), np.ones((4, 4, 3), dtype), y=2, x=4).heat
    assert heat[1, 2] > 0 and heat.sum() == heat[1, 2]


def test_units_change_no_heat():
    image = np.full((4, 4, 3), 7.0, np.float32)
    a, b = (explain(w, image, y=0, x=0).heat for w in (repeating(), in_units()))
    np.testing.assert_array_equal(a, b)


def in_units():
    return repeating().replace(ranges=((0.0, 10.0),))


@pytest.mark.parametrize(
    ("y", "x"), [pytest.param(0, 0, marks=pytest.mark.slow), (60, 41), (118, 133)]
)
def test_what_cannot_be_seen_is_rightly_left_out(y, x):
    """The same derivative from the whole picture, by which nothing is left out."""
    weights = init_weights(jax.random.key(0), EncDecNet(scale=2, num_features=2))
    image = np.random.default_rng(0).random((63, 71, 3), np.float32)
    heat = explain(weights, image, y=y, x=x, size=3).heat
    whole = _heat(weights, jnp.asarray(image), y, x, 3)
    np.testing.assert_allclose(heat, whole, atol=1e-6)
    assert (heat == 0).mean() > 0.5


def test_signs_do_not_cancel():
    """A difference of neighbours: as many rises as falls, which a sum would not feel."""

    class Difference(Conv):
        features: int = 1
        channels: int = 1
        scale: int = 1
        multiple: int = 1

    kernel = np.zeros((3, 3, 1, 1), np.float32)
    kernel[1, 1:] = [[[1.0]], [[-1.0]]]
    weights = Weights({"kernel": kernel, "bias": np.zeros(1, np.float32)}, {}, Difference())
    heat, _, field = explain(weights, NOISE[..., :1], y=5, x=5, size=3)
    assert field == Box(5, 5, 8, 9)
    # Inside, +1 and -1 meet in one pixel: root 2. The estimate has the noise of sixteen draws.
    np.testing.assert_allclose(heat[5:8, 6:8], np.sqrt(2), rtol=0.75)
    np.testing.assert_allclose(heat[5:8, 5], 1, rtol=1e-6)
    assert heat[5:8, 6:8].min() > 0.3


def test_the_field_is_that_of_the_convolutions():
    """Three convolutions of 3 x 3 before the shuffle: three pixels around those of the patch."""
    weights = init_weights(jax.random.key(0), compact())
    image = np.random.default_rng(1).random((30, 30, 3)).astype(np.float32)
    _, patch, field = explain(weights, image, y=28, x=30, size=4)
    assert patch == Box(14, 15, 16, 17)
    assert field == Box(11, 12, 19, 20)


@pytest.mark.parametrize("y, x, size", [(-1, 0, 2), (0, 27, 2), (23, 0, 2), (0, 0, 25), (0, 0, 0)])
def test_a_patch_outside_is_refused(y, x, size):
    with pytest.raises(ValueError, match="wanted one inside the output of 24 x 28 pixels"):
        explain(repeating(), NOISE, y=y, x=x, size=size)


def test_a_constant_is_explained_by_nothing():
    with pytest.raises(ValueError, match="depends on no input pixel"):
        explain(_zeroed(repeating()), NOISE, y=0, x=0)


def _zeroed(weights):
    class Constant(type(weights.arch)):
        def __call__(self, x, *, train=False):
            return super().__call__(0 * x)

    fields = {"scale": 2, "num_features": 3, "num_convs": 1}
    return Weights(weights.params, {}, Constant(**fields))


def test_the_drawing_shows_input_heat_and_frames():
    image = np.full((20, 30, 3), 0.5, np.float32)
    heat = np.zeros((20, 30), np.float32)
    heat[5:9, 10:16] = 1e-2
    heat[6, 12] = 1.0
    picture = draw(image, Explanation(heat, Box(6, 12, 7, 13), Box(5, 10, 9, 16)))
    factor = 512 // 30
    assert picture.shape == (20 * factor, 60 * factor, 3) and picture.dtype == np.uint8
    middle = factor // 2

    def at(y, x):
        return tuple(picture[y * factor + middle, x * factor + middle].tolist())

    assert at(1, 1) == (128, 128, 128) and at(1, 31) == (0, 0, 0)
    assert at(6, 42) == (255, 255, 255)  # the hottest
    assert at(7, 44) == (255, 127, 0)  # two decades of four below
    assert tuple(picture[6 * factor, 42 * factor]) == (255, 0, 0)  # the frame of the patch
    assert tuple(picture[5 * factor, 10 * factor]) == (0, 191, 255)  # the frame of the field
