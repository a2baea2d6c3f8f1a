"""Networks as programs that run without jaxsr: `jax.export` artifacts and StableHLO text.

The weights are constants of the program. How many pictures it gets, and how high and wide they
are, is free.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, export

from jaxsr.imaging.files import replacing
from jaxsr.inference.upscale import check_shape, upscale
from jaxsr.networks.weights import Weights

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")

# What jax puts into a program whose shapes are free; every other custom call leaves XLA.
_ASSERTION = "stablehlo.custom_call @shape_assertion("


def export_network(
    path: str | Path, weights: Weights, *, platforms: Sequence[str] = PLATFORMS
) -> None:
    """Write `jaxsr.upscale` of a network as a program; the file appears whole.

    The program takes float32 [N, H, W, C] in [0, 1], or in the units of `weights.ranges`, and gives
    [N, scale * H, scale * W, C], unclipped. The extension chooses the format: `.jaxexport` is for
    `jax.export.deserialize` and `load_exported`, runs on `platforms` and needs the extra `export`;
    `.mlir` is StableHLO text, the same for every platform. The program runs on one device and has
    no gradient. Raises ValueError for another extension or platform and for networks of noise.
    """
    path = Path(path)
    if path.suffix.lower() not in _ENCODERS:
        raise ValueError(f"{path} has no known extension; use one of {', '.join(_ENCODERS)}")
    unknown = [name for name in platforms if name not in PLATFORMS]
    if unknown or not platforms:
        raise ValueError(
            f"platforms: got {', '.join(unknown) or 'none'}; use some of {', '.join(PLATFORMS)}"
        )
    content = _ENCODERS[path.suffix.lower()](weights, tuple(platforms))
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def load_exported(path: str | Path) -> Callable[[Any], Array]:
    """Read the `.jaxexport` file of `export_network` as a function `upscale(image)`.

    As `jaxsr.upscale` it takes floats [..., H, W, C] and gives [..., scale * H, scale * W, C] in
    their dtype, and may stand inside `jax.jit`; not inside `jax.grad`. The file is flatbuffers and
    MLIR: reading runs nothing of it, and a program that calls anything outside XLA is refused. But
    jax's reader is not hardened against forgery. jax promises to read what was exported by itself
    or up to six months before. Raises ValueError for any other file.
    """
    exported = _read(Path(path))
    channels = exported.in_avals[0].shape[-1]
    run = jax.jit(exported.call)

    def upscale_exported(image: Any) -> Array:
        image = jnp.asarray(image)
        _check(image, channels)
        sr = run(image.reshape(-1, *image.shape[-3:]).astype(jnp.float32))
        return sr.reshape(*image.shape[:-3], *sr.shape[1:]).astype(image.dtype)

    return upscale_exported


def _encode_artifact(weights: Weights, platforms: tuple[str, ...]) -> bytes:
    _check_flatbuffers()
    return _sealed(bytes(_program(weights, platforms).serialize()))


def _encode_text(weights: Weights, platforms: tuple[str, ...]) -> bytes:
    del platforms  # for several the program would have the platform's number as an argument
    return _program(weights, ("cpu",)).mlir_module().encode()


_ENCODERS = {".jaxexport": _encode_artifact, ".mlir": _encode_text}


def _program(weights: Weights, platforms: tuple[str, ...]) -> export.Exported:
    arch: Any = weights.arch

    def network(images: Array) -> Array:
        _, height, width, _ = images.shape
        sr = upscale(weights, _filled(images, arch.multiple))
        return sr[:, : arch.scale * height, : arch.scale * width]

    network.__name__ = f"{type(arch).__name__}_x{arch.scale}"  # the artifact's `fun_name`
    shape = (*export.symbolic_shape("n, h, w"), arch.channels)
    with _without_paths():
        to_program = export.export(jax.jit(network), platforms=platforms)
        return to_program(jax.ShapeDtypeStruct(shape, jnp.float32))


def _filled(images: Array, multiple: int) -> Array:
    """What `layers.pad_to_multiple` makes, of sides that are not known yet."""
    for axis in (1, 2) if multiple > 1 else ():
        last = images.shape[axis] - 1
        number = jnp.arange((last // multiple + 1) * multiple)
        # To and fro between the first pixel and the last; of a single one, n % 0 is 0.
        number = last - abs(last - number % (2 * last))
        images = jnp.take(images, number, axis=axis)
    return images


@contextlib.contextmanager
def _without_paths() -> Iterator[None]:
    """Leave out the source lines that a program notes, and so the folders of whoever made it."""
    wanted = {
        "jax_traceback_in_locations_limit": 0,
        "jax_include_full_tracebacks_in_locations": True,
    }
    kept = {name: getattr(jax.config, name) for name in wanted}
    try:
        for name, value in wanted.items():
            jax.config.update(name, value)
        yield
    finally:
        for name, value in kept.items():
            jax.config.update(name, value)


def _read(path: Path) -> export.Exported:
    _check_flatbuffers()
    content = _unsealed(path)
    try:
        exported = export.deserialize(content)
        text = exported.mlir_module()
    except Exception as error:  # jax has many ways of saying that it does not know a version
        raise ValueError(
            f"{path} was exported by a jax newer than {jax.__version__}, or too old for it; "
            "export the network again"
        ) from error
    if text.count("custom_call") != text.count(_ASSERTION):
        raise ValueError(f"{path} calls what lies outside its program; do not use it")
    return exported


def _sealed(content: bytes) -> bytes:
    # jax regards nothing behind its flatbuffers, and its reader may crash on damaged ones.
    return content + hashlib.sha256(content).digest()


def _unsealed(path: Path) -> bytearray:
    if not path.is_file():
        raise ValueError(f"no file at {path}; name a .jaxexport file that jaxsr export wrote")
    sealed = path.read_bytes()
    content = sealed[: -hashlib.sha256().digest_size]
    if sealed != _sealed(content):
        raise ValueError(
            f"{path} is damaged, or nothing that jaxsr export wrote; export the network again"
        )
    return bytearray(content)


def _check(image: Array, channels: int) -> None:
    check_shape(image, channels)
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise ValueError(
            f"image: got {image.dtype}, wanted a float; divide uint8 by 255, uint16 by 65535"
        )


def _check_flatbuffers() -> None:
    try:
        import flatbuffers  # noqa: F401
    except ImportError as error:
        raise ValueError(
            "exported networks need flatbuffers, which is absent; "
            'pip install "jax-super-resolution[export]"'
        ) from error
