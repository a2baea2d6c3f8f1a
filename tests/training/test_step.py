"""The adversarial step: the same on any number of devices, each term felt, a bad batch harmless."""

import dataclasses
import logging

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from jax import export
from toy import GAN, PIXEL, run_steps, start_state, toy_batch, toy_config

from jaxsr.training import mesh as meshes
from jaxsr.training.config import discriminator, generator, make_config
from jaxsr.training.state import abstract_state
from jaxsr.training.step import make_local_step, make_step


@pytest.fixture(autouse=True)
def fold_the_root_again():
    """Each step folds the run's root key anew, which the checker of key reuse takes for reuse."""
    with jax.debug_key_reuse(False):
        yield


NORMED = {"name": "srresnet", "scale": 2, "num_features": 4, "num_blocks": 1}


def largest_difference(a, b) -> float:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(np.max(np.abs(np.asarray(x) - np.asarray(y)))) for x, y in pairs)


def unmoved(before, after) -> set[str]:
    """Names of the parameters of a player that a step left as they were."""
    old, new = (flatten_dict(jax.device_get(net.params), sep="/") for net in (before, after))
    return {name for name in old if np.array_equal(old[name], new[name])}


def adversarial(kind: str, **terms):
    return {"adversarial": {"kind": kind, "weight": 1.0}, **terms}


# Batch statistics of both players, means inside the loss, a lazy penalty of second order and one
# that draws.
EVERYWHERE = {
    "batch norm, relativistic": toy_config(
        loss=adversarial("relativistic", **PIXEL),
        generator=NORMED,
        discriminator="srgan",
    ),
    "lazy R1": toy_config(loss={**GAN, "penalty": {"kind": "r1", "weight": 0.1, "every": 2}}),
    "WGAN-GP": toy_config(loss=adversarial("wgan", penalty={"kind": "wgan_gp", "weight": 1.0})),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in ("lazy R1", "WGAN-GP") else [])
        for name in EVERYWHERE
    ],
)
def test_eight_devices_step_as_one(name):
    config = EVERYWHERE[name]
    one, one_metrics = run_steps(config, 1, steps=3)
    eight, eight_metrics = run_steps(config, 8, steps=3)
    for a, b in zip(one_metrics, eight_metrics, strict=True):
        assert a == pytest.approx(b, rel=2e-4, abs=2e-5)
    for part in ("g", "d", "ema"):
        assert largest_difference(getattr(one, part), getattr(eight, part)) < 2e-5
    start = start_state(config)
    assert largest_difference(start.g.params, one.g.params) > 1e-4  # there was something to compare


@pytest.mark.slow
def test_parts_of_a_batch_step_as_the_whole():
    """Without batch statistics; the spectral norm's iterations differ, so D is held to less."""
    whole, whole_metrics = run_steps(toy_config(), 1)
    parts, parts_metrics = run_steps(toy_config(accumulate=4), 1)
    assert largest_difference(whole.g.params, parts.g.params) < 1e-6
    assert largest_difference(whole.d.params, parts.d.params) < 1e-3
    for name in ("g_loss", "l1", "g_adversarial", "g_grad_norm"):
        assert whole_metrics[0][name] == pytest.approx(parts_metrics[0][name], rel=1e-4)
    assert whole_metrics[0]["d_loss"] == pytest.approx(parts_metrics[0]["d_loss"], rel=1e-2)


def test_each_stage_compiles_once(caplog):
    config = toy_config(steps=6, pixel_steps=3)
    mesh = meshes.make_mesh()
    state = meshes.replicate(mesh, start_state(config))
    stages = [make_step(config, mesh, pixel_only=only) for only in (True, False)]
    with caplog.at_level(logging.WARNING), jax.log_compiles():
        for i in range(6):
            batch = meshes.global_batch(mesh, toy_batch(config, 8 * i))
            state, _ = stages[i >= 3](state, batch, None)
    compiled = [r for r in caplog.messages if r.startswith("Compiling") and "step" in r.split()[1]]
    assert len(compiled) == 2, compiled


