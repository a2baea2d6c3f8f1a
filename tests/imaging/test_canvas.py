"""Pictures on canvases against SciPy, NumPy, PyTorch's golden arrays and Pillow's files."""

import io
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parity import canvas as golden
from PIL import Image, features
from scipy import ndimage

from jaxsr.imaging import canvas as c

GOLDEN = np.load(Path(golden.__file__).with_suffix(".npz"))


def random(*shape):
    return np.random.default_rng(1).random(shape).astype(np.float32)


def on_canvas(images, shape):
    """Stacks canvases of `shape` with the pictures, NaN beyond."""
    pixels = np.full((len(images), *shape, images[0].shape[2]), np.nan, np.float32)
    for canvas, image in zip(pixels, images, strict=True):
        canvas[: image.shape[0], : image.shape[1]] = image
    heights, widths = (np.array([image.shape[i] for image in images], np.int32) for i in (0, 1))
    return c.Canvas(*(jnp.asarray(x) for x in (pixels, heights, widths)))


def cut(canvases, n):
    return np.asarray(canvases.pixels[n, : canvases.height[n], : canvases.width[n]], np.float64)


def test_place():
    image = random(5, 4, 3)
    canvas = jax.jit(c.place, static_argnums=1)(jnp.asarray(image), (6, 9))
    assert canvas.pixels.shape == (6, 9, 3)
    assert (canvas.height.item(), canvas.width.item()) == (5, 4)
    assert canvas.height.dtype == canvas.width.dtype == jnp.int32
    np.testing.assert_array_equal(canvas.pixels[:5, :4], image)
    expected = np.pad(np.ones((5, 4, 1), bool), [(0, 1), (0, 5), (0, 0)])
    np.testing.assert_array_equal(c.inside(canvas), expected)


def test_too_large_a_picture_is_refused():
    with pytest.raises(ValueError, match="picture of 5 x 9 for a canvas of 6 x 8; make the canv"):
        c.place(jnp.zeros((5, 9, 3)), (6, 8))


# The whole canvas; part of it; less than the padding, which is reflected more than once.
PICTURES = [random(12, 16, 3), random(7, 16, 3), random(11, 3, 3), random(1, 2, 3)]


def test_beyond_the_picture_is_its_mirror_image():
    results = jax.jit(jax.vmap(lambda x: c.mirrored(x, 5)))(on_canvas(PICTURES, (12, 16)))
    for result, image in zip(results, PICTURES, strict=True):
        margins = [(5, 17 - image.shape[0]), (5, 21 - image.shape[1]), (0, 0)]
        np.testing.assert_array_equal(result, np.pad(image, margins, mode="symmetric"))


def test_beyond_the_picture_its_edge_is_repeated():
    results = jax.jit(jax.vmap(c.clamped))(on_canvas(PICTURES, (12, 16)))
    for result, image in zip(results, PICTURES, strict=True):
        margins = [(0, 12 - image.shape[0]), (0, 16 - image.shape[1]), (0, 0)]
        np.testing.assert_array_equal(result, np.pad(image, margins, mode="edge"))


@pytest.fixture(scope="module")
def resized():
    """The golden picture by each method to each size, as one program does it: name to pixels."""
    every = [(method, size) for method in golden.METHODS for size in golden.SIZES]
    canvases = on_canvas([golden.picture()] * len(every), (10, 14))
    methods = jnp.array([golden.METHODS.index(method) for method, _ in every])
    heights, widths = jnp.array([size for _, size in every]).T
    run = jax.jit(jax.vmap(lambda x, h, w, m: c.resize(x, h, w, method=m, shape=(20, 22))))
    results = run(canvases, heights, widths, methods)
    assert run._cache_size() == 1
    return {every[n]: cut(results, n) for n in range(len(every))}


@pytest.mark.parametrize("size", golden.SIZES)
@pytest.mark.parametrize("method", golden.METHODS)
def test_resize_is_pytorchs(resized, method, size):
    expected = GOLDEN[f"{method}/{size[0]}x{size[1]}"]
    border = [0, 0]
    if method == "bicubic":  # PyTorch repeats the edge, which the two pixels next to it notice
        border = [int(np.ceil(1.5 * n / m)) for n, m in zip(size, (9, 11), strict=True)]
    interior = tuple(slice(b, n - b) for b, n in zip(border, size, strict=True))
    np.testing.assert_allclose(resized[method, size][interior], expected[interior], atol=1e-5)


def bicubic(image, size):
    """Keys' interpolation with a = -3/4 of a picture followed by its mirror images, in float64."""
    for n_out in size:
        n_in = len(image)
        position = (np.arange(n_out) + 0.5) * n_in / n_out - 0.5
        first = np.floor(position).astype(int) - 1
        around = np.pad(image.astype(np.float64), [(2, 2), (0, 0), (0, 0)], mode="symmetric")
        sums = 0
        for k in range(4):
            x = np.abs(position - (first + k))[:, None, None]
            near = 1.25 * x**3 - 2.25 * x**2 + 1
            far = -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)
            sums = sums + np.where(x <= 1, near, far) * around[first + k + 2]
        image = sums.swapaxes(0, 1)
    return image


