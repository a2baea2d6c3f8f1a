"""What one pass of Real-ESRGAN draws, against the authors' options, and the kernels it makes."""

from math import pi

import jax
import numpy as np
import pytest
from scipy import special, stats

from jaxsr.imaging.passes import NAMES, Pass, SecondPass, make_kernel

N = 30_000
PLAIN, GENERALIZED, PLATEAU, SINC, NONE = (0, 1), (2, 3), (4, 5), (6,), (7,)
TURNED, ROUND = (1, 3, 5), (0, 2, 4)

# options/train_realesrgan_x4plus.yml. The kernels: 9 in 10 of [.45, .25, .12, .03, .12, .03], a
# sinc, and none.
FIRST = {
    "kernel": (0.405, 0.225, 0.108, 0.027, 0.108, 0.027, 0.1, 0.0),
    "sigma": (0.2, 3.0),
    "resize": (0.2, 0.7, 0.1),
    "factor": (0.15, 1.5),
    "noise": (1, 30),
    "poisson": (0.05, 3.0),
}
SECOND = {
    "kernel": (0.324, 0.18, 0.0864, 0.0216, 0.0864, 0.0216, 0.08, 0.2),
    "sigma": (0.2, 1.5),
    "resize": (0.3, 0.4, 0.3),
    "factor": (0.3, 1.2),
    "noise": (1, 25),
    "poisson": (0.05, 2.5),
}


@pytest.fixture(scope="module", params=["first", "second"])
def drawn(request):
    """The draws of N keys in NumPy, and what they should be."""
    spec, wanted = {"first": (Pass(), FIRST), "second": (SecondPass(), SECOND)}[request.param]
    draws = jax.jit(jax.vmap(spec.draw))(jax.random.split(jax.random.key(7), N))
    return {name: np.asarray(value) for name, value in draws.items()}, wanted


def assert_shares(values, shares):
    """Of the numbers from 0 on; what has no share never comes."""
    counts, shares = np.bincount(values, minlength=len(shares)), np.array(shares)
    assert len(counts) == len(shares) and not counts[shares == 0].any()
    wanted = shares[shares > 0] * len(values)
    assert stats.chisquare(counts[shares > 0], wanted).pvalue > 0.001, counts / len(values)


def assert_uniform(values, low, high):
    assert low - 1e-5 <= values.min() and values.max() <= high + 1e-5
    assert stats.kstest(values, "uniform", (low, high - low)).pvalue > 0.001
    assert len(values) > 300


def of(draws, name, kinds):
    return draws[name][np.isin(draws["kernel"], kinds)]


def test_names():
    """Numbers stand for the names in the order of the options, in which the shares are."""
    kernels = "iso aniso generalized_iso generalized_aniso plateau_iso plateau_aniso sinc none"
    assert NAMES["kernel"] == tuple(kernels.split())
    assert NAMES["resize"] == ("up", "down", "keep")
    assert NAMES["method"] == ("area", "bilinear", "bicubic")


def test_kernels_have_their_shares(drawn):
    draws, wanted = drawn
    assert_shares(draws["kernel"], wanted["kernel"])


