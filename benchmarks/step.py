"""How fast one training step is, without data: `python benchmarks/step.py --generator compact`.

One JSON line per case, a case being one of `--batch` with one of `--crop` and one of `--dtype`.
`images_per_s` and `lr_megapixels_per_s` count all devices together.
"""

import argparse
import itertools

import jax
import numpy as np
from timing import chained, compiled, report

from jaxsr.interop.load import load_vgg
from jaxsr.training import mesh as meshes
from jaxsr.training.config import make_config
from jaxsr.training.schema import Config
from jaxsr.training.state import abstract_state, init_state
from jaxsr.training.step import make_step


def main() -> None:
    options = _options()
    for batch, crop, dtype in itertools.product(options.batch, options.crop, options.dtype):
        config = _config(options, batch=batch, crop=crop, dtype=dtype)
        case = {
            "benchmark": "step",
            "generator": options.generator,
            "discriminator": options.discriminator,
            "perceptual": bool(options.vgg),
            "scale": options.scale,
            "batch": batch,
            "crop": crop,
            "dtype": dtype,
        }
        case["devices"] = options.devices or jax.device_count()
        report(case | _measure(config, options), jax.devices()[0])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generator", default="msrresnet")
    parser.add_argument("--discriminator", help="absent: the pixel stage alone")
    parser.add_argument("--vgg", help="file of VGG weights: adds the perceptual loss (conv5_4)")
    parser.add_argument("--field", nargs="*", default=[], metavar="K=N", help="of the generator")
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--batch", nargs="+", type=int, default=[16], help="of all devices")
    parser.add_argument("--crop", nargs="+", type=int, default=[128], help="HR pixels")
    parser.add_argument("--dtype", nargs="+", default=["float32"])
    parser.add_argument("--devices", type=int, help="absent: all")
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--chains", type=int, default=10)
    parser.add_argument("--length", type=int, default=3, help="steps of a chain")
    return parser.parse_args()


def _config(options: argparse.Namespace, *, batch: int, crop: int, dtype: str) -> Config:
    fields = {k: int(v) for k, v in (field.split("=") for field in options.field)}
    tree = {
        "generator": {"name": options.generator, "scale": options.scale} | fields,
        "loss": {"pixel": {"l1": 1e-2}},
        "data": {"train": "unused", "crop": crop},
        "train": {"steps": 1, "batch_size": batch, "dtype": dtype},
    }
    if options.discriminator:
        tree["discriminator"] = {"name": options.discriminator}
        tree["loss"]["adversarial"] = {"kind": "vanilla", "weight": 5e-3}
    if options.vgg:
        tree["loss"]["perceptual"] = {"weights": options.vgg, "layers": {"conv5_4": 1.0}}
    return make_config(tree)


def _measure(config: Config, options: argparse.Namespace) -> dict:
    mesh = meshes.make_mesh(devices=options.devices)
    meshes.check_batch(mesh, config.train.batch_size, config.train.accumulate)
    perceptual = config.loss.perceptual
    vgg = load_vgg(perceptual.weights, tuple(perceptual.layers)) if perceptual else None
    vgg = jax.device_put(vgg, meshes.replicated(mesh))
    batch = _batch(config, mesh)
    step = make_step(config, mesh, pixel_only=False)
    program, facts = compiled(step.lower(abstract_state(config, mesh), batch, vgg))
    state = init_state(config, mesh)

    def call():
        nonlocal state
        state, metrics = program(state, batch, vgg)
        return metrics

    time = chained(call, warm_up=options.warm_up, chains=options.chains, length=options.length)
    images = config.train.batch_size / time["seconds"]
    pixels = (config.data.crop // options.scale) ** 2
    rates = {"images_per_s": images, "lr_megapixels_per_s": images * pixels / 1e6}
    return facts | time | rates | {"gflop_per_s": facts["gflop"] / time["seconds"]}


def _batch(config: Config, mesh: jax.sharding.Mesh) -> dict[str, jax.Array]:
    size, crop = config.train.batch_size, config.data.crop
    rng = np.random.default_rng(0)
    hr = rng.integers(0, 256, (size, crop, crop, 3), dtype=np.uint8)
    return meshes.global_batch(mesh, {"hr": hr, "number": np.arange(size, dtype=np.uint32)})


if __name__ == "__main__":
    main()
