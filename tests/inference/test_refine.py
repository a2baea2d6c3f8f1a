import jax.numpy as jnp
import numpy as np
import pytest

from jaxsr.imaging.resize import matrix, resize
from jaxsr.inference.refine import (
    blend,
    consistent,
    project,
    residual,
    resized,
    self_ensemble,
)
from jaxsr.networks.generators import ESPCN, SRResNet
from jaxsr.networks.weights import Weights


def random(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def skewed(image):
    """Twice the size by repetition, with a pattern that no flip or turn leaves as it is."""
    sr = image.repeat(2, -3).repeat(2, -2)
    down, right = (np.linspace(0, 1, n, dtype=np.float32) ** 2 for n in sr.shape[-3:-1])
    return sr + down.reshape(-1, 1, 1) + 2 * right.reshape(-1, 1)


TURNS = [
    lambda x: np.rot90(x, 1, axes=(-3, -2)),
    lambda x: np.flip(x, -3),
    lambda x: np.flip(x, -2),
]


@pytest.mark.parametrize("turn", TURNS)
def test_ensemble_turns_with_its_picture(turn):
    image = random(5, 8, 3)
    ensemble = self_ensemble(skewed)
    np.testing.assert_allclose(ensemble(turn(image)), turn(ensemble(image)), atol=1e-6)
    assert np.abs(skewed(turn(image)) - turn(skewed(image))).max() > 1e-2


def test_ensemble_is_the_mean_of_eight():
    image, seen = random(2, 5, 8, 1), []

    def network(x):
        seen.append(x)
        return np.full((*x.shape[:-3], 2 * x.shape[-3], 2 * x.shape[-2], 1), len(seen), np.float32)

    np.testing.assert_array_equal(self_ensemble(network)(image), 4.5)
    assert sorted(x.shape for x in seen) == [(2, 5, 8, 1)] * 4 + [(2, 8, 5, 1)] * 4
    assert len({x.tobytes() for x in seen}) == 8


def test_blend_runs_from_one_to_the_other():
    a = Weights({"w": jnp.zeros(3)}, {"m": jnp.ones(2)}, ESPCN(scale=2))
    b = Weights({"w": jnp.ones(3)}, {"m": jnp.full(2, 3.0)}, ESPCN(scale=2))
    mixed = blend(a, b, strength=0.25)
    np.testing.assert_allclose(mixed.params["w"], 0.25)
    np.testing.assert_allclose(mixed.stats["m"], 1.5)


def test_blend_refuses_what_cannot_be_blended():
    a = Weights({}, {}, ESPCN(scale=2))
    with pytest.raises(ValueError, match="two checkpoints of one network"):
        blend(a, Weights({}, {}, SRResNet(scale=2)), strength=0.5)
    with pytest.raises(ValueError, match=r"ranges \(\) and of .* ranges \(\(0, 2\),\)"):
        blend(a, a.replace(ranges=((0, 2),)), strength=0.5)
    with pytest.raises(ValueError, match=r"got 1\.5, wanted 0"):
        blend(a, a, strength=1.5)


@pytest.mark.parametrize(("factor", "size"), [(2.0, (10, 14)), (1.5, (8, 10)), (0.1, (1, 1))])
def test_any_factor(factor, size):
    image = random(5, 7, 3)
    sr = resized(skewed, scale=factor)(image)
    assert sr.shape == (*size, 3)
    np.testing.assert_array_equal(sr, resize(skewed(image), size))


def test_any_size():
    image = random(2, 5, 7, 3)
    sr = resized(skewed, size=(9, 11))(image)
    np.testing.assert_array_equal(sr, resize(skewed(image), (9, 11)))


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(6, 9), (1, 5), (3, 1)])
def test_projection_meets_the_input_and_is_the_nearest_that_does(scale, size):
    height, width = size
    lr, sr = random(*size, 2), random(height * scale, width * scale, 2, seed=1)
    projected = project(sr, lr)
    assert residual(projected, lr) < 1e-5
    # Dense least squares, of the rows and columns at once.
    reduce = np.kron(
        matrix(height * scale, height, "bicubic"), matrix(width * scale, width, "bicubic")
    )
    flat = sr.reshape(-1, 2).astype(np.float64)
    wanted = flat + np.linalg.pinv(reduce) @ (lr.reshape(-1, 2) - reduce @ flat)
    np.testing.assert_allclose(projected.reshape(-1, 2), wanted, atol=1e-5)


def test_consistency_of_a_batch_leaves_a_small_residual_within_range():
    lr = resize(random(2, 4, 5, 3), (12, 10)).clip(0, 1)
    before = np.clip(resize(lr, (24, 20)) + 0.05, 0, 1)
    sr = consistent(lambda _: before)(lr)
    assert sr.dtype == np.float32 and sr.min() >= 0 and sr.max() <= 1
    assert residual(sr, lr) < 1 / 255 < residual(before, lr)