@pytest.mark.parametrize("kinds", [PLAIN, GENERALIZED, PLATEAU, SINC])
def test_sizes_are_odd_from_7_to_21(drawn, kinds):
    sizes = of(drawn[0], "size", kinds)
    assert (sizes % 2 == 1).all()
    assert_shares((sizes - 7) // 2, [1 / 8] * 8)


def test_deviations(drawn):
    """Of their range, both; isotropic kernels have but one."""
    draws, wanted = drawn
    x, y = draws["sigma_x"], draws["sigma_y"]
    turned = np.isin(draws["kernel"], TURNED)
    assert_uniform(x, *wanted["sigma"])
    assert_uniform(y[turned], *wanted["sigma"])
    assert abs(np.corrcoef(x[turned], y[turned])[0, 1]) < 3 / np.sqrt(turned.sum())
    round_ = np.isin(draws["kernel"], ROUND)
    np.testing.assert_array_equal(x[round_], y[round_])


def test_rotation(drawn):
    assert_uniform(of(drawn[0], "angle", TURNED), -pi, pi)
    assert not of(drawn[0], "angle", ROUND).any()


@pytest.mark.parametrize("kinds, low, high", [(GENERALIZED, 0.5, 4.0), (PLATEAU, 1.0, 2.0)])
def test_half_the_betas_are_below_1(drawn, kinds, low, high):
    beta = of(drawn[0], "beta", kinds)
    above = beta > 1
    assert abs(above.mean() - 0.5) < 3 * 0.5 / np.sqrt(len(beta))
    assert_uniform(beta[above], 1, high)
    if low < 1:
        assert_uniform(beta[~above], low, 1)
    else:
        assert (beta[~above] == 1).all()


def test_a_plain_gaussian_has_a_beta_of_1(drawn):
    assert (of(drawn[0], "beta", PLAIN) == 1).all()


def test_a_small_sinc_cuts_no_low_frequency(drawn):
    draws, _ = drawn
    small = draws["size"] < 13
    assert_uniform(draws["cutoff"][small], pi / 3, pi)
    assert_uniform(draws["cutoff"][~small], pi / 5, pi)
    assert_uniform(of(draws, "cutoff", SINC)[of(draws, "size", SINC) < 13], pi / 3, pi)


def test_resizes(drawn):
    draws, wanted = drawn
    assert_shares(draws["resize"], wanted["resize"])
    low, high = wanted["factor"]
    up, down, keep = (draws["factor"][draws["resize"] == i] for i in range(3))
    assert_uniform(up, 1, high)
    assert_uniform(down, low, 1)
    assert (keep == 1).all()
    for resize in range(3):
        assert_shares(draws["method"][draws["resize"] == resize], [1 / 3] * 3)


def test_noise(drawn):
    draws, wanted = drawn
    assert_shares(draws["gaussian"].astype(int), (0.5, 0.5))
    assert_uniform(draws["noise"], *wanted["noise"])
    assert_uniform(draws["poisson"], *wanted["poisson"])
    for kind in (False, True):
        assert_shares(draws["grey"][draws["gaussian"] == kind].astype(int), (0.6, 0.4))


def test_qualities_are_whole_numbers_from_30_to_95(drawn):
    assert_shares(drawn[0]["quality"] - 30, [1 / 66] * 66)


def test_nothing_goes_with_anything_else(drawn):
    """Equal streams would show. What hangs together by intent has tests of its own."""
    draws, _ = drawn
    names = "kernel size sigma_x method gaussian noise poisson grey quality factor".split()
    values = np.stack([draws[name].astype(float) for name in names])
    away = np.corrcoef(values) - np.eye(len(names))
    # 45 pairs
    assert abs(away).max() < 4 / np.sqrt(N), dict(zip(names, abs(away).max(0), strict=True))
    betas = of(draws, "beta", GENERALIZED), of(draws, "sigma_x", GENERALIZED)
    assert abs(np.corrcoef(*betas)[0, 1]) < 4 / np.sqrt(len(betas[0]))


def test_a_pass_draws_what_it_is_told():
    """And nothing else, of narrow ranges."""
    spec = Pass(
        blur=0.0,
        resize=(0, 0, 1),
        gaussian=0.0,
        noise=(3, 3),
        grey=1.0,
        quality=(50, 50),
    )
    draws = jax.jit(jax.vmap(spec.draw))(jax.random.split(jax.random.key(1), 64))
    told = {"kernel": 7, "factor": 1, "gaussian": False, "noise": 3, "grey": True, "quality": 50}
    for name, value in told.items():
        assert (draws[name] == value).all(), name


@pytest.mark.parametrize("factor, up, down", [((0.5, 0.8), 1, 0.5), ((1.5, 2.0), 2.0, 1)])
def test_a_range_on_one_side_of_1_is_reached_from_1(factor, up, down):
    draws = jax.jit(jax.vmap(Pass(factor=factor).draw))(jax.random.split(jax.random.key(2), 4000))
    for resize, ends in enumerate([(1, up), (down, 1)]):
        values = np.asarray(draws["factor"][draws["resize"] == resize])
        assert np.allclose([values.min(), values.max()], ends, atol=0.02)


def kernels_of(kind, *, size, sigma_x, sigma_y, angle, beta, cutoff):
    """BasicSR's, in float64."""
    half = size // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    inverse = np.linalg.inv(turn @ np.diag([sigma_x**2, sigma_y**2]) @ turn.T)
    d = np.einsum("iyx,ij,jyx->yx", np.stack([x, y]), inverse, np.stack([x, y]))
    r = np.hypot(x, y) + 1e-9 * (x**2 + y**2 == 0)
    kernel = {
        PLAIN: np.exp(-0.5 * d),
        GENERALIZED: np.exp(-0.5 * d**beta),
        PLATEAU: 1 / (1 + d**beta),
        SINC: cutoff * special.j1(cutoff * r) / (2 * pi * r),
        NONE: (r < 0.5).astype(float),
    }[kind]
    return np.pad(kernel / kernel.sum(), (21 - size) // 2)


@pytest.mark.parametrize("kind", [PLAIN, GENERALIZED, PLATEAU, SINC, NONE])
def test_the_kernel_is_that_of_its_kind(kind):
    numbers = {"size": 13, "sigma_x": 2.1, "sigma_y": 0.9, "angle": 0.6, "beta": 1.7, "cutoff": 1.4}
    numbers["beta"] = 1.0 if kind == PLAIN else 1.7
    expected = kernels_of(kind, **numbers)
    make = jax.jit(make_kernel)
    for position in kind:
        kernel = make(numbers | {"kernel": position})
        np.testing.assert_allclose(kernel, expected, atol=1e-6)


def test_the_last_kernel_is_a_sinc_or_none():
    make = jax.jit(make_kernel)
    common = {"size": 9, "sigma_x": 1.0, "sigma_y": 1.0, "angle": 0.0, "beta": 1.0, "cutoff": 2.0}
    for kind in (SINC, NONE):
        kernel = make({"kernel": kind[0], "size": 9, "cutoff": 2.0})
        np.testing.assert_allclose(kernel, kernels_of(kind, **common), atol=1e-6)


def test_every_kernel_has_the_sum_1():
    """So that no drawn kernel makes a picture lighter or darker."""
    keys = jax.random.split(jax.random.key(3), 500)
    kernels = jax.jit(jax.vmap(lambda key: make_kernel(Pass().draw(key))))(keys)
    np.testing.assert_allclose(kernels.sum((1, 2)), 1, atol=1e-5)


REFUSED = {
    "blur: got 1.5, wanted a number from 0 to 1": {"blur": 1.5},
    "sinc: got -0.1, wanted a number from 0 to 1": {"sinc": -0.1},
    "gaussian: got nan, wanted a number from 0 to 1": {"gaussian": float("nan")},
    "grey: got 2, wanted a number from 0 to 1": {"grey": 2},
    "kernels: got [1, 1, 0, 0, 0, 0], wanted probabilities that add up to 1": {
        "kernels": (1, 1, 0, 0, 0, 0)
    },
    "resize: got [1.5, -0.5, 0], wanted probabilities that add up to 1": {"resize": (1.5, -0.5, 0)},
    "resize: got [nan, 0.5, 0.5], wanted probabilities that add up to 1": {
        "resize": (float("nan"), 0.5, 0.5)
    },
    "sigma: got [-1, 2], wanted [low, high] with 0 <= low <= high <= 21": {"sigma": (-1, 2)},
    "sigma: got [2, 1], wanted [low, high] with 0 <= low <= high <= 21": {"sigma": (2, 1)},
    "beta_generalized: got [0, 2], wanted [low, high] with 0.1 <= low <= high <= 10": {
        "beta_generalized": (0, 2)
    },
    "beta_plateau: got [1, 11], wanted [low, high] with 0.1 <= low <= high <= 10": {
        "beta_plateau": (1, 11)
    },
    "beta_plateau: got [1.5, 2], wanted a range with 1 in it": {"beta_plateau": (1.5, 2)},
    "factor: got [0, 1], wanted [low, high] with 0.01 <= low <= high <= 8": {"factor": (0, 1)},
    "factor: got [0.5, 9], wanted [low, high] with 0.01 <= low <= high <= 8": {"factor": (0.5, 9)},
    "noise: got [1, 256], wanted [low, high] with 0 <= low <= high <= 255": {"noise": (1, 256)},
    "poisson: got [-1, 1], wanted [low, high] with 0 <= low <= high <= 100": {"poisson": (-1, 1)},
    "quality: got [0, 95], wanted [low, high] with 1 <= low <= high <= 100": {"quality": (0, 95)},
    "quality: got [30, 101], wanted [low, high] with 1 <= low <= high <= 100": {
        "quality": (30, 101)
    },
}


@pytest.mark.parametrize("make", [Pass, SecondPass])
@pytest.mark.parametrize("message", REFUSED)
def test_a_refusal_names_the_field(make, message):
    with pytest.raises(ValueError) as refusal:
        make(**REFUSED[message])
    assert str(refusal.value) == message
