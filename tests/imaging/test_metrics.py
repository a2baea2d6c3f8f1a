"""Metrics against BasicSR's formulas and other libraries in float64, and closed forms."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parity.metrics import pairs

from jaxsr.imaging import metrics
from jaxsr.imaging.color import to_float
from jaxsr.imaging.resize import resize

GOLDEN = np.load(Path(__file__).parents[1] / "parity" / "basicsr_metrics.npz")
OTHERS = np.load(Path(__file__).parents[1] / "parity" / "metrics.npz")
PSNR = jax.jit(metrics.psnr, static_argnames=("crop", "luma"))
SSIM = jax.jit(metrics.ssim, static_argnames=("crop", "luma"))
MS_SSIM = jax.jit(metrics.ms_ssim, static_argnames=("crop", "luma"))
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


@pytest.mark.parametrize("channels", ["rgb", "y"])
def test_ssim_equals_scikit_image(channels):
    result = SSIM(*pairs(), crop=0, luma=channels == "y")
    np.testing.assert_allclose(result, OTHERS[f"ssim/{channels}"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", ["rgb", "y"])
def test_ms_ssim_equals_pytorch_msssim(channels):
    sr, hr = (np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0))) for x in pairs())
    result = MS_SSIM(sr, hr, crop=2, luma=channels == "y")
    assert result.shape == (5,) and result.dtype == jnp.float32
    np.testing.assert_allclose(result, OTHERS[f"ms_ssim/{channels}"], atol=1e-5, rtol=0)
    assert np.all(MS_SSIM(hr, hr, crop=2, luma=channels == "y") == 1)


def test_ms_ssim_needs_its_five_scales():
    image = np.zeros((1, 162, 170, 1), np.float32)
    with pytest.raises(ValueError, match="162 x 170 with 1 pixels .* less than 161 x 161; use lar"):
        metrics.ms_ssim(image, image, crop=1, luma=False)


def test_a_shift_of_colours_is_seen_in_its_channel():
    rng = np.random.default_rng(0)
    hr = rng.random((2, 9, 8, 3)).astype(np.float32)
    shifts = np.array([[3, 0, -7], [0.5, 0, 0]], np.float32)
    sr = hr + shifts.reshape(2, 1, 1, 3) / 255
    sr[:, 0] = 1
    result = jax.jit(metrics.color_shift, static_argnames="crop")(sr, hr, crop=1)
    np.testing.assert_allclose(result, shifts, atol=1e-4)


def test_consistency_is_the_error_of_the_reduced_picture():
    rng = np.random.default_rng(0)
    sr = rng.random((2, 24, 16, 3)).astype(np.float32)
    lr = resize(sr.astype(np.float64), (6, 4))
    errors = np.array([0, 3]).reshape(2, 1, 1, 1) * rng.choice([-1, 1], lr.shape)
    result = jax.jit(metrics.consistency)(sr, (lr + errors / 255).astype(np.float32))
    np.testing.assert_allclose(result, [0, 3], atol=1e-4)


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
    with pytest.raises(ValueError, match="uint8; apply color.to_float"):
        metrics.consistency(np.zeros((1, 8, 8, 3), np.uint8), np.zeros((1, 4, 4, 3), np.float32))
    with pytest.raises(ValueError, match="cannot compare"):
        metrics.consistency(np.zeros((1, 8, 8, 3), np.float32), np.zeros((2, 4, 4, 3), np.float32))
    with pytest.raises(ValueError, match="cannot compare"):
        metrics.psnr(jnp.zeros((1, 8, 8, 3)), jnp.zeros((1, 8, 9, 3)), crop=0, luma=False)
