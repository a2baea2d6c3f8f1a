"""The smallest configs and batches that exercise the step, shared by the tests of training."""

import jax
import numpy as np

from jaxsr.training import mesh as meshes
from jaxsr.training.config import make_config, read_crop
from jaxsr.training.schema import Config
from jaxsr.training.state import TrainState, init_state
from jaxsr.training.step import make_step

PIXEL = {"pixel": {"l1": 1.0}}
GAN = {**PIXEL, "adversarial": {"kind": "vanilla", "weight": 0.1}}
COMPACT = {"name": "compact", "scale": 2, "num_features": 4, "num_convs": 1}


def toy_config(
    *, loss=GAN, generator=None, discriminator=None, crop=16, optim=None, degrade=None, **train
) -> Config:
    """A config of tiny networks; SGD, since Adam hides a gradient that is off by a factor."""
    tree = {
        "generator": generator or COMPACT,
        "loss": loss,
        "degrade": degrade or {},
        "data": {"train": "unused", "crop": crop},
        "optim": {"name": "sgd", "lr": 1e-2} | (optim or {}),
        "train": {"steps": 10, "batch_size": 8} | train,
    }
    if "adversarial" in loss:
        by_name = {"name": discriminator or "unet", "num_features": 2}
        tree["discriminator"] = discriminator if isinstance(discriminator, dict) else by_name
    return make_config(tree)


def toy_batch(config: Config, number: int = 0, seed: int = 0) -> dict[str, np.ndarray]:
    """Smooth random pictures, so that neither player meets pure noise."""
    size, crop = config.train.batch_size, read_crop(config)
    channels = config.generator["channels"]
    rng = np.random.default_rng([seed, number])
    coarse = rng.integers(0, 256, (size, crop // 4, crop // 4, channels))
    hr = coarse.repeat(4, 1).repeat(4, 2) * 0.8 + rng.integers(0, 50, (size, crop, crop, channels))
    return {"hr": hr.astype(np.uint8), "number": number + np.arange(size, dtype=np.uint32)}


_STARTS: dict[str, TrainState] = {}


def start_state(config: Config) -> TrainState:
    """The state of step 0 in host memory, made once for each pair of networks."""
    name = repr((config.generator, config.discriminator, config.optim.name, config.train.seed))
    if name not in _STARTS:
        _STARTS[name] = jax.device_get(init_state(config, meshes.make_mesh(devices=1)))
    return _STARTS[name]


def run_steps(
    config: Config, devices: int, steps: int = 1, *, pixel_only=False, vgg=None, batches=None
):
    """State and metrics (as floats) of each of `steps` steps from the start."""
    mesh = meshes.make_mesh(devices=devices)
    state = meshes.replicate(mesh, start_state(config))
    step = make_step(config, mesh, pixel_only=pixel_only)
    history = []
    for i in range(steps):
        local = batches[i] if batches else toy_batch(config, i * config.train.batch_size)
        state, metrics = step(state, meshes.global_batch(mesh, local), vgg)
        history.append({name: float(value) for name, value in jax.device_get(metrics).items()})
    return jax.device_get(state), history