@pytest.mark.parametrize("size", golden.SIZES)
def test_the_border_of_bicubic_is_mirrored(resized, size):
    expected = bicubic(golden.picture(), size)
    np.testing.assert_allclose(resized["bicubic", size], expected, atol=1e-5)


@pytest.mark.parametrize("method", golden.METHODS)
def test_a_method_by_name(resized, method):
    canvas = jax.tree.map(lambda x: x[0], on_canvas([golden.picture()], (9, 12)))
    run = jax.jit(lambda x: c.resize(x, 8, 12, method=method, shape=(8, 12)))
    result = run(canvas)
    assert (result.height.item(), result.width.item()) == (8, 12)
    np.testing.assert_allclose(result.pixels, resized[method, (8, 12)], atol=1e-6)


def test_an_unknown_method_is_refused():
    canvas = c.place(jnp.zeros((4, 4, 3)), (4, 4))
    with pytest.raises(ValueError, match="got method 'nearest', wanted one of area, bilinear, bic"):
        c.resize(canvas, 2, 2, method="nearest", shape=(4, 4))


def test_blur_is_scipys_correlation():
    kernels = random(len(PICTURES), 9, 9)
    kernels /= kernels.sum(axis=(1, 2), keepdims=True)
    results = jax.jit(jax.vmap(c.blur))(on_canvas(PICTURES, (12, 16)), jnp.asarray(kernels))
    for n, image in enumerate(PICTURES):
        expected = ndimage.correlate(image, kernels[n, ..., None], mode="reflect")
        np.testing.assert_allclose(cut(results, n), expected, atol=1e-5)


def pillow(pixels, quality, subsampling):
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=subsampling)
        return np.asarray(Image.open(file), np.float64)


# All of the canvas; neither side of whole blocks, even and odd; whole blocks of chroma.
JPEG_SIZES = [(50, 70), (41, 33), (42, 70), (37, 50), (18, 5), (48, 64)]
QUALITIES = (30, 60, 95)


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_jpeg_is_pillows_file_of_the_picture_alone(subsampling):
    rng = np.random.default_rng(2)
    sizes, qualities = np.repeat(JPEG_SIZES, len(QUALITIES), axis=0), QUALITIES * len(JPEG_SIZES)
    pictures = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    code = jax.jit(jax.vmap(lambda x, quality: c.jpeg(x, quality, subsampling=subsampling)))
    canvases = on_canvas([picture / np.float32(255) for picture in pictures], (50, 70))
    results = code(canvases, jnp.array(qualities))
    for n, (pixels, quality) in enumerate(zip(pictures, qualities, strict=True)):
        difference = cut(results, n) * 255 - pillow(pixels, quality, subsampling)
        assert np.abs(difference).mean() <= 0.5
        assert np.mean(difference**2) <= 255**2 / 10**4.5  # 45 dB
        if features.check_feature("libjpeg_turbo"):  # others may compute the DCT otherwise
            np.testing.assert_allclose(difference, 0, atol=1e-3)


# All three are linear, so that x^T (grad of y^T A x) is y^T A x.
@pytest.mark.parametrize(
    "apply",
    [
        lambda x: c.resize(x, 15, 11, method=jnp.int32(2), shape=(16, 16)).pixels,
        lambda x: c.blur(x, jnp.asarray(random(5, 5))).pixels[: x.height, : x.width],
        lambda x: c.clamped(x),
    ],
    ids=["resize", "blur", "clamped"],
)
def test_the_gradient_is_finite_and_the_adjoint(apply):
    image = random(9, 13, 3)
    pixels = jnp.pad(jnp.asarray(image), [(0, 3), (0, 3), (0, 0)], constant_values=jnp.nan)

    def product(pixels):
        result = apply(c.Canvas(pixels, 9, 13))
        return jnp.vdot(result, jnp.asarray(random(*result.shape)))

    value, gradient = jax.jit(jax.value_and_grad(product))(pixels)
    assert not gradient[9:].any() and not gradient[:, 13:].any()
    np.testing.assert_allclose(np.vdot(gradient[:9, :13], image), value, rtol=1e-5)


def test_the_gradient_passes_jpeg_to_the_picture():
    canvas = jax.tree.map(lambda x: x[0], on_canvas([random(9, 13, 3)], (16, 16)))
    weights = jnp.asarray(random(9, 13, 3))

    def product(pixels):
        return jnp.vdot(c.jpeg(canvas._replace(pixels=pixels), 40).pixels[:9, :13], weights)

    gradient = jax.jit(jax.grad(product))(canvas.pixels)
    np.testing.assert_array_equal(gradient[:9, :13], weights)
