"""How fast pictures are degraded on the device: `python benchmarks/degrade.py --crop 128 256`.

One JSON line per case, a case being one of `--kind`, `--crop`, `--batch` and `--generator`. All is
timed in turns, each with draws of its own, and medians are given: `seconds` of the degradation
alone, `step_seconds` of a training step with it, `ready_step_seconds` of the same step on LR that
is there already, and the `share` of the step that so goes to the degradation. The step is that of
the pixel stage, and Real-ESRGAN's with `--discriminator unet --vgg FILE`. A device that is no CPU
gets the sizes of its recipe unless others are stated.
"""

import argparse
import itertools
import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import jax
import numpy as np
from timing import chained, compiled, report

from jaxsr.imaging.bands import to_unit
from jaxsr.imaging.degrade import degrade, with_levels
from jaxsr.interop.load import load_vgg
from jaxsr.training import mesh as meshes
from jaxsr.training.config import degradation, make_config, read_crop
from jaxsr.training.schema import Config
from jaxsr.training.state import abstract_state, init_state
from jaxsr.training.step import make_step

KINDS = ("realesrgan", "bsrgan", "bicubic")
SCALE = 4
CPU = {"crop": [128], "train_crop": None, "batch": [8], "blocks": 2}
LAYERS = {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0}
OTHERS = {"crop": [400], "train_crop": 256, "batch": [12], "blocks": 23}

Calls = dict[str, Callable[[], Any]]


