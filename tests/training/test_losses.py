"""Losses in closed form, and against formulas written out in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsr.training import losses

REAL = np.array([1.5, -0.5, 3.0])
FAKE = np.array([-1.0, 2.0, 0.25])


def game(kind, player, real=REAL, fake=FAKE, mean=jnp.mean) -> float:
    real, fake = (jnp.asarray(x, jnp.float32) for x in (real, fake))
    return float(getattr(losses.ADVERSARIAL[kind], player)(real, fake, mean))


def log_sigmoid(x):
    return -np.log1p(np.exp(-np.asarray(x)))


def relativistic(winner, loser, mean_winner, mean_loser):
    """ESRGAN's equations 1 and 2, halved."""
    won = -log_sigmoid(winner - mean_loser)
    lost = -log_sigmoid(-(loser - mean_winner))
    return (won.mean() + lost.mean()) / 2


MEANS = REAL.mean(), FAKE.mean()
BY_HAND = {
    ("vanilla", "d"): -log_sigmoid(REAL).mean() - np.log(1 - 1 / (1 + np.exp(-FAKE))).mean(),
    ("vanilla", "g"): -log_sigmoid(FAKE).mean(),
    ("relativistic", "d"): relativistic(REAL, FAKE, *MEANS),
    ("relativistic", "g"): relativistic(FAKE, REAL, *MEANS[::-1]),
    ("lsgan", "d"): (0.25 + 2.25 + 4) / 3 + (1 + 4 + 0.0625) / 3,
    ("lsgan", "g"): (4 + 1 + 0.5625) / 3,
    ("hinge", "d"): (0 + 1.5 + 0) / 3 + (0 + 3 + 1.25) / 3,
    ("hinge", "g"): -1.25 / 3,
    ("wgan", "d"): 1.25 / 3 - 4 / 3,
    ("wgan", "g"): -1.25 / 3,
}


@pytest.mark.parametrize("kind, player", BY_HAND)
def test_each_game_by_hand(kind, player):
    assert game(kind, player) == pytest.approx(BY_HAND[kind, player], rel=1e-6)
    assert {k for k, _ in BY_HAND} == set(losses.ADVERSARIAL)


def test_relativistic_terms_take_the_means_of_the_whole_batch():
    """Half a batch, told the means of the whole, is not compared with its own."""
    whole = {REAL[0]: 10.0, FAKE[0]: 4.0}

    def mean(x):
        return jnp.float32(whole[float(x[0])])

    wanted = relativistic(REAL[:1], FAKE[:1], 10.0, 4.0)
    assert game("relativistic", "d", REAL[:1], FAKE[:1], mean) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("kind", losses.ADVERSARIAL)
def test_signs(kind):
    """D gains where real rises or fake falls, G where fake rises; an optimum or a saddle is not."""
    pair = losses.ADVERSARIAL[kind]
    zeros = jnp.zeros(2)
    real, fake = jax.grad(lambda r, f: pair.d(r, f, jnp.mean), (0, 1))(zeros, zeros)
    assert np.all(real < 0) and np.all(fake >= 0) and (kind == "lsgan" or np.all(fake > 0))
    assert np.all(jax.grad(lambda f: pair.g(zeros, f, jnp.mean))(zeros) < 0)
    assert pair.g_sees_real == np.any(jax.grad(lambda r: pair.g(r, zeros, jnp.mean))(zeros) != 0)


@pytest.mark.parametrize(
    "kind, real, fake, d", [("lsgan", 1, 0, 0), ("hinge", 1, -1, 0), ("vanilla", 60, -60, 0)]
)
def test_optimum_of_the_discriminator(kind, real, fake, d):
    assert game(kind, "d", [real] * 2, [fake] * 2) == pytest.approx(d, abs=1e-6)
    assert game(kind, "d", [real - 0.5] * 2, [fake + 0.5] * 2) >= d
    assert game("lsgan", "g", fake=[1.0, 1.0]) == 0


def test_an_undecided_discriminator():
    """At equal logits the sigmoid says one half: log 2 for each guess."""
    assert game("vanilla", "d", [0], [0]) == pytest.approx(2 * np.log(2))
    for player in "dg":
        assert game("relativistic", player, [7, 7], [7, 7]) == pytest.approx(np.log(2))


def test_logits_far_out_stay_finite():
    for kind in losses.ADVERSARIAL:
        for player in "dg":
            assert np.isfinite(game(kind, player, [-1e4, 1e4], [1e4, -1e4]))


@pytest.mark.parametrize(
    "name, wanted",
    [("l1", 0.3), ("l2", (0.04 + 0.16) / 2), ("charbonnier", 0.3)],
)
def test_pixel_losses_by_hand(name, wanted):
    hr = np.full((2, 3, 4, 3), 0.5, np.float32)
    sr = hr + np.array([0.2, -0.4], np.float32).reshape(2, 1, 1, 1)
    assert losses.PIXEL_LOSSES[name](sr, hr) == pytest.approx(wanted, rel=1e-6)
    assert losses.PIXEL_LOSSES[name](hr, hr) == pytest.approx(0, abs=1e-5)


