"""How fast a network upscales: `python benchmarks/upscale.py --generator compact`.

One JSON line per case, a case being one of `--batch` with one of `--size` and one of `--dtype`. The
batch is split over the devices; `lr_megapixels_per_s` counts all of them together.
"""

import argparse
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from timing import chained, compiled, report

from jaxsr.inference.upscale import upscale
from jaxsr.networks.generators import GENERATORS
from jaxsr.networks.weights import Weights, init_weights, make_arch
from jaxsr.training import mesh as meshes


def main() -> None:
    options = _options()
    fields = {k: int(v) for k, v in (field.split("=") for field in options.field)}
    arch = make_arch(GENERATORS, {"name": options.generator, "scale": options.scale} | fields)
    weights = init_weights(jax.random.key(0), arch)
    for batch, size, dtype in itertools.product(options.batch, options.size, options.dtype):
        height, width = (int(n) for n in size.split("x"))
        case = {
            "benchmark": "upscale",
            "generator": options.generator,
            "scale": options.scale,
            "batch": batch,
            "height": height,
            "width": width,
            "dtype": dtype,
        }
        case["devices"] = options.devices or jax.device_count()
        shaped = Weights(weights.params, weights.stats, arch.clone(dtype=jnp.dtype(dtype)))
        measured = _measure(shaped, (batch, height, width, arch.channels), options)
        report(case | measured, jax.devices()[0])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generator", default="compact")
    parser.add_argument("--field", nargs="*", default=[], metavar="K=N", help="of the generator")
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--batch", nargs="+", type=int, default=[1], help="of all devices")
    parser.add_argument("--size", nargs="+", default=["256x256"], help="HxW of the input")
    parser.add_argument("--dtype", nargs="+", default=["float32"])
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--chains", type=int, default=10)
    parser.add_argument("--length", type=int, default=3, help="calls of a chain")
    return parser.parse_args()


def _measure(weights: Weights, shape: tuple[int, ...], options: argparse.Namespace) -> dict:
    mesh = meshes.make_mesh(devices=options.devices)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    image = jax.device_put(pixels, meshes.sharded(mesh))
    weights = jax.device_put(weights, meshes.replicated(mesh))
    program, facts = compiled(jax.jit(upscale).lower(weights, image))
    time = chained(
        lambda: program(weights, image),
        warm_up=options.warm_up,
        chains=options.chains,
        length=options.length,
    )
    megapixels = np.prod(shape[:3]).item() / 1e6 / time["seconds"]
    rates = {"images_per_s": shape[0] / time["seconds"], "lr_megapixels_per_s": megapixels}
    return facts | time | rates | {"gflop_per_s": facts["gflop"] / time["seconds"]}


if __name__ == "__main__":
    main()
