"""The adversarial step: one function, jitted, donated and parallel over the mesh axis `data`.

Inside `jax.shard_map` the mean over devices stands inside each loss, so that differentiating it
gives the gradient of the whole batch: `grad(pmean(loss))`. The other order would give it once per
device.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from jaxsr.imaging.bands import to_unit
from jaxsr.imaging.degrade import crop_alike, degrade, with_levels
from jaxsr.networks.features import vgg_features
from jaxsr.training import losses
from jaxsr.training.config import degradation, discriminator, generator
from jaxsr.training.mesh import AXIS
from jaxsr.training.schema import Config
from jaxsr.training.state import Net, TrainState, optimiser, schedule

# One fold of an example's key for each use of randomness; a number, once given, keeps its meaning.
STREAMS = {"degrade": 0, "penalty": 1, "latent": 2}

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]
Step = Callable[[TrainState, Batch, Any], tuple[TrainState, Metrics]]


def make_step(config: Config, mesh: Mesh, *, pixel_only: bool) -> Step:
    """The step of one stage: `(state, batch, vgg) -> (state, metrics)`, donating the state.

    `batch` holds `hr` [N, crop, crop, C] of the file's dtype and `number` [N] uint32 (and `lr`
    [N, ...] for pairs, or `coded`, as `hr`, of which LR is then made), split over the mesh; `vgg`
    the parameters of `load_vgg`, or None. `pixel_only` leaves the discriminator and the perceptual
    term out at trace time. Metrics are float32 scalars.
    """
    return jax.jit(make_local_step(config, mesh, pixel_only=pixel_only), donate_argnums=0)


def make_local_step(config: Config, mesh: Mesh, *, pixel_only: bool) -> Step:
    """`make_step` without jit, to trace, lower or export."""
    g_arch, d_arch = generator(config), discriminator(config)
    dtype = jnp.dtype(config.train.dtype)
    g_arch = g_arch.clone(dtype=dtype, axis_name=AXIS)
    d_arch: Any = None if pixel_only or not d_arch else d_arch.clone(dtype=dtype, axis_name=AXIS)
    perceptual = None if pixel_only else config.loss.perceptual
    game: Any = config.loss.adversarial
    adversarial: Any = losses.ADVERSARIAL[game.kind] if game else None
    penalty: Any = config.loss.penalty
    tx = optimiser(config.optim)
    steps, rate = config.train.steps, config.optim.lr
    d_rate = config.optim.d_lr if config.optim.d_lr is not None else rate
    g_schedule = schedule(config.optim, rate, steps)
    d_schedule = schedule(config.optim, d_rate, steps)
    parts = config.train.accumulate
    latent = getattr(g_arch, "latent", 0)  # numbers that a picture is made of; 0: made of a picture

    def discriminate(params, stats, image):
        logits, new = d_arch.apply(
            {"params": params, "batch_stats": stats}, image, train=True, mutable=["batch_stats"]
        )
        return logits, new.get("batch_stats", stats)

    def generate(params, stats, lr):
        sr, new = g_arch.apply(
            {"params": params, "batch_stats": stats}, lr, train=True, mutable=["batch_stats"]
        )
        return sr, new.get("batch_stats", stats)

    def step(state: TrainState, batch: Batch, vgg: Any) -> tuple[TrainState, Metrics]:
        # 1. Pictures: every example has a key of its own, from its absolute number.
        keys = example_keys(state.key, batch["number"])
        target = hr = to_unit(batch["hr"], config.data.ranges)
        if latent:
            draw = jax.vmap(lambda key: jax.random.normal(key, (latent,)))
            lr = draw(stream(keys, "latent"))
        elif "lr" in batch:
            lr = to_unit(batch["lr"], config.data.ranges)
        else:
            lr, target, hr = make_pairs(stream(keys, "degrade"), batch, config=config)
        pictures = {"lr": lr, "target": target, "hr": hr, "keys": stream(keys, "penalty")}

        # 2. Generator, the discriminator frozen; its statistics of this pass are dropped.
        def g_loss(params, stats, part):
            sr, stats = generate(params, stats, part["lr"])
            terms = {k: losses.PIXEL_LOSSES[k](sr, part["target"]) for k in config.loss.pixel}
            total = _weighted(terms, config.loss.pixel)
            if perceptual:
                weights = {"perceptual": perceptual.weight, "content": perceptual.content_weight}
                for name, term in _perceptual(vgg, sr, part["target"], perceptual).items():
                    terms[name] = term
                    total += weights[name] * term
            if d_arch:
                fake, _ = discriminate(state.d.params, state.d.stats, sr)
                real = fake
                if adversarial.g_sees_real:
                    real, _ = discriminate(state.d.params, state.d.stats, part["hr"])
                terms["g_adversarial"] = adversarial.g(real, fake, _global_mean)
                total += game.weight * terms["g_adversarial"]
            return _mean({"g_loss": total, **terms}), stats, sr

        g_grads, metrics, g_stats, sr = _gradient(g_loss, "g_loss", state.g, pictures, parts)
        g = _update(tx, state.g, g_grads, g_schedule(state.step), g_stats)
        ema = optax.incremental_update(g.params, state.ema, 1.0 - config.optim.ema)
        metrics |= {"g_grad_norm": optax.tree.norm(g_grads), "lr": g_schedule(state.step)}
        if latent:
            metrics |= {
                "pairwise_distance": _pairwise(sr),
                "pairwise_distance_real": _pairwise(hr),
            }
        d = state.d

        # 3. Discriminator, on the pictures that the generator made before its update.
        if d_arch:
            pictures["sr"] = jax.lax.stop_gradient(sr)

            def d_loss(params, stats, part):
                real, stats = discriminate(params, stats, part["hr"])
                fake, stats = discriminate(params, stats, part["sr"])
                terms = {"d_real": jnp.mean(real), "d_fake": jnp.mean(fake)}
                total = adversarial.d(real, fake, _global_mean)
                if penalty:
                    terms["penalty"] = lazy_penalty(params, stats, part)
                    total += penalty.weight * penalty.every * terms["penalty"]
                return _mean({"d_loss": total, **terms}), stats, None

            def lazy_penalty(params, stats, part):
                def now():
                    return losses.PENALTIES[penalty.kind](
                        part["keys"],
                        lambda x: discriminate(params, stats, x)[0],
                        part["hr"],
                        part["sr"],
                    )

                def later():
                    return jax.lax.pcast(jnp.zeros(()), AXIS, to="varying")

                return jax.lax.cond((state.step + 1) % penalty.every == 0, now, later)

            d_grads, d_metrics, d_stats, _ = _gradient(d_loss, "d_loss", state.d, pictures, parts)
            d = _update(tx, state.d, d_grads, d_schedule(state.step), d_stats)
            metrics |= d_metrics
            metrics |= {"d_grad_norm": optax.tree.norm(d_grads), "d_lr": d_schedule(state.step)}

        # 4. A step with a non-finite loss or gradient of either player leaves both as they were.
        checked = [v for k, v in metrics.items() if k.endswith(("_loss", "_norm"))]
        finite = jnp.all(jnp.isfinite(jnp.stack(checked)))
        g, d, ema = jax.tree.map(
            lambda new, old: jnp.where(finite, new, old), (g, d, ema), (state.g, state.d, state.ema)
        )
        skipped = jnp.where(finite, 0, state.skipped + 1)
        count = batch["number"].shape[0] * jax.lax.axis_size(AXIS)
        state = dataclasses.replace(
            state,
            step=state.step + 1,
            position=state.position + jnp.uint32(count),
            skipped=skipped,
            g=g,
            d=d,
            ema=ema,
        )
        return state, metrics | {"skipped": jnp.float32(skipped)}

    return jax.shard_map(step, mesh=mesh, in_specs=(P(), P(AXIS), P()), out_specs=P())


def make_pairs(
    keys: jax.Array, batch: Batch, *, config: Config
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """What the networks see of crops of HR: (lr, target, hr) of `data.crop`, in [0, 1].

    `keys` are those of the examples for the stream "degrade".
    """
    spec, ranges = degradation(config), config.data.ranges
    hr = to_unit(batch["hr"], ranges)
    given = with_levels(spec, batch["hr"].dtype, channels=hr.shape[-1], ranges=ranges)
    coded = to_unit(batch["coded"], ()) if "coded" in batch else None
    lr, target, hr = degrade(keys, hr, given, source=coded)
    if spec.crop:
        lr, target, hr = crop_alike(keys, lr, target, hr, size=config.data.crop)
    return lr, target, hr


def example_keys(key: jax.Array, numbers: jax.Array) -> jax.Array:
    """The keys of examples [N] by their absolute numbers, in a run of this root `key`."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, numbers)