def test_charbonnier_is_smooth_at_zero():
    eps = 0.09
    assert losses.charbonnier(jnp.full(4, 0.4), jnp.zeros(4), eps=eps) == pytest.approx(0.5)
    assert losses.charbonnier(jnp.zeros(4), jnp.zeros(4), eps=eps) == pytest.approx(0.3)
    np.testing.assert_array_equal(jax.grad(losses.charbonnier)(jnp.zeros(4), jnp.zeros(4)), 0)


def test_ssim_of_flat_pictures():
    x, y = 0.7, 0.6
    sr, hr = (np.full((2, 11, 11, 3), value, np.float32) for value in (x, y))
    likeness = (2 * x * y + 1e-4) / (x * x + y * y + 1e-4)
    assert losses.ssim(sr, hr) == pytest.approx(1 - likeness, abs=2e-6)
    assert losses.ssim(hr, hr) == 0


@pytest.mark.parametrize("criterion, wanted", [("l1", 2 * 0.5 + 0.1 * 3), ("l2", 0.5 + 0.9)])
def test_feature_distance_by_hand(criterion, wanted):
    hr = {"a": jnp.zeros((1, 2, 2, 4)), "b": jnp.ones((1, 1, 1, 2)), "unused": jnp.zeros(1)}
    sr = {"a": hr["a"] + 0.5, "b": hr["b"] - 3.0, "unused": jnp.ones(1)}
    layers = {"a": 2.0, "b": 0.1}
    got = losses.feature_distance(sr, hr, layers=layers, criterion=criterion)
    assert got == pytest.approx(wanted)


def linear(gradient):
    """Logits of a D whose gradient is `gradient` everywhere, plus a bias that no penalty sees."""
    return lambda x: jnp.sum(x * gradient, axis=(1, 2, 3)).reshape(-1, 1) + 5.0


@pytest.mark.parametrize("kind, of_norm", [("r1", lambda g: g**2 / 2), ("wgan_gp", None)])
def test_penalties_of_a_linear_discriminator(kind, of_norm):
    of_norm = of_norm or (lambda g: (g - 1) ** 2)
    gradient = jnp.asarray(np.random.default_rng(0).normal(size=(1, 3, 3, 2)), jnp.float32)
    real, fake = np.random.default_rng(1).random((2, 4, 3, 3, 2)).astype(np.float32)
    keys = jax.random.split(jax.random.key(0), 4)
    got = losses.PENALTIES[kind](keys, linear(gradient), jnp.asarray(real), jnp.asarray(fake))
    norm = float(np.sqrt(np.sum(np.square(np.asarray(gradient, np.float64)))))
    assert got == pytest.approx(of_norm(norm), rel=1e-5)


def test_r1_looks_at_real_pictures_and_wgan_gp_between():
    """D = |x|^2 / 2 has the gradient x: the penalty says where it was taken."""
    real, fake = jnp.full((2, 1, 1, 1), 4.0), jnp.full((2, 1, 1, 1), 2.0)

    def square(x):
        return jnp.sum(jnp.square(x), axis=(1, 2, 3)) / 2

    keys = jax.random.split(jax.random.key(0), 2)
    assert losses.r1(keys, square, real, fake) == pytest.approx(4.0**2 / 2)
    with jax.debug_key_reuse(False):
        share = np.asarray([jax.random.uniform(key) for key in keys])
        got = losses.wgan_gp(keys, square, real, fake)
    assert share[0] != share[1]
    assert got == pytest.approx(np.mean((share * 4 + (1 - share) * 2 - 1) ** 2), rel=1e-5)


def test_a_flat_discriminator_has_a_finite_gradient_of_its_penalty():
    images = jnp.ones((2, 3, 3, 1))
    keys = jax.random.split(jax.random.key(0), 2)
    slope = jax.grad(lambda w: losses.wgan_gp(keys, lambda x: jnp.sum(w * x), images, images))(0.0)
    assert np.isfinite(slope)


def test_losses_are_float32_scalars():
    image = jnp.zeros((2, 11, 11, 3))
    scalars = [loss(image, image) for loss in losses.PIXEL_LOSSES.values()]
    scalars += [pair.d(image, image, jnp.mean) for pair in losses.ADVERSARIAL.values()]
    scalars += [pair.g(image, image, jnp.mean) for pair in losses.ADVERSARIAL.values()]
    scalars.append(losses.feature_distance({}, {}, layers={}, criterion="l1"))
    assert {(x.shape, x.dtype) for x in scalars} == {((), jnp.dtype("float32"))}
