"""BSRGAN's degradation: blurs, reductions, noise and JPEG in an order of each picture's own.

Zhang, Liang, Van Gool and Timofte, "Designing a Practical Degradation Model for Deep Blind Image
Super-Resolution" (2021), as `degradation_bsrgan` of the authors' KAIR has it, whose camera model
(of probability 1/4, and absent there too unless one is given) is left out. The reduction by area is
that of PyTorch, the first halving always MATLAB's (KAIR's half of the time), the deviation of the
noise any number (KAIR's a whole one), and the edge pixel repeated where borders are mirrored.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import pi

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxsr.imaging import canvas, kernels, noise
from jaxsr.imaging.canvas import Canvas
from jaxsr.imaging.jpeg import SUBSAMPLINGS
from jaxsr.imaging.operations import (
    Draws,
    Range,
    check_choice,
    check_output,
    check_range,
    check_share,
    check_size,
    stream,
    uniform,
)
from jaxsr.imaging.passes import METHOD_SHARES, choose, happens
from jaxsr.imaging.resize import resize

OPS = ("blur", "second_blur", "reduce", "reduce_to_lr", "noise", "jpeg")
NOISES = ("colour", "grey", "correlated")
_SIDE = 25  # pixels of the largest kernel
_REDUCE, _TO_LR = OPS.index("reduce"), OPS.index("reduce_to_lr")


@dataclass(frozen=True)
class BSRGAN:
    """Six operations in random order, the last reduction after the first, then a last JPEG.

    At scale 4 the picture is first halved with the probability `halve`. Kernels are Gaussians of
    half each isotropic and anisotropic. `noise` is in levels of 255; it is coloured, grey, or
    correlated between channels. `jpeg` is the probability of the JPEG in between. Pictures of
    `crop` pixels a side are degraded, of which training takes smaller crops.
    """

    scale: int
    halve: float = 0.25
    noise: Range = (2.0, 25.0)
    jpeg: float = 0.9
    quality: tuple[int, int] = (30, 95)
    subsampling: str = "4:2:0"
    crop: int = 288
    levels: int | None = None

    def __post_init__(self) -> None:
        check_share(self, "halve")
        check_share(self, "jpeg")
        check_range(self, "noise", 0, 255)
        check_range(self, "quality", 1, 100)
        check_choice(self, "subsampling", SUBSAMPLINGS)
        check_output(self)

    @property
    def least(self) -> int:
        """Pixels of a side of the smallest pictures."""
        return 10 * self.scale

    def draw(self, key: jax.Array) -> Draws:
        """Draws what happens to one picture; `order` holds positions in `OPS`."""
        order = jax.random.permutation(stream(key, "order"), len(OPS))
        swapped = jnp.argmax(order == _REDUCE) > jnp.argmax(order == _TO_LR)
        reductions = (order == _REDUCE) | (order == _TO_LR)
        order = jnp.where(swapped & reductions, _REDUCE + _TO_LR - order, order)
        halved = happens(key, "down", self.halve) if self.scale == 4 else jnp.bool_(False)
        scale = jnp.where(halved, self.scale / 2, self.scale)
        blurs = jax.random.split(stream(key, "blur"))
        worst, best = self.quality
        qualities = jax.random.randint(stream(key, "quality"), (2,), worst, best + 1)
        factor = jax.random.uniform(stream(key, "factor"), maxval=2 * scale - 1)
        return {
            "halved": halved,
            "order": order,
            "blur": self._draw_kernel(blurs[0], scale),
            "second_blur": self._draw_kernel(blurs[1], scale),
            "reduce": {
                "strided": happens(key, "resize", 0.25),
                "sigma": 0.1 + jax.random.uniform(stream(key, "sigma")) * (0.6 * scale - 0.1),
                "factor": 1 + factor,
                "method": choose(key, "method", METHOD_SHARES),
            },
            "reduce_to_lr": {"method": choose(key, "kind", METHOD_SHARES)},
            "noise": {
                "noise": choose(key, "grey", (0.4, 0.4, 0.2)),
                "sigma": uniform(key, "deviation", self.noise),
            },
            "jpeg": {"happens": happens(key, "gate", self.jpeg), "quality": qualities[0]},
            "last_jpeg": {"quality": qualities[1]},
        }

    def _draw_kernel(self, key: jax.Array, scale: jax.Array) -> Draws:
        turned = happens(key, "kernel", 0.5)
        a, b, c = jax.random.uniform(stream(key, "sigma"), (3,))
        # Isotropic the deviation is drawn, and otherwise the variances.
        sigma = (2 + 0.2 * scale) * c
        sigmas = [jnp.where(turned, jnp.sqrt((4 + scale) * x), sigma) for x in (a, b)]
        size = 2 * jax.random.randint(stream(key, "size"), (), 2, 12) + 3
        angle = jnp.where(turned, uniform(key, "angle", (0.0, pi)), 0.0)
        return {"size": size, "sigma_x": sigmas[0], "sigma_y": sigmas[1], "angle": angle}

    def apply(self, keys: jax.Array, hr: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Makes (lr, target) of hr [N, H, W, C], one or three channels; the target is hr."""
        check_size(self, hr)
        # One after the other, for in a batch every picture would be taken through all operations
        # at each of the places in the order.
        return jax.lax.map(lambda pair: self._run(*pair), (keys, hr)), hr

    def _run(self, key: jax.Array, image: jax.Array) -> jax.Array:
        draws = self.draw(key)
        high, wide, _ = image.shape
        picture = canvas.place(image, (high, wide))
        if self.scale == 4:
            half = canvas.place(
                resize(image, (high // 2, wide // 2), method="bicubic").clip(0, 1), (high, wide)
            )
            picture = jax.tree.map(partial(jnp.where, draws["halved"]), half, picture)
        # To shard_map a static size must be as the others, of which each device has its own.
        none = 0 * draws["last_jpeg"]["quality"]
        picture = picture._replace(height=picture.height + none, width=picture.width + none)
        small = high // self.scale, wide // self.scale
        branches = self._operations(draws, small)
        # A key for each place, for none may be used in more than one.
        steps = draws["order"], jax.random.split(stream(key, "noise"), len(OPS))
        picture, _ = jax.lax.scan(
            lambda p, step: (jax.lax.switch(step[0], branches, p, step[1]), None), picture, steps
        )
        lr = canvas.place(picture.pixels[: small[0], : small[1]], small)
        return _coded(lr, draws["last_jpeg"], self.subsampling).pixels

    def _operations(
        self, draws: Draws, small: tuple[int, int]
    ) -> list[Callable[[Canvas, jax.Array], Canvas]]:
        """What `OPS` names, of one picture on its canvas and a key."""
        scale = jnp.where(draws["halved"], self.scale // 2, self.scale)
        coded = partial(_coded, draws=draws["jpeg"], subsampling=self.subsampling)
        return [
            lambda p, _: canvas.blur(p, kernels.gaussian(**draws["blur"], side=_SIDE)),
            lambda p, _: canvas.blur(p, kernels.gaussian(**draws["second_blur"], side=_SIDE)),
            lambda p, _: _reduced(p, draws["reduce"], scale),
            lambda p, _: _resized(p, *small, method=draws["reduce_to_lr"]["method"]),
            lambda p, key: _noisy(key, p, draws["noise"], self.noise),
            lambda p, _: jax.lax.cond(draws["jpeg"]["happens"], coded, _clipped, p),
        ]


def _coded(picture: Canvas, draws: Draws, subsampling: str) -> Canvas:
    return canvas.jpeg(picture, draws["quality"], subsampling=subsampling)


def _reduced(picture: Canvas, draws: Draws, scale: jax.Array) -> Canvas:
    """Resized by the factor; or blurred, and every `scale`-th pixel kept."""
    height, width = (
        jnp.floor(side / draws["factor"]).astype(jnp.int32)
        for side in (picture.height, picture.width)
    )

    def strided(picture: Canvas) -> Canvas:
        # The kernel stands in the middle of the pixels of which one is kept.
        x = jnp.arange(_SIDE) - (_SIDE - 1) / 2 - (scale - 1) / 2
        line = jnp.exp(-((x / draws["sigma"]) ** 2) / 2)
        kernel = line[:, None] * line[None, :]
        pixels = canvas.blur(picture, kernel / kernel.sum()).pixels
        for axis in (0, 1):
            pixels = pixels.take(jnp.arange(pixels.shape[axis]) * scale, axis=axis, mode="clip")
        return _clipped(Canvas(pixels, picture.height // scale, picture.width // scale))

    def resized(picture: Canvas) -> Canvas:
        return _resized(picture, height, width, method=draws["method"])

    return jax.lax.cond(draws["strided"], strided, resized, picture)


def _resized(picture: Canvas, height: ArrayLike, width: ArrayLike, *, method: jax.Array) -> Canvas:
    shape = picture.pixels.shape
    # As in `_run`.
    height, width = height + 0 * picture.height, width + 0 * picture.width
    return _clipped(
        canvas.resize(picture, height, width, method=method, shape=(shape[0], shape[1]))
    )


def _clipped(picture: Canvas) -> Canvas:
    return picture._replace(pixels=picture.pixels.clip(0, 1))


def _noisy(key: jax.Array, picture: Canvas, draws: Draws, range_: Range) -> Canvas:
    """Adds one of `NOISES`; the deviation of the last is the highest of the range."""
    image = picture.pixels
    own = jax.random.split(key, 4)
    coloured = noise.gaussian(own[3], image, draws["sigma"], draws["noise"] == 1)
    if image.shape[-1] != 3:
        return _clipped(picture._replace(pixels=coloured))
    highest = jax.lax.Precision.HIGHEST
    # The left singular vectors, greatest first; JAX's svd does not lower for TPUs in shard_map.
    square = jax.random.uniform(own[0], (3, 3))
    basis = jnp.linalg.eigh(jnp.matmul(square, square.T, precision=highest))[1][:, ::-1]
    scaled = jax.random.uniform(own[1], (3, 1)) * basis
    # KAIR takes the absolute value of the covariance, so that no channel goes against another.
    variances, axes = jnp.linalg.eigh(jnp.abs(jnp.matmul(basis.T, scaled, precision=highest)))
    deviations = jnp.sqrt(variances.clip(0))[:, None] * axes.T
    normal = jax.random.normal(own[2], image.shape)
    correlated = jnp.matmul(normal, deviations, precision=highest)
    correlated = image + range_[1] / 255 * correlated
    return _clipped(picture._replace(pixels=jnp.where(draws["noise"] == 2, correlated, coloured)))
