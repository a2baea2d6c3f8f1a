"""BSRGAN's draws against `degradation_bsrgan` of KAIR, and its chain against SciPy and Pillow."""

from dataclasses import dataclass
from math import pi
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chains import (
    N,
    assert_alone_on_each_of_eight_devices,
    assert_close,
    assert_keys_decide,
    bell,
    bilinear,
    keys,
    pillows,
    stacked,
    with_gradient,
)
from PIL import Image
from scipy import linalg, ndimage, stats

from jaxsr.imaging import canvas
from jaxsr.imaging.bsrgan import BSRGAN, NOISES, OPS, _noisy

HIGH, WIDE, SCALE = 64, 48, 4
SPEC = BSRGAN(SCALE, subsampling="4:4:4", levels=0)
BLUR, SECOND, REDUCE, TO_LR, NOISE, JPEG = range(6)
AREA, BILINEAR, BICUBIC = range(3)
COLOUR, GREY, CORRELATED = range(3)
MANY = 30_000


def pictures():
    random = np.random.default_rng(5).random((N, HIGH, WIDE, 3))
    smooth = ndimage.gaussian_filter(random, (0, 3, 3, 0), mode="wrap")
    return ((smooth - 0.5) * 5 + 0.5).clip(0, 1).astype(np.float32)


HR = pictures()


@pytest.fixture(scope="module")
def compiled():
    return with_gradient(SPEC)


@pytest.fixture(scope="module")
def batch(compiled):
    return [np.asarray(x) for x in compiled(keys(), jnp.asarray(HR))]


@dataclass(frozen=True)
class Told(BSRGAN):
    """Draws nothing, but has been told what happens, in `told`."""

    told: Any = None

    def draw(self, key):
        return self.told


@pytest.fixture(scope="module")
def told():
    """Degrades each picture by draws of its own."""

    def run(example):
        key, draws, image = example
        return Told(SCALE, told=draws, subsampling="4:4:4")._run(key, image)

    return jax.jit(lambda *batch: jax.lax.map(run, batch))


@pytest.fixture(scope="module", params=[2, 4])
def drawn(request):
    draws = jax.jit(jax.vmap(BSRGAN(request.param).draw))(keys(MANY))
    draws = jax.tree.map(np.asarray, draws)
    return request.param, draws, np.where(draws["halved"], 2, request.param)


def assert_shares(values, shares):
    counts = np.bincount(values, minlength=len(shares))
    assert len(counts) == len(shares)
    wanted = np.array(shares) * len(values)
    assert stats.chisquare(counts, wanted).pvalue > 0.001, counts / len(values)


def assert_uniform(values, low, high):
    assert low - 1e-5 <= values.min() and values.max() <= high + 1e-5
    assert stats.kstest(values, "uniform", (low, high - low)).pvalue > 0.001


def test_names():
    assert OPS == ("blur", "second_blur", "reduce", "reduce_to_lr", "noise", "jpeg")
    assert NOISES == ("colour", "grey", "correlated")


def test_the_order_is_any_with_the_reductions_in_theirs(drawn):
    order = drawn[1]["order"]
    np.testing.assert_array_equal(np.sort(order, axis=1), np.tile(np.arange(6), (MANY, 1)))
    place = np.argsort(order, axis=1)
    assert (place[:, REDUCE] < place[:, TO_LR]).all()
    kinds, counts = np.unique(order, axis=0, return_counts=True)
    assert len(kinds) == 360 and stats.chisquare(counts).pvalue > 0.001
    assert_shares(place[:, REDUCE], [(5 - i) / 15 for i in range(6)][:5])


def test_a_quarter_is_halved_at_scale_4(drawn):
    scale, draws, _ = drawn
    if scale == 4:
        assert_shares(draws["halved"].astype(int), [0.75, 0.25])
    else:
        assert not draws["halved"].any()