def main() -> None:
    options = _options()
    with ExitStack() as stack:
        pool = stack.enter_context(_start_reference()) if options.reference else None
        for kind, crop, batch, generator in itertools.product(
            options.kind, options.crop, options.batch, options.generator or [None]
        ):
            config = _config(options, kind=kind, crop=crop, batch=batch, generator=generator)
            case = {
                "benchmark": "degrade",
                "kind": kind,
                "scale": SCALE,
                "crop": read_crop(config),
                "batch": batch,
            }
            if generator:
                case |= {"generator": generator, "train_crop": config.data.crop}
                case |= {"blocks": options.blocks} if generator == "rrdbnet" else {}
                case |= {"discriminator": options.discriminator, "perceptual": bool(options.vgg)}
            measured = _measure(config, options.repeats, steps=bool(generator), pool=pool)
            report(case | measured, jax.devices()[0])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.set_defaults(**(CPU if jax.default_backend() == "cpu" else OTHERS))
    parser.add_argument("--kind", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--crop", nargs="+", type=int, help="HR pixels that are degraded")
    parser.add_argument("--train-crop", type=int, help="of which a step takes so many; absent: all")
    parser.add_argument("--batch", nargs="+", type=int)
    parser.add_argument(
        "--generator",
        nargs="*",
        choices=["compact", "rrdbnet"],
        default=["compact", "rrdbnet"],
        help="none: the degradation alone",
    )
    parser.add_argument("--blocks", type=int, help="of rrdbnet; the real one has 23")
    parser.add_argument("--discriminator", help="absent: the pixel stage alone")
    parser.add_argument("--vgg", help="file of VGG19: adds the perceptual loss of five layers")
    parser.add_argument("--repeats", type=int, default=10, help="turns")
    parser.add_argument(
        "--reference",
        action="store_true",
        help="beside realesrgan: the same with NumPy and OpenCV, a process a core",
    )
    return parser.parse_args()


def _config(
    options: argparse.Namespace, *, kind: str, crop: int, batch: int, generator: str | None
) -> Config:
    tree = {
        "generator": {"name": generator or "compact", "scale": SCALE},
        "loss": {"pixel": {"l1": 1.0}},
        "degrade": {"kind": kind},
        "data": {"train": "unused", "crop": options.train_crop or crop},
        "train": {"steps": 1, "batch_size": batch},
    }
    if generator == "rrdbnet":
        tree["generator"]["num_blocks"] = options.blocks
    if kind != "bicubic":
        tree["degrade"]["crop"] = crop
    if options.discriminator:
        tree["discriminator"] = {"name": options.discriminator}
        tree["loss"]["adversarial"] = {"kind": "vanilla", "weight": 0.1}
    if options.vgg:
        tree["loss"]["perceptual"] = {"weights": options.vgg, "layers": LAYERS}
    return make_config(tree)


def _measure(config: Config, repeats: int, *, steps: bool, pool: Any) -> dict[str, Any]:
    size = config.train.batch_size
    hr = _pictures(size, read_crop(config))
    calls, facts = _degradation(config, hr)
    if steps:
        calls |= _steps(config, hr)
    if pool and config.degrade["kind"] == "realesrgan":
        calls |= _reference(config, hr, pool)
    seconds = _in_turns(calls, repeats)
    medians = {name: np.median(of).item() for name, of in seconds.items()}
    p10, p90 = np.percentile(seconds["degrade"], [10, 90]).tolist()
    alone = medians["degrade"]
    figures = {"seconds": alone, "p10": p10, "p90": p90, "images_per_s": size / alone}
    if "step" in calls:
        step, ready = medians["step"], medians["ready_step"]
        figures |= {"step_seconds": step, "ready_step_seconds": ready, "share": 1 - ready / step}
    if "reference" in calls:
        figures |= {
            "workers": os.cpu_count(),
            "reference_images_per_s": size / medians["reference"],
            "times_reference": medians["reference"] / alone,
        }
    return facts | figures


def _pictures(count: int, side: int) -> np.ndarray:
    """Noise of amplitudes 1 / f, as photographs have: white noise is hard work for a JPEG coder."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequency[0, 0] = 1 / side
    white = np.random.default_rng(0).standard_normal((count, 3, side, side))
    noise = np.fft.irfft2(np.fft.rfft2(white) / frequency, s=(side, side))
    noise /= noise.std(axis=(2, 3), keepdims=True)
    return np.moveaxis(np.clip(128 + 50 * noise, 0, 255).astype(np.uint8), 1, -1)


def _degradation(config: Config, hr: np.ndarray) -> tuple[Calls, dict[str, Any]]:
    spec = with_levels(degradation(config), hr.dtype, channels=hr.shape[-1])

    @jax.jit
    def run(number: jax.Array, hr: jax.Array) -> tuple[jax.Array, jax.Array]:
        keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), number)
        lr, target, _ = degrade(keys, to_unit(hr, ()), spec)
        return lr, target

    numbers, pictures = _numbers(len(hr)), jax.device_put(hr)
    program, facts = compiled(run.lower(next(numbers), pictures))
    return {"degrade": lambda: program(next(numbers), pictures)}, facts


def _numbers(count: int) -> Any:
    """Gives the numbers of the examples of one batch after the other, from which all is drawn."""
    return (np.arange(first, first + count, dtype=np.uint32) for first in itertools.count(0, count))


def _steps(config: Config, hr: np.ndarray) -> Calls:
    mesh = meshes.make_mesh(devices=1)
    step = make_step(config, mesh, pixel_only=False)
    perceptual = config.loss.perceptual
    vgg = load_vgg(perceptual.weights, tuple(perceptual.layers)) if perceptual else None
    vgg = jax.device_put(vgg, meshes.replicated(mesh))
    side = config.data.crop
    ready = {"hr": hr[:, :side, :side], "lr": hr[:, :side:SCALE, :side:SCALE]}
    state = init_state(config, mesh)

    def prepare(pictures: dict[str, np.ndarray]) -> Callable[[], Any]:
        numbers = _numbers(len(hr))
        batch = meshes.global_batch(mesh, pictures | {"number": next(numbers)})
        program = step.lower(abstract_state(config, mesh), batch, vgg).compile()

        def call() -> Any:
            nonlocal state
            drawn = meshes.global_batch(mesh, {"number": next(numbers)})
            state, metrics = program(state, batch | drawn, vgg)
            return metrics

        return call

    return {"step": prepare({"hr": hr}), "ready_step": prepare(ready)}


def _start_reference() -> Any:
    try:
        import reference
    except ModuleNotFoundError as error:
        if error.name != "cv2":
            raise
        raise SystemExit("--reference: needs OpenCV: pip install opencv-python-headless") from error
    return reference.start(os.cpu_count() or 1)


def _reference(config: Config, hr: np.ndarray, pool: Any) -> Calls:
    import reference

    spec, batches = degradation(config), itertools.count()

    def call() -> list[tuple[np.ndarray, np.ndarray]]:
        batch = next(batches)
        tasks = [((batch, position), picture, spec) for position, picture in enumerate(hr)]
        return pool.starmap(reference.degrade, tasks, chunksize=1)

    return {"reference": call}


def _in_turns(calls: Calls, repeats: int) -> dict[str, list[float]]:
    """Seconds of each call, one after the other, so that what else the machine does meets all."""
    for call in calls.values():
        jax.block_until_ready(call())
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            seconds[name].append(chained(call, warm_up=0, chains=1, length=1)["seconds"])
    return seconds


if __name__ == "__main__":
    main()
