"""Real-ESRGAN's whole chain against SciPy and Pillow, and how its pictures depend on their keys."""

from dataclasses import dataclass
from functools import partial
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
from scipy import ndimage, special, stats

from jaxsr.imaging.degrade import degrade
from jaxsr.imaging.passes import Pass, SecondPass
from jaxsr.imaging.realworld import RealESRGAN, _select

HIGH, WIDE, SCALE = 48, 40, 2
SPEC = RealESRGAN(SCALE, subsampling="4:4:4", levels=0)
HR = ndimage.gaussian_filter(np.random.default_rng(5).random((N, HIGH, WIDE, 3)), (0, 2, 2, 0))
HR = ((HR - 0.5) * 4 + 0.5).clip(0, 1).astype(np.float32)
AREA, BILINEAR, BICUBIC = range(3)
SINC, NONE = 6, 7


@pytest.fixture(scope="module")
def compiled():
    return with_gradient(SPEC)


@pytest.fixture(scope="module")
def batch(compiled):
    return [np.asarray(x) for x in compiled(keys(), jnp.asarray(HR))]


@dataclass(frozen=True)
class Told(RealESRGAN):
    """Draws nothing, but has been told what happens, in `told`."""

    told: Any = None

    def draw(self, key):
        return self.told


@pytest.fixture(scope="module")
def told():
    """Degrades by given draws, all pictures at once, as accelerators do."""

    def run(key, draws, image):
        return Told(SCALE, told=draws, subsampling="4:4:4")._run(key, image, either=_select)

    return jax.jit(jax.vmap(run))


def blurred(image, kernel):
    return ndimage.correlate(image, kernel[..., None], mode="reflect")


def low_pass(size, cutoff):
    x = np.arange(size) - size // 2
    r = np.hypot(x[:, None], x) + 1e-9
    kernel = special.j1(cutoff * r) / r
    return kernel / kernel.sum()


def neutral():
    """Draws by which nothing happens but the reduction and JPEG at its best."""
    one = {"kernel": NONE, "size": 7, "sigma_x": 1.0, "sigma_y": 1.0, "angle": 0.0, "beta": 1.0}
    one |= {"cutoff": 2.0, "resize": 2, "factor": 1.0, "method": BILINEAR, "gaussian": True}
    one |= {"noise": 0.0, "poisson": 0.0, "grey": False, "quality": 100}
    last = {"kernel": NONE, "size": 7, "cutoff": 2.0, "method": BILINEAR, "jpeg_first": False}
    return {"first": one, "second": dict(one), "last": last}


def soften(draws, *, quality):
    """A little blur, or means of whole levels would lie in the middle between two."""
    draws["first"]["quality"] = draws["second"]["quality"] = quality
    draws["second"] |= {"kernel": 0, "sigma_x": 0.4, "sigma_y": 0.4}


@pytest.fixture(scope="module")
def own_draws():
    """Those of the batch."""
    return jax.jit(jax.vmap(SPEC.draw))(keys())