def test_the_pixel_stage_leaves_the_discriminator_alone():
    config = toy_config(pixel_steps=5)
    before = start_state(config)
    after, metrics = run_steps(config, 1, steps=2, pixel_only=True)
    assert largest_difference(before.d, after.d) == 0.0
    assert largest_difference(before.g.params, after.g.params) > 0.0
    assert not any(name.startswith("d_") for name in metrics[0])


@pytest.mark.parametrize(
    "kind",
    [
        "relativistic",
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in ("vanilla", "lsgan", "hinge", "wgan")
        ),
    ],
)
def test_each_adversarial_loss_moves_both_players(kind):
    config = toy_config(loss=adversarial(kind), optim={"lr": 0.1})  # for the last kernels are faint
    before = start_state(config)
    after, _ = run_steps(config, 1)
    still = unmoved(before.g, after.g) | unmoved(before.d, after.d)
    # A difference of logits does not feel what is added to both.
    assert still <= {"conv9/bias"}, still
    # The discriminator's step, alone, lowers its loss: the sign is right.
    config = toy_config(loss=adversarial(kind), optim={"lr": 0.0, "d_lr": 0.1})
    _, metrics = run_steps(config, 1, steps=2, batches=[toy_batch(config)] * 2)
    assert metrics[1]["d_loss"] < metrics[0]["d_loss"]


@pytest.mark.parametrize("term", ["l1", "l2", "charbonnier", "ssim", "perceptual", "content"])
def test_each_generator_term_moves_the_generator(term):
    vgg = None
    loss = {"pixel": {term: 1.0}}
    if term in ("perceptual", "content"):
        vgg = _toy_vgg()
        asked = {"perceptual": {"layers": {"conv1_2": 1.0}}, "content": {"content": "pooled"}}
        loss = {"perceptual": {"weights": "unused", **asked[term]}}
    # Enough to be seen behind the point of every parameter, and not too much.
    config = toy_config(
        loss=loss, optim={"lr": 0.1 if term in ("l1", "l2", "charbonnier") else 1e-3}
    )
    before = start_state(config)
    after, metrics = run_steps(config, 1, steps=2, vgg=vgg, batches=[toy_batch(config)] * 2)
    assert not unmoved(before.g, after.g)
    assert metrics[1][term] < metrics[0][term]


