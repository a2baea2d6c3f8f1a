"""Resizing against MATLAB's algorithm, jax.image and closed forms."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsr.imaging.resize import METHODS, matrix, resize, taps

GOLDEN = np.load(Path(__file__).parents[1] / "parity" / "matlab_resize.npz")
CASES = sorted(name for name in GOLDEN.files if not name.endswith("/image"))


@pytest.mark.parametrize("case", CASES)
def test_equals_matlab(case):
    size, method = case.split("/")
    image = GOLDEN[f"{size}/image"]
    result = resize(image, GOLDEN[case].shape[:2], method=method)
    assert isinstance(result, np.ndarray) and result.dtype == np.float32
    np.testing.assert_allclose(result, GOLDEN[case], atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(5, 31), (40, 7)])
def test_jax_equals_numpy(method, size):
    image = np.random.default_rng(0).random((2, 13, 11, 3)).astype(np.float32)
    result = resize(jnp.asarray(image), size, method=method)
    assert isinstance(result, jax.Array) and result.dtype == jnp.float32
    expected = resize(image.astype(np.float64), size, method=method)
    assert expected.dtype == np.float64
    np.testing.assert_allclose(result, expected, atol=1e-6)


@pytest.mark.parametrize("method, theirs", [("bicubic", "cubic"), ("lanczos", "lanczos3")])
@pytest.mark.parametrize("size, margin", [((16, 20), 4), ((96, 120), 12)])
def test_interior_equals_jax_image(method, theirs, size, margin):
    # At the border they differ on purpose: jax.image drops what lies outside, MATLAB mirrors.
    image = jnp.asarray(np.random.default_rng(1).random((48, 60, 1)), jnp.float32)
    ours = resize(image, size, method=method)
    expected = jax.image.resize(image, (*size, 1), theirs, antialias=True, precision="highest")
    inner = np.s_[margin:-margin, margin:-margin]
    np.testing.assert_allclose(ours[inner], expected[inner], atol=2e-6)
    assert np.abs(ours - expected).max() > 1e-3


def test_nearest_repeats_pixels():
    image = np.random.default_rng(2).random((5, 4, 3)).astype(np.float32)
    repeated = image.repeat(3, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(resize(image, (15, 8), method="nearest"), repeated)
    np.testing.assert_array_equal(resize(jnp.asarray(image), (15, 8), method="nearest"), repeated)


def test_nearest_never_mixes_pixels():
    image = np.arange(12.0).reshape(12, 1, 1)
    for height in (1, 5, 6, 7, 12, 31):
        result = resize(image, (height, 1), method="nearest")
        assert set(result.ravel()) <= set(image.ravel())


def test_area_is_the_mean_of_blocks():
    image = np.random.default_rng(3).random((12, 6, 2))
    blocks = image.reshape(4, 3, 3, 2, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(resize(image, (4, 3), method="area"), blocks, atol=1e-15)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_in, n_out", [(1, 1), (1, 9), (2, 1), (3, 17), (17, 2), (64, 63)])
def test_taps_reproduce_a_constant(method, n_in, n_out):
    index, weight = taps(n_in, n_out, method)
    assert index.shape == weight.shape and len(index) == n_out
    assert index.min() >= 0 and index.max() < n_in
    np.testing.assert_allclose(weight.sum(axis=1), 1, atol=1e-14)
    np.testing.assert_allclose(matrix(n_in, n_out, method).sum(axis=1), 1, atol=1e-14)


def test_the_border_is_mirrored():
    image = np.random.default_rng(4).random((8, 1, 1))
    mirrored = np.concatenate([image[::-1], image, image[::-1]])
    for height in (4, 24):
        whole = resize(mirrored, (3 * height, 1))
        np.testing.assert_allclose(
            resize(image, (height, 1)), whole[height : 2 * height], atol=1e-14
        )


def test_cached_taps_cannot_be_spoilt():
    for array in taps(7, 5, "bicubic"):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_jit_and_gradient():
    image = jnp.asarray(np.random.default_rng(5).random((6, 6, 1)), jnp.float32)
    gradient = jax.jit(jax.grad(lambda x: resize(x, (3, 3))[1, 2, 0]))(image)
    weights = matrix(6, 3, "bicubic")
    np.testing.assert_allclose(gradient[..., 0], np.outer(weights[1], weights[2]), atol=1e-6)


def test_refusals_say_what_to_do():
    image = np.zeros((4, 4, 1), np.float32)
    with pytest.raises(ValueError, match="uint8; apply color.to_float"):
        resize(image.astype(np.uint8), (2, 2))
    with pytest.raises(ValueError, match="bfloat16.*astype"):
        resize(jnp.zeros((4, 4, 1), jnp.bfloat16), (2, 2))
    with pytest.raises(ValueError, match="'cubic'; choose from nearest"):
        resize(image, (2, 2), method="cubic")
    with pytest.raises(ValueError, match="at least 1"):
        resize(image, (2, 0))