def stream(keys: jax.Array, name: str) -> jax.Array:
    """The keys of examples [N] for one use of randomness, one of `STREAMS`."""
    return jax.vmap(jax.random.fold_in, (0, None))(keys, STREAMS[name])


def _global_mean(x: jax.Array) -> jax.Array:
    return jax.lax.pmean(jnp.mean(x), AXIS)


def _pairwise(pictures: jax.Array) -> jax.Array:
    """Root of the mean squared distance, a pixel, of two pictures of the batch of all devices.

    It is sqrt(2) times the deviation from the mean picture, so no pairs need be made.
    """
    count = pictures.shape[0] * jax.lax.axis_size(AXIS)
    centre = jax.lax.pmean(jnp.mean(pictures, axis=0, keepdims=True), AXIS)
    spread = _global_mean(jnp.square(pictures - centre))
    return jnp.sqrt(2 * spread * count / max(count - 1, 1))


def _mean(terms: Metrics) -> Metrics:
    return {k: jax.lax.pmean(jnp.float32(v), AXIS) for k, v in terms.items()}


def _perceptual(vgg: Any, sr: jax.Array, target: jax.Array, wanted: Any) -> Metrics:
    """The distances of VGG's features, and of what it makes of the whole crop, where asked for."""
    pair = [vgg_features(vgg, x, wanted.features) for x in (sr, target)]
    distance = partial(losses.feature_distance, *pair, criterion=wanted.criterion)
    terms = {}
    if wanted.layers:
        terms["perceptual"] = distance(layers=wanted.layers)
    if wanted.content:
        terms["content"] = distance(layers={wanted.content: 1.0})
    return terms


