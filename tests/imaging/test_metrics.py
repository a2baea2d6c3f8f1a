"""PSNR and SSIM against BasicSR's formulas in float64 and closed forms."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsr.imaging import metrics
from jaxsr.imaging.color import to_float

GOLDEN = np.load(Path(__file__).parents[1] / "parity" / "basicsr_metrics.npz")
PSNR = jax.jit(metrics.psnr, static_argnames=("crop", "luma"))
SSIM = jax.jit(metrics.ssim, static_argnames=("crop", "luma"))
FIGURES = {"psnr": (PSNR, 1e-4), "ssim": (SSIM, 1e-5)}


@pytest.mark.parametrize("crop", [0, 4])
@pytest.mark.parametrize("channels", ["rgb", "y"])
@pytest.mark.parametrize("name", FIGURES)
def test_equals_basicsr(name, channels, crop):
    figure, tolerance = FIGURES[name]
    sr, hr = to_float(GOLDEN["sr"]), to_float(GOLDEN["hr"])
    result = figure(sr, hr, crop=crop, luma=channels == "y")
    assert result.shape == (len(sr),) and result.dtype == jnp.float32
    np.testing.assert_allclose(result, GOLDEN[f"{name}/{channels}/{crop}"], atol=tolerance, rtol=0)


def test_equal_pictures():
    image = jnp.asarray(to_float(GOLDEN["hr"]))
    for luma in (False, True):
        assert np.all(PSNR(image, image, crop=4, luma=luma) == np.inf)
        assert np.all(SSIM(image, image, crop=4, luma=luma) == 1)


def test_psnr_of_a_known_error():
    hr = np.full((2, 6, 6, 1), 0.5, np.float32)
    sr = hr + np.array([0.1, 0.01], np.float32).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(PSNR(sr, hr, crop=0, luma=False), [20, 40], atol=1e-4)


def test_ssim_of_flat_pictures():
    x, y = 0.7, 0.6
    flat = (np.full((1, 11, 11, 3), value, np.float32) for value in (x, y))
    expected = (2 * x * y + 1e-4) / (x * x + y * y + 1e-4)
    np.testing.assert_allclose(SSIM(*flat, crop=0, luma=False), expected, atol=1e-6)


def test_grey_is_compared_as_it_is():
    rng = np.random.default_rng(0)
    sr, hr = rng.random((2, 1, 12, 12, 1)).astype(np.float32)
    for figure, _ in FIGURES.values():
        np.testing.assert_array_equal(
            figure(sr, hr, crop=0, luma=True), figure(sr, hr, crop=0, luma=False)
        )


def test_ssim_gradient_agrees_with_differences():
    rng = np.random.default_rng(1)
    sr, hr, way = rng.random((3, 1, 14, 13, 3))
    way = way - 0.5

    def loss(sr):
        return SSIM(sr, jnp.asarray(hr, jnp.float32), crop=0, luma=False).sum()

    slope = np.sum(jax.jit(jax.grad(loss))(jnp.asarray(sr, jnp.float32)) * way)
    step = 0.02
    near, far = (float(loss(jnp.asarray(sr + s * way, jnp.float32))) for s in (-step, step))
    assert slope == pytest.approx((far - near) / (2 * step), rel=1e-2)


def test_ssim_gradient_is_finite_on_flat_equal_pictures():
    flat = jnp.broadcast_to(jnp.array([0, 0.5, 1]).reshape(3, 1, 1, 1), (3, 14, 13, 3))
    gradient = jax.jit(jax.grad(lambda x: SSIM(x, flat, crop=0, luma=False).sum()))(flat)
    assert np.all(np.isfinite(gradient)) and np.abs(gradient).max() < 1e-3


def test_refusals_say_what_to_do():
    def compare(*shape, figure=metrics.psnr, dtype=np.float32, crop=0, luma=False):
        figure(np.zeros(shape, dtype), np.zeros(shape, dtype), crop=crop, luma=luma)

    with pytest.raises(ValueError, match="three channels"):
        compare(1, 16, 16, 2, luma=True)
    with pytest.raises(ValueError, match=r"less than 11 x 11"):
        compare(1, 16, 18, 3, figure=metrics.ssim, crop=3)
    with pytest.raises(ValueError, match=r"less than 1 x 1"):
        compare(1, 8, 9, 3, crop=4)
    with pytest.raises(ValueError, match="smaller crop"):
        compare(1, 8, 9, 3, crop=-1)
    with pytest.raises(ValueError, match="uint8; apply color.to_float"):
        compare(1, 8, 8, 3, dtype=np.uint8)
    with pytest.raises(ValueError, match=r"\[N, H, W, C\]"):
        compare(8, 8, 3)
    with pytest.raises(ValueError, match="cannot compare"):
        metrics.psnr(jnp.zeros((1, 8, 8, 3)), jnp.zeros((1, 8, 9, 3)), crop=0, luma=False)