def _toy_vgg():
    keys = jax.random.split(jax.random.key(0))
    shapes = {"conv1_1": (3, 3, 3, 4), "conv1_2": (3, 3, 4, 4)}
    return {
        name: {"kernel": jax.random.normal(key, shape) / 5, "bias": jnp.zeros(4)}
        for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def test_content_is_weighed_beside_the_features():
    vgg = _toy_vgg()
    terms = {"layers": {"conv1_2": 1.0}, "weight": 2.0, "content": "pooled", "content_weight": 3.0}
    config = toy_config(loss={**PIXEL, "perceptual": {"weights": "unused", **terms}})
    _, (metrics,) = run_steps(config, 1, vgg=vgg)
    total = metrics["l1"] + 2 * metrics["perceptual"] + 3 * metrics["content"]
    assert metrics["g_loss"] == pytest.approx(total, rel=1e-5)
    assert metrics["content"] > 0


NOISE_TO_IMAGE = toy_config(
    loss={"adversarial": {"kind": "vanilla", "weight": 1.0}},
    generator={"name": "dcgan", "size": 16, "latent": 5, "num_features": 2},
    discriminator={"name": "strided", "features": (2, 3)},
)


def test_noise_becomes_pictures_alike_on_any_number_of_devices():
    config = NOISE_TO_IMAGE
    one, one_metrics = run_steps(config, 1, steps=2)
    eight, eight_metrics = run_steps(config, 8, steps=2)
    for a, b in zip(one_metrics, eight_metrics, strict=True):
        assert a == pytest.approx(b, rel=2e-4, abs=2e-5)
    start = start_state(config)
    assert largest_difference(one.g.params, eight.g.params) < 2e-5
    assert not unmoved(start.g, one.g)


@pytest.mark.slow
def test_the_pairwise_distance_is_that_of_all_pairs():
    config = NOISE_TO_IMAGE
    batch = toy_batch(config)
    _, (metrics,) = run_steps(config, 8, batches=[batch])
    real = batch["hr"].reshape(8, -1) / 255
    pairs = [(i, j) for i in range(8) for j in range(i)]
    wanted = np.sqrt(np.mean([np.mean((real[i] - real[j]) ** 2) for i, j in pairs]))
    assert metrics["pairwise_distance_real"] == pytest.approx(wanted, rel=1e-5)
    state, arch = start_state(config), generator(config)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(state.key, batch["number"])
    keys = jax.vmap(jax.random.fold_in, (0, None))(keys, 2)
    noise = jax.vmap(lambda key: jax.random.normal(key, (5,)))(keys)
    variables = {"params": state.g.params, "batch_stats": state.g.stats}
    made, _ = arch.apply(variables, noise, train=True, mutable=["batch_stats"])
    made = np.asarray(made).reshape(8, -1)
    wanted = np.sqrt(np.mean([np.mean((made[i] - made[j]) ** 2) for i, j in pairs]))
    assert metrics["pairwise_distance"] == pytest.approx(wanted, rel=1e-4)


def test_what_is_given_lies_in_the_stated_ranges():
    """Bands of any range train as if they had been scaled by hand."""
    tree = msgspec.to_builtins(toy_config(loss=PIXEL))
    tree["degrade"]["levels"] = 0  # uint8 alone would be rounded
    config = make_config(tree)
    tree["data"]["ranges"] = [[-10.0, 30.0], [0.0, 4000.0], [5.0, 6.0]]
    ranged = make_config(tree)
    batch = toy_batch(config)
    low, high = np.array(ranged.data.ranges).T
    stated = {**batch, "hr": (batch["hr"] / 255 * (high - low) + low).astype(np.float32)}
    _, (plain,) = run_steps(config, 1, batches=[batch])
    _, (scaled,) = run_steps(ranged, 1, batches=[stated])
    assert scaled == pytest.approx(plain, rel=1e-4)


@pytest.mark.slow
def test_a_chain_degrades_each_example_by_its_number():
    restore = {"name": "compact", "scale": 1, "num_features": 4, "num_convs": 1}
    tree = msgspec.to_builtins(toy_config(loss=PIXEL))
    chain = {"kind": "chain", "steps": [{"op": "noise", "sigma": [20, 40]}, {"op": "jpeg"}]}
    config = make_config({**tree, "generator": restore, "degrade": chain})
    _, (one,) = run_steps(config, 1)
    _, (eight,) = run_steps(config, 8)
    assert one == pytest.approx(eight, rel=1e-4)
    batch = toy_batch(config)
    _, (other,) = run_steps(config, 1, batches=[{**batch, "number": batch["number"] + 8}])
    assert other["l1"] != pytest.approx(one["l1"], rel=1e-4)
    assert one["l1"] > 10 / 255


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["r1", "wgan_gp"])
def test_each_penalty_moves_the_discriminator(kind):
    plain, _ = run_steps(toy_config(), 1)
    penalised, metrics = run_steps(
        toy_config(loss={**GAN, "penalty": {"kind": kind, "weight": 10.0}}), 1
    )
    assert metrics[0]["penalty"] > 0
    assert largest_difference(plain.d.params, penalised.d.params) > 1e-5
    assert largest_difference(plain.g.params, penalised.g.params) == 0.0


@pytest.mark.slow
def test_a_lazy_penalty_is_paid_in_full_every_other_step():
    loss = {**GAN, "penalty": {"kind": "r1", "weight": 3.0, "every": 2}}
    _, metrics = run_steps(toy_config(loss=loss), 1, steps=2)
    _, plain = run_steps(toy_config(), 1, steps=2)
    assert metrics[0]["penalty"] == 0.0
    assert metrics[0]["d_loss"] == plain[0]["d_loss"]
    assert metrics[1]["d_loss"] == pytest.approx(
        plain[1]["d_loss"] + 2 * 3.0 * metrics[1]["penalty"], rel=1e-5
    )