def test_shapes_and_range(batch, own_draws):
    """Where JPEG is last, LR is whole levels; what a sinc overshoots waits for `levels`."""
    lr, target, gradient = batch
    assert lr.shape == (N, HIGH // SCALE, WIDE // SCALE, 3) and lr.dtype == np.float32
    assert target.shape == gradient.shape == HR.shape
    assert np.isfinite(lr).all() and lr.min() > -0.5 and lr.max() < 1.5
    first = np.asarray(own_draws["last"]["jpeg_first"])
    coded = lr[~first]
    assert 3 < first.sum() < N - 3 and coded.min() >= 0 and coded.max() <= 1
    np.testing.assert_allclose(coded * 255, np.round(coded * 255), atol=1e-4)
    assert np.mean(abs(lr[first] * 255 - np.round(lr[first] * 255))) > 0.1


def test_the_target_is_sharpened(batch):
    def blur(array):
        return ndimage.gaussian_filter(array, 8.0, mode="mirror", radius=25, axes=(1, 2))

    residual = HR.astype(np.float64) - blur(HR.astype(np.float64))
    share = blur((abs(residual) > 10 / 255).astype(float))
    expected = share * np.clip(HR + 0.5 * residual, 0, 1) + (1 - share) * HR
    np.testing.assert_allclose(batch[1], expected, atol=1e-4)
    assert abs(expected - HR).mean() > 0.01


def test_hr_is_the_target_unless_sharpened():
    plain = RealESRGAN(SCALE, sharpen=False)
    jaxpr = jax.make_jaxpr(plain.apply)(keys(1), jnp.asarray(HR[:1])).jaxpr
    assert jaxpr.outvars[1] is jaxpr.invars[1]


def test_gradients_are_finite(batch):
    gradient = batch[2]
    assert np.isfinite(gradient).all()
    assert (abs(gradient).max((1, 2, 3)) > 1e-3).all()


def test_keys_decide_and_compile_nothing(compiled, batch):
    assert_keys_decide(compiled, HR, batch)


def test_an_example_is_the_same_alone_on_each_of_eight_devices(batch):
    assert_alone_on_each_of_eight_devices(SPEC, HR, batch)


def test_the_ways_of_a_cpu_and_of_an_accelerator_agree(batch, told, own_draws):
    """What is degraded is the target, as the reference has it."""
    lr, target, _ = batch
    assert jax.default_backend() == "cpu"
    at_once = told(keys(), own_draws, jnp.asarray(target))
    np.testing.assert_allclose(at_once, lr, atol=1e-5)


@pytest.mark.slow
def test_jpeg_halves_the_chroma_unless_told():
    draws = neutral()
    soften(draws, quality=90)
    spec = Told(SCALE, told=draws, sharpen=False)
    lr = jax.jit(spec.apply)(keys(1), jnp.asarray(HR[:1]))[0][0]
    soft = blurred(pillows(HR[0], 90, "4:2:0"), bell(7, 0.4))
    small = bilinear(soft, HIGH // SCALE, WIDE // SCALE)
    assert_close(lr, pillows(small, 90, "4:2:0"))


@pytest.mark.slow
def test_an_example_is_the_same_alone(batch):
    spec = RealESRGAN(SCALE, subsampling="4:4:4", levels=255)
    lr = np.asarray(jax.jit(partial(degrade, spec=spec))(keys()[5:6], jnp.asarray(HR[5:6]))[0][0])
    assert lr.min() >= 0 and lr.max() <= 1
    np.testing.assert_allclose(lr * 255, np.round(lr * 255), atol=1e-4)
    assert abs(lr - batch[0][5].clip(0, 1)).max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("jpeg_first", [False, True])
def test_with_nothing_else_it_is_a_reduction_and_jpeg(told, jpeg_first):
    draws = neutral()
    draws["last"]["jpeg_first"] = jpeg_first
    soften(draws, quality=95)
    lr = told(keys(), stacked(draws), jnp.asarray(HR))
    for result, image in zip(lr, HR, strict=True):
        soft = blurred(pillows(image, 95), bell(7, 0.4))
        small = bilinear(soft, HIGH // SCALE, WIDE // SCALE)
        assert_close(result, pillows(small, 95))
        means = image.reshape(HIGH // 2, 2, WIDE // 2, 2, 3).mean((1, 3))
        error = [abs(np.roll(result, s, (0, 1)) - means)[2:-2, 2:-2].mean() for s in (-1, 0, 1)]
        assert error[1] < 0.015 and min(error[0], error[2]) > 0.03


def chain(image, draws):
    """The same in NumPy, SciPy and Pillow, in float64, of what has no noise."""
    first, second, last = draws["first"], draws["second"], draws["last"]

    def blur(image, own):
        return blurred(image, bell(own["size"], own["sigma_x"])) if own["kernel"] == 0 else image

    small = HIGH // SCALE, WIDE // SCALE
    image = blur(image, first)
    image = bilinear(image, *(int(side * first["factor"]) for side in (HIGH, WIDE)))
    image = blur(pillows(image, first["quality"]), second)
    image = bilinear(image, *(int(side * second["factor"]) for side in small))
    sinc = low_pass(last["size"], last["cutoff"])
    if last["jpeg_first"]:
        return blurred(bilinear(pillows(image, second["quality"]), *small), sinc)
    return pillows(blurred(bilinear(image, *small), sinc), second["quality"])


@pytest.mark.parametrize("jpeg_first", [False, True])
@pytest.mark.parametrize("factors", [(0.61, 1.17), (1.3, 0.55)])
def test_what_happens_in_which_order(told, jpeg_first, factors):
    draws = neutral()
    draws["first"] |= {"kernel": 0, "size": 9, "sigma_x": 0.8, "sigma_y": 0.8, "quality": 92}
    draws["second"] |= {"kernel": 0, "size": 7, "sigma_x": 0.6, "sigma_y": 0.6, "quality": 80}
    draws["last"] |= {"kernel": SINC, "size": 11, "cutoff": 1.6, "jpeg_first": jpeg_first}
    for name, factor in zip(("first", "second"), factors, strict=True):
        draws[name]["factor"] = factor
    lr = told(keys(), stacked(draws), jnp.asarray(HR))
    for result, image in zip(lr, HR.astype(np.float64), strict=True):
        assert_close(result, chain(image, draws))


@pytest.mark.parametrize("way", ["first", "second", "last"])
def test_each_resize_has_its_method(told, way):
    """Area takes means; of what lies on whole pixels bilinear and bicubic see points."""
    lines = np.zeros((N, HIGH, WIDE, 3), np.float32)
    lines[:, ::4] = 1
    results = {}
    for method in range(3):
        draws = neutral()
        draws["first"]["factor"] = 0.4 if way == "first" else 1.0
        draws["second"]["factor"] = 0.4 if way == "second" else 1.0
        draws["second"]["factor"] = 1.2 if way == "last" else draws["second"]["factor"]
        draws[way]["method"] = method
        results[method] = np.asarray(told(keys(), stacked(draws), jnp.asarray(lines)))[0]
    for a, b in ((AREA, BILINEAR), (BILINEAR, BICUBIC), (AREA, BICUBIC)):
        assert abs(results[a] - results[b]).mean() > 0.005


def test_no_resize_moves_the_picture(told, draws):
    """A slope shows a shift of a tenth of a pixel, whatever is drawn of sizes and methods."""
    ramp = np.arange(HIGH)[:, None] / HIGH / 2 + np.arange(WIDE) / WIDE / 2
    hr = np.broadcast_to(ramp[..., None], (N, HIGH, WIDE, 3)).astype(np.float32)
    free = stacked(neutral())
    for name, kept in (
        ("first", ("factor", "method", "size", "sigma_x", "sigma_y", "angle", "beta")),
        ("second", ("factor", "method", "kernel", "size", "sigma_x", "sigma_y", "angle", "beta")),
        ("last", ("method", "size", "cutoff", "kernel", "jpeg_first")),
    ):
        free[name] |= {field: draws[name][field][:N] for field in kept}
    lr = np.asarray(told(keys(), free, jnp.asarray(hr)))
    means = ramp.reshape(HIGH // 2, 2, WIDE // 2, 2).mean((1, 3))[..., None]
    away = (lr - means)[:, 6:-6, 6:-6]
    assert abs(away.mean((1, 2, 3))).max() < 0.1 * SCALE / HIGH / 2


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("way, share", [("first", 0.5), ("second", 1.0)])
def test_noise_is_of_its_pass(told, way, share, grey):
    """Of the first pass the reduction takes half, for it is the mean of four pixels."""
    draws = neutral()
    draws[way] |= {"noise": 24.0, "grey": grey}
    hr = jnp.full((N, HIGH, WIDE, 3), 0.5)
    noise = (np.asarray(told(keys(), stacked(draws), hr), np.float64) - 0.5) * 255
    assert abs(noise.std() / (24 * share) - 1) < 0.02
    between = np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]
    assert between > 0.97 if grey else abs(between) < 0.05
    assert abs(np.corrcoef(noise.reshape(N, -1)) - np.eye(N)).max() < 0.15


@pytest.mark.parametrize("way, share", [("first", 0.5), ("second", 1.0)])
def test_photons_are_of_their_pass(told, way, share):
    """Of one level white sends one photon: the variance is the level's."""
    draws = neutral()
    draws[way] |= {"gaussian": False, "poisson": 0.1}
    hr = jnp.full((N, HIGH, WIDE, 3), 128 / 255)
    noise = np.asarray(told(keys(), stacked(draws), hr), np.float64) - 128 / 255
    assert abs(noise.std() / (0.1 * np.sqrt(128 / 255) * share) - 1) < 0.03


def test_passes_do_not_share_their_noise(told):
    """Of equal size both would add the same noise from the same key."""
    hr, noises = jnp.full((N, HIGH, WIDE, 3), 0.5), {}
    for way in ("first", "second"):
        draws = neutral()
        draws["first"]["factor"] = 0.5
        draws[way]["noise"] = 20.0
        noises[way] = np.asarray(told(keys(), stacked(draws), hr)).ravel() - 0.5
    assert abs(np.corrcoef(noises["first"], noises["second"])[0, 1]) < 0.03


@pytest.fixture(scope="module")
def draws():
    drawn = jax.jit(jax.vmap(RealESRGAN(4).draw))(keys(30_000))
    return jax.tree.map(np.asarray, drawn)


def test_draws_of_the_end(draws):
    """Final sinc .8 of [pi / 3, pi] at any size, both orders alike, a method of three."""
    last = draws["last"]

    def chi_square(values, shares):
        counts = np.bincount(values, minlength=len(shares))
        return stats.chisquare(counts, np.array(shares) * len(values)).pvalue

    assert set(last["kernel"]) == {SINC, NONE}
    assert chi_square(last["kernel"] - SINC, [0.8, 0.2]) > 0.001
    assert (last["size"] % 2 == 1).all() and chi_square((last["size"] - 7) // 2, [1 / 8] * 8) > 1e-3
    for sizes in (last["size"] < 13, last["size"] >= 13):
        uniform = stats.kstest(last["cutoff"][sizes], "uniform", (pi / 3, 2 * pi / 3))
        assert uniform.pvalue > 0.001
    assert chi_square(last["method"], [1 / 3] * 3) > 0.001
    assert chi_square(last["jpeg_first"].astype(int), [0.5, 0.5]) > 0.001


def test_passes_draw_their_own(draws):
    """The second has its ranges, and nothing in common with the first or the end."""
    assert draws["first"]["noise"].max() > 29.9 and draws["second"]["noise"].max() < 25.1
    assert draws["second"]["factor"].max() < 1.2 and draws["first"]["factor"].max() > 1.49
    names = ["size", "sigma_x", "factor", "method", "gaussian", "noise", "poisson", "grey"]
    values = [draws[way][name] for way in ("first", "second") for name in [*names, "quality"]]
    values += [draws["last"][name] for name in ("size", "cutoff", "method", "jpeg_first")]
    away = np.corrcoef(np.stack(values).astype(float)) - np.eye(len(values))
    assert abs(away).max() < 4.5 / np.sqrt(30_000)  # of 231 pairs


REFUSED = {
    "final_sinc: got 1.5, wanted a number from 0 to 1": {"final_sinc": 1.5},
    "subsampling: got '4:2:2', wanted one of 4:2:0, 4:4:4": {"subsampling": "4:2:2"},
    "crop: got 0, wanted the pixels of a side, such as 400": {"crop": 0},
}


@pytest.mark.parametrize("message", REFUSED)
def test_a_refusal_names_the_field(message):
    with pytest.raises(ValueError) as refusal:
        RealESRGAN(4, **REFUSED[message])
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    "spec, least",
    [
        (RealESRGAN(2), 34),  # of which .15 is 5
        (RealESRGAN(4), 68),  # of whose quarter .3 is 5
        (RealESRGAN(4, first=Pass(factor=(2.0, 3.0))), 68),
        (RealESRGAN(2, second=SecondPass(factor=(0.1, 1.0))), 100),
        (RealESRGAN(3, second=SecondPass(factor=(2.0, 3.0))), 36),
    ],
)
def test_too_small_pictures_are_refused(spec, least):
    side = least - spec.scale
    with pytest.raises(ValueError) as refusal:
        spec.apply(keys(1), jnp.zeros((1, side + 12, side, 3)))
    assert str(refusal.value) == (
        f"got pictures of {side + 12} x {side}, wanted {least} pixels a side at least; "
        "degrade larger ones"
    )
    lr, _ = jax.eval_shape(spec.apply, keys(1), jnp.zeros((1, least, least, 3)))
    assert lr.shape == (1, least // spec.scale, least // spec.scale, 3)
