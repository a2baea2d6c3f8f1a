"""The state of a run, its optimisers and learning rates."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from jaxsr.networks.weights import Weights, init_weights
from jaxsr.training import mesh as meshes
from jaxsr.training.config import discriminator, generator
from jaxsr.training.schema import Config, Optim


@flax.struct.dataclass
class Net:
    """One player: parameters, batch statistics, optimiser state."""

    params: Any
    stats: Any
    opt: Any


@flax.struct.dataclass
class TrainState:
    """Arrays only; modules and optimisers are rebuilt from the config.

    `position` counts the examples drawn, `skipped` the non-finite steps in a row; `key` is the
    root of all randomness and never changes. `d` is None where the config has no discriminator.
    """

    step: jax.Array  # int32
    position: jax.Array  # uint32
    skipped: jax.Array  # int32
    key: jax.Array
    g: Net
    d: Any  # Net, or None
    ema: Any


def optimiser(optim: Optim) -> optax.GradientTransformation:
    """Clipped gradients to a direction; the step scales it by minus the learning rate.

    The rate stays outside so that both players' rates follow the step of the run, also when the
    discriminator starts late or a step was skipped.
    """
    clip = optax.clip_by_global_norm(optim.clip) if optim.clip else optax.identity()
    adam = optax.scale_by_adam(*optim.betas, eps=optim.eps)
    scale = {
        "adam": adam,
        "adamw": optax.chain(adam, optax.add_decayed_weights(optim.weight_decay)),
        "sgd": optax.identity(),
    }
    return optax.chain(clip, scale[optim.name])


def schedule(optim: Optim, rate: float, steps: int) -> Callable[[jax.Array], jax.Array]:
    """The learning rate of each step of the run, from 0; cosines end at `min_lr` after `steps`."""
    floor = optim.min_lr / rate if rate else 0.0
    shape = {
        "constant": lambda: optax.constant_schedule(rate),
        "multistep": lambda: optax.piecewise_constant_schedule(
            rate, dict.fromkeys(optim.milestones, optim.factor)
        ),
        "cosine": lambda: optax.cosine_decay_schedule(rate, steps, alpha=floor),
        "cosine_restarts": lambda: _restarts(rate, optim.period or steps, floor),
    }[optim.schedule]()

    def warmed(step):
        rise = jnp.minimum(1.0, (step + 1) / optim.warmup) if optim.warmup else 1.0
        return jnp.asarray(shape(step) * rise, jnp.float32)

    return warmed


def _restarts(rate: float, period: int, floor: float) -> Any:
    cosine = optax.cosine_decay_schedule(rate, period, alpha=floor)
    return lambda step: cosine(step % period)


def root_key(seed: int) -> jax.Array:
    """The root of all randomness of the runs of a seed: the `key` of their states."""
    return _first_keys(jax.random.key(seed))[2]


def _first_keys(key: jax.Array) -> jax.Array:
    """The keys of both players' first weights, and the root."""
    return jax.random.split(key, 3)


def init_state(
    config: Config, mesh: Mesh, *, g: Weights | None = None, d: Weights | None = None
) -> TrainState:
    """The state of step 0 on every device; `g` and `d` replace the networks' first weights."""
    state = _init(config, jax.random.key(config.train.seed), g, d)
    # Not under jit: compiling the initialisers of a deep network takes longer than running them.
    return meshes.replicate(mesh, state)


def abstract_state(config: Config, mesh: Mesh) -> TrainState:
    """Shapes, dtypes and shardings of the state, without its arrays."""
    shapes = jax.eval_shape(lambda key: _init(config, key, None, None), jax.random.key(0))
    sharding = meshes.replicated(mesh)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), shapes)


def _init(config: Config, key: jax.Array, g: Weights | None, d: Weights | None) -> TrainState:
    g_key, d_key, root = _first_keys(key)
    tx = optimiser(config.optim)
    # Copies, since the step is given the state to destroy, and the caller keeps what it gave.
    first = jax.tree.map(jnp.copy, g) if g else init_weights(g_key, generator(config))
    d_arch = discriminator(config)
    if d_arch:
        d = jax.tree.map(jnp.copy, d) if d else init_weights(d_key, d_arch)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        position=jnp.zeros((), jnp.uint32),
        skipped=jnp.zeros((), jnp.int32),
        key=root,
        g=_net(first, tx),
        d=_net(d, tx) if d else None,
        # A copy: donating one buffer under two names is an error.
        ema=jax.tree.map(jnp.copy, first.params),
    )


def _net(weights: Weights, tx: optax.GradientTransformation) -> Net:
    return Net(weights.params, weights.stats, tx.init(weights.params))


def ema_weights(config: Config, state: TrainState) -> Weights:
    """The averaged generator that evaluation and inference use, with the live statistics."""
    return Weights(state.ema, state.g.stats, generator(config), config.data.ranges)