def test_a_batch_that_is_not_finite_changes_nothing():
    config = toy_config(generator=NORMED, discriminator="srgan", crop=16)
    bad = toy_batch(config)
    bad["hr"] = bad["hr"].astype(np.float32) / 255
    good = {**bad, "hr": bad["hr"].copy()}
    bad["hr"][3, 2, 1, 0] = np.nan
    before = start_state(config)
    after, metrics = run_steps(config, 1, steps=2, batches=[bad, bad])
    for part in ("g", "d", "ema"):
        assert largest_difference(getattr(before, part), getattr(after, part)) == 0.0
    assert (after.step, after.position, after.skipped) == (2, 16, 2)
    assert [m["skipped"] for m in metrics] == [1, 2]
    healed, metrics = run_steps(config, 1, steps=2, batches=[bad, good])
    assert healed.skipped == 0
    assert largest_difference(before.g.params, healed.g.params) > 0


def test_bfloat16_computes_the_same_and_keeps_float32_parameters():
    exact, exact_metrics = run_steps(toy_config(), 1)
    coarse, coarse_metrics = run_steps(toy_config(dtype="bfloat16"), 1)
    for name in ("g_loss", "d_loss", "l1", "d_real", "d_fake"):
        assert coarse_metrics[0][name] == pytest.approx(exact_metrics[0][name], rel=0.02, abs=0.01)
    assert coarse_metrics[0] != exact_metrics[0]
    assert {x.dtype for x in jax.tree.leaves(coarse.g.params)} == {np.dtype(np.float32)}
    assert largest_difference(exact.g.params, coarse.g.params) < 1e-3


def test_the_averaged_weights_follow_their_closed_form():
    config = toy_config(optim={"ema": 0.9})
    start = start_state(config)
    state, _ = run_steps(config, 1)
    wanted = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, start.ema, state.g.params)
    assert largest_difference(wanted, state.ema) < 1e-7


def test_clipping_bounds_the_step():
    config = toy_config(loss={"pixel": {"l2": 1e4}}, optim={"lr": 1.0, "clip": 0.5})
    start = start_state(config)
    state, metrics = run_steps(config, 1)
    moved = jax.tree.map(lambda a, b: np.sum((a - b) ** 2), start.g.params, state.g.params)
    assert metrics[0]["g_grad_norm"] > 0.5
    assert np.sqrt(sum(jax.tree.leaves(moved))) == pytest.approx(0.5, rel=1e-4)


@pytest.mark.slow
def test_the_levels_of_lr_are_those_of_the_files():
    """12 bits of 16, of which 8 would leave 16 levels; 8 bits; and what the config says."""

    def loss(pixels, **degrade):
        tree = msgspec.to_builtins(toy_config(loss=PIXEL)) | {"degrade": degrade}
        batch = toy_batch(make_config(tree)) | {"hr": pixels}
        _, (metrics,) = run_steps(make_config(tree), 1, batches=[batch])
        return metrics["l1"]

    eight = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)
    deep = eight.astype(np.uint16) * 16
    assert loss(deep) == loss(deep, levels=0) != loss(deep, levels=255)
    assert loss(eight) == loss(eight, levels=255) != loss(eight, levels=0)


def test_pairs_are_taken_as_they_are():
    config = toy_config(loss=PIXEL)
    _, plain = run_steps(config, 1)
    batch = toy_batch(config)
    black = {**batch, "lr": np.zeros((8, 8, 8, 3), np.uint8)}
    _, paired = run_steps(config, 1, batches=[black])
    assert paired[0]["l1"] != pytest.approx(plain[0]["l1"], rel=0.1)


