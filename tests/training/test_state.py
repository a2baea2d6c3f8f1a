"""Learning rates and optimisers against their formulas, and the state that a run starts from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import PIXEL, toy_config

from jaxsr.networks.weights import init_weights
from jaxsr.training.config import generator
from jaxsr.training.mesh import make_mesh
from jaxsr.training.schema import Optim
from jaxsr.training.state import abstract_state, ema_weights, init_state, optimiser, schedule

RATE, STEPS = 2e-3, 100
TINY = {"name": "compact", "scale": 2, "num_features": 2, "num_convs": 1}


def rates(steps, **optim) -> np.ndarray:
    rate = schedule(Optim(**optim), RATE, STEPS)
    return np.array([float(rate(jnp.int32(step))) for step in steps])


def cosine(share, floor=1e-5):
    """SGDR (Loshchilov and Hutter 2017), equation 5."""
    return floor + (RATE - floor) * (1 + np.cos(np.pi * share)) / 2


def test_constant_rate():
    np.testing.assert_allclose(rates([0, 7, 1000]), [RATE] * 3, rtol=1e-6)


def test_multistep_rate_falls_at_each_milestone():
    got = rates([0, 9, 10, 19, 20, 99], schedule="multistep", milestones=(10, 20), factor=0.3)
    wanted = RATE * np.array([1, 1, 0.3, 0.3, 0.09, 0.09])
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_cosine_rate_ends_at_the_floor_and_stays():
    steps = np.array([0, 1, 50, 75, 100])
    got = rates([*steps, 200], schedule="cosine", min_lr=1e-5)
    np.testing.assert_allclose(got, [*cosine(steps / 100), 1e-5], rtol=1e-5)


def test_cosine_restarts_begin_anew():
    steps = np.array([0, 1, 39, 40, 60, 80, 119])
    got = rates(steps, schedule="cosine_restarts", period=40, min_lr=1e-5)
    np.testing.assert_allclose(got, cosine(steps % 40 / 40), rtol=1e-5)
    assert got[3] == got[0] == pytest.approx(RATE)


@pytest.mark.parametrize("name, shape", [("constant", np.ones(4)), ("multistep", [1, 1, 1, 0.5])])
def test_warm_up_rises_by_equal_steps_to_the_whole_rate(name, shape):
    got = rates([0, 1, 3, 4], warmup=4, schedule=name, milestones=(4,))
    np.testing.assert_allclose(got, RATE * np.array([0.25, 0.5, 1, 1]) * shape, rtol=1e-6)


def test_a_rate_of_zero_stays_zero():
    rate = schedule(Optim(schedule="cosine"), 0.0, STEPS)
    assert [float(rate(jnp.int32(step))) for step in (0, 50, 100)] == [0, 0, 0]


PARAMS = {"a": np.array([1.0, -2.0]), "b": np.array([[0.5]])}
GRADS = [
    {"a": np.array([3.0, -4.0]), "b": np.array([[12.0]])},  # of norm 13
    {"a": np.array([0.01, 0.0]), "b": np.array([[-0.02]])},
]


def steps_of(**optim) -> list[dict]:
    """The parameters after each of two steps at a rate of 0.1."""
    tx, params = optimiser(Optim(**optim)), jax.tree.map(jnp.asarray, PARAMS)
    opt, history = tx.init(params), []
    for grads in GRADS:
        directions, opt = tx.update(jax.tree.map(jnp.asarray, grads), opt, params)
        params = jax.tree.map(lambda p, u: p - 0.1 * u, params, directions)
        history.append(params)
    return history


def agree(history, wanted):
    for got, by_hand in zip(history, wanted, strict=True):
        for name in PARAMS:
            np.testing.assert_allclose(got[name], by_hand[name], rtol=1e-5)


def adam(beta1, beta2, eps, decay=0.0) -> list[dict]:
    """Adam (Kingma and Ba 2015, algorithm 1), and its decoupled decay (Loshchilov and Hutter)."""
    params, history = PARAMS, []
    m = v = dict.fromkeys(PARAMS, 0.0)
    for t, grads in enumerate(GRADS, 1):
        m = {k: beta1 * m[k] + (1 - beta1) * g for k, g in grads.items()}
        v = {k: beta2 * v[k] + (1 - beta2) * g**2 for k, g in grads.items()}
        step = {k: (m[k] / (1 - beta1**t)) / (np.sqrt(v[k] / (1 - beta2**t)) + eps) for k in params}
        params = {k: p - 0.1 * step[k] - 0.1 * decay * p for k, p in params.items()}
        history.append(params)
    return history


def test_sgd_and_clipping():
    one = {k: p - 0.1 * GRADS[0][k] for k, p in PARAMS.items()}
    agree(steps_of(name="sgd"), [one, {k: p - 0.1 * GRADS[1][k] for k, p in one.items()}])
    one = {k: p - 0.1 * GRADS[0][k] * 6.5 / 13 for k, p in PARAMS.items()}
    two = {k: p - 0.1 * GRADS[1][k] for k, p in one.items()}  # below the bound: as it is
    agree(steps_of(name="sgd", clip=6.5), [one, two])


def test_adam():
    agree(steps_of(name="adam", betas=(0.8, 0.95), eps=1e-3), adam(0.8, 0.95, 1e-3))
    # Its decay is adamw's alone.
    agree(steps_of(name="adam", betas=(0.8, 0.95), weight_decay=0.5), adam(0.8, 0.95, 1e-8))


def test_adamw():
    got = steps_of(name="adamw", betas=(0.8, 0.95), eps=1e-3, weight_decay=0.5)
    agree(got, adam(0.8, 0.95, 1e-3, decay=0.5))


def leaves(state) -> list[np.ndarray]:
    """The arrays of a state, its key as words."""
    state = state.replace(key=jax.random.key_data(state.key))
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state)]


def test_the_first_state_follows_from_the_seed():
    config, other = (toy_config(generator=TINY, loss=PIXEL, seed=seed) for seed in (3, 4))
    one, again = (leaves(init_state(config, make_mesh(devices=n))) for n in (1, 2))
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a, b)
    different = leaves(init_state(other, make_mesh(devices=1)))
    changed = [not np.array_equal(a, b) for a, b in zip(one, different, strict=True)]
    assert sum(changed) > len(changed) / 3


def test_counters_start_at_zero_and_a_pixel_run_has_no_discriminator():
    state = init_state(toy_config(loss=PIXEL), make_mesh(devices=1))
    assert state.d is None
    counters = (state.step, state.position, state.skipped)
    assert [int(x) for x in counters] == [0, 0, 0]
    assert [x.dtype.name for x in counters] == ["int32", "uint32", "int32"]


def donated(tree):
    """The arrays plus one, in place of those given."""
    return jax.jit(lambda tree: jax.tree.map(lambda x: x + 1, tree), donate_argnums=0)(tree)


def test_the_state_can_be_donated():
    """Each array stands there once: an average that shared its buffers would be given twice."""
    config, mesh = toy_config(generator=TINY, loss=PIXEL), make_mesh(devices=8)
    state, twin = init_state(config, mesh), init_state(config, mesh)
    g, ema = donated((state.g.params, state.ema))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves((state.g, state.ema)))
    for part in (g, ema):
        for a, b in zip(jax.tree.leaves(part), jax.tree.leaves(twin.g.params), strict=True):
            np.testing.assert_array_equal(a, np.asarray(b) + 1)


@pytest.mark.parametrize("devices", [1, 8])
def test_given_weights_take_the_place_of_fresh_ones_and_survive(devices):
    config = toy_config(
        generator={"name": "srresnet", "scale": 2, "num_features": 2, "num_blocks": 1},
        loss=PIXEL,
        seed=1,
    )
    # Nothing looks at `start` before the donation: an array seen from numpy is not given away.
    start, twin = (init_weights(jax.random.key(9), generator(config)) for _ in range(2))
    start, twin = (w.replace(stats=jax.tree.map(lambda x: x + 0.5, w.stats)) for w in (start, twin))
    state = init_state(config, make_mesh(devices=devices), g=start)
    averaged = ema_weights(config, state)
    assert jax.tree.structure(averaged) == jax.tree.structure(twin)
    g, ema, stats = donated((state.g.params, state.ema, state.g.stats))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(averaged))
    assert_equal(start, twin)
    for params in (g, ema):
        assert_equal(averaged.replace(params=params, stats=stats), jax.tree.map(_plus_one, twin))


def _plus_one(x):
    return np.asarray(x) + 1


def assert_equal(got, wanted):
    assert got.arch == wanted.arch
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_abstract_state_is_that_of_the_real_one():
    config, mesh = toy_config(optim={"name": "adam"}), make_mesh(devices=8)
    real, abstract = init_state(config, mesh), abstract_state(config, mesh)
    assert jax.tree.structure(real) == jax.tree.structure(abstract)
    for a, b in zip(jax.tree.leaves(real), jax.tree.leaves(abstract), strict=True):
        assert (a.shape, a.dtype, a.sharding) == (b.shape, b.dtype, b.sharding)