@pytest.mark.parametrize("name", ["blur", "second_blur"])
def test_kernels(drawn, name):
    """Isotropic ones draw the deviation up to 2 + .2 scale, others variances up to 4 + scale."""
    _, draws, scales = drawn
    own = draws[name]
    turned = own["angle"] != 0
    assert_shares(turned.astype(int), [0.5, 0.5])
    assert (own["size"] % 2 == 1).all()
    assert_shares((own["size"] - 7) // 2, [0.1] * 10)  # from 7 to 25
    assert_uniform(own["angle"][turned], 0, pi)
    np.testing.assert_array_equal(own["sigma_x"][~turned], own["sigma_y"][~turned])
    assert_uniform((own["sigma_x"] / (2 + 0.2 * scales))[~turned], 0, 1)
    variances = [(own[sigma] ** 2 / (4 + scales))[turned] for sigma in ("sigma_x", "sigma_y")]
    assert_uniform(variances[0], 0, 1)
    assert_uniform(variances[1], 0, 1)
    assert abs(np.corrcoef(*variances)[0, 1]) < 3 / np.sqrt(turned.sum())


def test_reductions(drawn):
    _, draws, scales = drawn
    own = draws["reduce"]
    assert_shares(own["strided"].astype(int), [0.75, 0.25])
    assert_uniform((own["factor"] - 1) / (2 * scales - 1), 0, 1)
    assert_uniform((own["sigma"] - 0.1) / (0.6 * scales - 0.1), 0, 1)
    assert_shares(own["method"], [1 / 3] * 3)
    assert_shares(draws["reduce_to_lr"]["method"], [1 / 3] * 3)


def test_noise_and_jpeg(drawn):
    _, draws, _ = drawn
    assert_shares(draws["noise"]["noise"], [0.4, 0.4, 0.2])
    assert_uniform(draws["noise"]["sigma"], 2, 25)
    assert_shares(draws["jpeg"]["happens"].astype(int), [0.1, 0.9])
    for name in ("jpeg", "last_jpeg"):
        assert_shares(draws[name]["quality"] - 30, [1 / 66] * 66)


def test_nothing_goes_with_anything_else(drawn):
    """But for what the halving scales, which is taken out."""
    _, draws, scales = drawn
    values = [*np.argsort(draws["order"], axis=1).T[[BLUR, NOISE, JPEG]], draws["halved"]]
    for name in ("blur", "second_blur"):
        values += [draws[name]["size"], draws[name]["angle"] != 0]
        values += [
            draws[name]["sigma_x"] / np.where(values[-1], (4 + scales) ** 0.5, 2 + 0.2 * scales)
        ]
    reduce = draws["reduce"]
    values += [reduce["strided"], (reduce["sigma"] - 0.1) / (0.6 * scales - 0.1), reduce["method"]]
    values += [(reduce["factor"] - 1) / (2 * scales - 1), draws["reduce_to_lr"]["method"]]
    values += [draws["noise"]["noise"], draws["noise"]["sigma"], draws["jpeg"]["happens"]]
    values += [draws["jpeg"]["quality"], draws["last_jpeg"]["quality"]]
    table = np.stack([np.asarray(v, float) for v in values])
    table = table[np.ptp(table, axis=1) > 0]
    away = np.corrcoef(table) - np.eye(len(table))
    by_intent = abs(away) > 0.1  # the deviation and whether a kernel is turned; places in the order
    assert by_intent.sum() <= 2 * (3 + 2)
    assert abs(away[~by_intent]).max() < 4.5 / np.sqrt(MANY)


def test_a_spec_draws_what_it_is_told():
    spec = BSRGAN(4, halve=1.0, noise=(3, 3), jpeg=0.0, quality=(50, 50))
    draws = jax.jit(jax.vmap(spec.draw))(keys(64))
    assert draws["halved"].all() and not draws["jpeg"]["happens"].any()
    for name, field, value in (("noise", "sigma", 3), ("jpeg", "quality", 50)):
        assert (draws[name][field] == value).all()
    assert (draws["last_jpeg"]["quality"] == 50).all()


def kairs_covariance(rng):
    u = linalg.orth(rng.random((3, 3)))
    return np.abs(u.T @ np.diag(rng.random(3)) @ u)


def test_correlated_noise_is_kairs():
    """In the mean over pictures, of the highest deviation whatever is drawn."""
    n = 1500

    def noise(key):
        picture = canvas.place(jnp.full((12, 12, 3), 0.5), (12, 12))
        draws = {"noise": CORRELATED, "sigma": 1.0}
        return _noisy(key, picture, draws, (2.0, 25.0)).pixels.reshape(-1, 3) - 0.5

    pixels = np.asarray(jax.jit(jax.vmap(noise))(keys(n)), np.float64) * 255 / 25
    found = np.einsum("npi,npj->nij", pixels, pixels) / pixels.shape[1]
    rng = np.random.default_rng(0)
    wanted = np.stack([kairs_covariance(rng) for _ in range(6000)])
    error = np.sqrt(found.var(0) / n + wanted.var(0) / len(wanted))
    assert (abs(found.mean(0) - wanted.mean(0)) < 4 * error).all()


@pytest.mark.parametrize("kind", [COLOUR, GREY])
def test_noise_is_coloured_or_grey(kind):
    def noise(key):
        picture = canvas.place(jnp.full((64, 64, 3), 0.5), (64, 64))
        return _noisy(key, picture, {"noise": kind, "sigma": 10.0}, (2.0, 25.0)).pixels - 0.5

    pixels = np.asarray(jax.jit(noise)(jax.random.key(0)), np.float64).reshape(-1, 3) * 25.5
    between = np.corrcoef(pixels.T)[0, 1]
    assert between > 0.999 if kind == GREY else abs(between) < 0.05
    assert abs(pixels.std() - 1) < 0.03


def chain(image, draws):
    """The same in NumPy, SciPy and Pillow, in float64, of what has no noise."""

    def blur(image, own):
        return ndimage.correlate(
            image, bell(own["size"], own["sigma_x"])[..., None], mode="reflect"
        )

    def reduce(image):
        own = draws["reduce"]
        if own["strided"]:
            scale = 2 if draws["halved"] else 4
            kernel = bell(25, own["sigma"], shift=(scale - 1) / 2)[..., None]
            return ndimage.correlate(image, kernel, mode="reflect")[::scale, ::scale]
        return bilinear(image, *(int(side / own["factor"]) for side in image.shape[:2]))

    ways = {
        BLUR: lambda image: blur(image, draws["blur"]),
        SECOND: lambda image: blur(image, draws["second_blur"]),
        REDUCE: reduce,
        TO_LR: lambda image: bilinear(image, HIGH // SCALE, WIDE // SCALE),
        NOISE: lambda image: image,
        JPEG: lambda i: pillows(i, draws["jpeg"]["quality"]) if draws["jpeg"]["happens"] else i,
    }
    for position in draws["order"]:
        image = ways[int(position)](image)
    return pillows(image, draws["last_jpeg"]["quality"])


def neutral():
    """Draws by which the picture is but reduced, in the middle."""
    kernel = {"size": 7, "sigma_x": 0.001, "sigma_y": 0.001, "angle": 0.0}
    return {
        "halved": False,
        "order": np.array([BLUR, SECOND, NOISE, REDUCE, TO_LR, JPEG], np.int32),
        "blur": dict(kernel),
        "second_blur": dict(kernel),
        "reduce": {"strided": False, "sigma": 1.0, "factor": 1.0, "method": BILINEAR},
        "reduce_to_lr": {"method": BILINEAR},
        "noise": {"noise": COLOUR, "sigma": 0.0},
        "jpeg": {"happens": False, "quality": 60},
        "last_jpeg": {"quality": 95},
    }


@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize(
    "order", ["blur second reduce to_lr noise jpeg", "jpeg reduce blur noise to_lr second"]
)
def test_what_happens_in_which_order(told, order, strided):
    draws = neutral()
    positions = {"blur": 0, "second": 1, "reduce": 2, "to_lr": 3, "noise": 4, "jpeg": 5}
    draws["order"] = np.array([positions[name] for name in order.split()], np.int32)
    draws["blur"] |= {"size": 9, "sigma_x": 1.1, "sigma_y": 1.1}
    draws["second_blur"] |= {"size": 25, "sigma_x": 0.6, "sigma_y": 0.6}
    draws["reduce"] |= {"strided": strided, "sigma": 1.3, "factor": 1.7}
    draws["jpeg"] |= {"happens": True}
    lr = told(keys(), stacked(draws), jnp.asarray(HR))
    for result, image in zip(lr, HR.astype(np.float64), strict=True):
        assert_close(result, chain(image, draws))


@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("strided", [False, True])
def test_no_reduction_moves_the_picture(told, halved, strided):
    """A slope shows a shift of a twentieth of a pixel of LR, and so do pictures."""
    ramp = np.arange(HIGH)[:, None] / HIGH / 2 + np.arange(WIDE) / WIDE / 2
    hr = np.broadcast_to(ramp[..., None], (N, HIGH, WIDE, 3)).astype(np.float32)
    draws = neutral()
    draws["halved"] = halved
    draws["reduce"] |= {"strided": strided, "sigma": 0.8, "factor": 2.3}
    draws = stacked(draws)
    for name in ("reduce", "reduce_to_lr"):
        draws[name]["method"] = jnp.arange(N, dtype=jnp.int32) % 3

    def means(image):
        return image.reshape(HIGH // 4, 4, WIDE // 4, 4, -1).mean((1, 3))

    lr = np.asarray(told(keys(), draws, jnp.asarray(hr)))
    away = (lr - means(ramp))[:, 3:-3, 3:-3]
    assert abs(away.mean((1, 2, 3))).max() < 0.05 * SCALE / HIGH / 2
    lr = told(keys(), draws, jnp.asarray(HR))
    for result, image in zip(lr, HR, strict=True):
        shifted = [np.roll(result, shift, (0, 1)) for shift in (-1, 0, 1)]
        error = [abs(x - means(image))[2:-2, 2:-2].mean() for x in shifted]
        assert error[1] < 0.05 and min(error[0], error[2]) > 1.5 * error[1]


def test_a_halved_picture_is_reduced_by_the_rest(told):
    """The stride is then 2; the blur before it sees pixels of twice the size."""
    draws = neutral()
    draws["halved"] = True
    draws["reduce"] |= {"strided": True, "sigma": 0.7}
    lr = told(keys(), stacked(draws), jnp.asarray(HR))
    # Pillow's bicubic antialiases as MATLAB's does, but repeats the edge.
    for result, image in zip(lr, HR, strict=True):
        channels = [Image.fromarray(image[..., c]) for c in range(3)]
        size = WIDE // 2, HIGH // 2
        half = np.stack([c.resize(size, Image.Resampling.BICUBIC) for c in channels], -1)
        expected = chain(half.clip(0, 1).astype(np.float64), draws)
        assert abs(result - expected)[2:-2, 2:-2].mean() < 0.008


def test_each_reduction_has_its_method(told):
    lines = np.zeros((N, HIGH, WIDE, 3), np.float32)
    lines[:, ::4] = 1
    for way, factor in (("reduce", 2.3), ("reduce_to_lr", 1.3)):
        draws = neutral()
        draws["reduce"]["factor"] = factor
        draws = stacked(draws)
        draws[way]["method"] = jnp.arange(N, dtype=jnp.int32) % 3
        results = np.asarray(told(keys(), draws, jnp.asarray(lines)))
        for a, b in ((AREA, BILINEAR), (BILINEAR, BICUBIC), (AREA, BICUBIC)):
            assert abs(results[a] - results[b]).mean() > 0.005


def test_shapes_and_range(batch):
    """JPEG is last, so that LR is whole levels."""
    lr, target, gradient = batch
    assert lr.shape == (N, HIGH // SCALE, WIDE // SCALE, 3) and lr.dtype == np.float32
    assert target.shape == gradient.shape == HR.shape
    np.testing.assert_array_equal(target, HR)
    assert lr.min() >= 0 and lr.max() <= 1  # nan is neither
    np.testing.assert_allclose(lr * 255, np.round(lr * 255), atol=1e-4)


def test_gradients_are_finite(batch):
    gradient = batch[2]
    assert np.isfinite(gradient).all()
    assert (abs(gradient).max((1, 2, 3)) > 1e-3).all()


def test_keys_decide_and_compile_nothing(compiled, batch):
    assert_keys_decide(compiled, HR, batch)


def test_an_example_is_the_same_alone_on_each_of_eight_devices(batch):
    assert_alone_on_each_of_eight_devices(SPEC, HR, batch)


REFUSED = {
    "halve: got 1.5, wanted a number from 0 to 1": {"halve": 1.5},
    "jpeg: got -1, wanted a number from 0 to 1": {"jpeg": -1},
    "noise: got [25, 2], wanted [low, high] with 0 <= low <= high <= 255": {"noise": (25, 2)},
    "quality: got [0, 95], wanted [low, high] with 1 <= low <= high <= 100": {"quality": (0, 95)},
    "subsampling: got '4:2:2', wanted one of 4:2:0, 4:4:4": {"subsampling": "4:2:2"},
    "crop: got 0, wanted the pixels of a side, such as 400": {"crop": 0},
}


@pytest.mark.parametrize("message", REFUSED)
def test_a_refusal_names_the_field(message):
    with pytest.raises(ValueError) as refusal:
        BSRGAN(4, **REFUSED[message])
    assert str(refusal.value) == message


@pytest.mark.parametrize("scale", [2, 4])
def test_too_small_pictures_are_refused(scale):
    """The first reduction leaves at least 5 pixels, which JPEG needs."""
    spec, least = BSRGAN(scale), 10 * scale
    with pytest.raises(ValueError) as refusal:
        spec.apply(keys(1), jnp.zeros((1, least - scale, 50, 3)))
    assert str(refusal.value) == (
        f"got pictures of {least - scale} x 50, wanted {least} pixels a side at least; "
        "degrade larger ones"
    )
    lr, _ = jax.eval_shape(spec.apply, keys(1), jnp.zeros((1, least, least, 3)))
    assert lr.shape == (1, 10, 10, 3)