def test_what_was_coded_is_degraded_and_the_original_wanted():
    config = toy_config(loss=PIXEL)
    batch = toy_batch(config)
    _, (metrics,) = run_steps(config, 1, batches=[{**batch, "coded": np.zeros_like(batch["hr"])}])
    black = jnp.zeros((8, 8, 8, 3))  # and so is a black picture reduced
    made = generator(config).apply({"params": start_state(config).g.params}, black)
    wanted = np.abs(made - batch["hr"] / np.float32(255)).mean()
    assert metrics["l1"] == pytest.approx(wanted, rel=1e-5)


def test_pixels_see_the_target_and_the_discriminator_sees_the_original(monkeypatch):
    """With a black target and a white original, whatever the crop."""

    @dataclasses.dataclass(frozen=True)
    class Torn:
        scale: int = 2
        levels: int = 255
        crop: int = 24
        least: int = 1

        def apply(self, keys, hr):
            return hr[:, ::2, ::2], 0 * hr

    monkeypatch.setattr("jaxsr.training.step.degradation", lambda config: Torn())
    config = toy_config()
    white = np.full((8, 24, 24, 3), 255, np.uint8)
    batch = {"hr": white, "number": np.arange(8, dtype=np.uint32)}
    _, (metrics,) = run_steps(config, 1, batches=[batch])
    start = start_state(config)
    made = generator(config).apply({"params": start.g.params}, jnp.ones((8, 8, 8, 3)))
    assert metrics["l1"] == pytest.approx(float(jnp.abs(made).mean()), rel=1e-5)
    variables = {"params": start.d.params, "batch_stats": start.d.stats}
    judged, _ = discriminator(config).apply(
        variables, jnp.ones((8, 16, 16, 3)), train=True, mutable=["batch_stats"]
    )
    assert metrics["d_real"] == pytest.approx(float(judged.mean()), rel=1e-4)


CROPPED = {"kind": "noise", "sigma": [5, 25], "crop": 24}


def test_eight_devices_cut_and_degrade_as_one():
    config = toy_config(loss=PIXEL, degrade=CROPPED)
    one, eight = (run_steps(config, devices) for devices in (1, 8))
    assert one[1][0]["l1"] == pytest.approx(eight[1][0]["l1"], rel=1e-5)
    for x, y in zip(*(jax.tree.leaves(each[0].g.params) for each in (one, eight)), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)


LOWERED = {
    "bicubic": EVERYWHERE["lazy R1"],
    "realesrgan": toy_config(loss=PIXEL, degrade={"kind": "realesrgan", "crop": 64}),
    "bsrgan": toy_config(loss=PIXEL, degrade={"kind": "bsrgan", "crop": 64}),
}


@pytest.mark.parametrize("kind", LOWERED)
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_the_whole_step_lowers_for_accelerators(platform, kind):
    config = LOWERED[kind]
    mesh = meshes.make_mesh(devices=8)
    batch = jax.eval_shape(lambda: jax.tree.map(jnp.asarray, toy_batch(config)))
    step = jax.jit(make_local_step(config, mesh, pixel_only=False), donate_argnums=0)
    lowered = export.export(step, platforms=[platform])(abstract_state(config, mesh), batch, None)
    assert lowered.platforms == (platform,)
    assert "all_reduce" in lowered.mlir_module()


def test_one_step_gives_the_golden_scalars():
    """Made by this code on the CPU; jax 0.10.2 and 0.12.0 agree on them.

    They guard against unmeant changes. If you meant the change (another loss, order, initialiser
    or stream of randomness), print `metrics` below and put it here, and say so in the commit
    message.
    """
    _, metrics = run_steps(EVERYWHERE["lazy R1"], 1, steps=2)
    golden = {
        "d_fake": 0.189539,
        "d_grad_norm": 4.29964,
        "d_loss": 1.6084,
        "d_lr": 0.01,
        "d_real": 0.189066,
        "g_adversarial": 0.603312,
        "g_grad_norm": 0.0578121,
        "g_loss": 0.108033,
        "l1": 0.0477016,
        "lr": 0.01,
        "penalty": 1.05982,
        "skipped": 0.0,
    }
    assert metrics[1] == pytest.approx(golden, rel=1e-4)