def _weighted(terms: Metrics, weights: dict[str, float]) -> jax.Array:
    return sum((weight * terms[name] for name, weight in weights.items()), jnp.zeros(()))


def _gradient(loss, name: str, net: Net, pictures: Batch, parts: int):
    """Gradient, metrics, statistics and pictures of `loss`, over the parts of the batch."""

    def objective(params, stats, part):
        terms, stats, sr = loss(params, stats, part)
        return terms[name], (terms, stats, sr)

    grad = jax.grad(objective, has_aux=True)
    if parts == 1:
        grads, (terms, stats, sr) = grad(net.params, net.stats, pictures)
        return grads, terms, stats, sr

    def body(carry, part):
        stats, total = carry
        grads, (terms, stats, sr) = grad(net.params, stats, part)
        return (stats, jax.tree.map(jnp.add, total, grads)), (terms, sr)

    split = jax.tree.map(lambda x: x.reshape(parts, -1, *x.shape[1:]), pictures)
    start = (net.stats, jax.tree.map(jnp.zeros_like, net.params))
    (stats, total), (terms, sr) = jax.lax.scan(body, start, split)
    grads = jax.tree.map(lambda x: x / parts, total)
    terms = jax.tree.map(lambda x: jnp.mean(x, axis=0), terms)
    return grads, terms, stats, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), sr)


def _update(tx, net: Net, grads, rate: jax.Array, stats) -> Net:
    directions, opt = tx.update(grads, net.opt, net.params)
    params = jax.tree.map(lambda p, u: p - rate * u, net.params, directions)
    return Net(params, stats, opt)
