"""Real-ESRGAN's degradation of second order, on the device, each picture from its own key.

Wang, Xie, Dong and Shan, "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure
Synthetic Data" (2021), with the parameters of the authors' options. There one factor and one mode
of resizing serve a whole batch, and a pool of pairs hides it; here a picture shares nothing with
those beside it. JPEG is libjpeg's, of whole qualities, borders are mirrored with the edge pixel
repeated, and a resize spreads the picture over all pixels of the new size, where the authors' keeps
the factor and leaves what does not fit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil, pi
from typing import Any

import jax
import jax.numpy as jnp

from jaxsr.imaging import canvas, noise
from jaxsr.imaging.canvas import Canvas
from jaxsr.imaging.jpeg import SUBSAMPLINGS
from jaxsr.imaging.operations import (
    Draws,
    Range,
    check_choice,
    check_output,
    check_share,
    check_size,
    stream,
    uniform,
)
from jaxsr.imaging.passes import (
    METHOD_SHARES,
    NONE,
    SINC,
    Pass,
    SecondPass,
    choose,
    draw_size,
    happens,
    make_kernel,
)
from jaxsr.imaging.sharpen import usm

Either = Callable[..., Any]  # (chosen, first, second, operand), as lax.cond has them

_LEAST = 5  # pixels a side of the smallest picture that 4:2:0 codes


@dataclass(frozen=True)
class RealESRGAN:
    """Two passes, then a sinc with the probability `final_sinc`, before or after the last JPEG.

    The factor of the second pass is relative to LR. The target, which is what is degraded, is HR
    sharpened by an unsharp mask if `sharpen`. Whole pictures of `crop` pixels a side are degraded,
    of which training takes smaller crops.
    """

    scale: int
    first: Pass = Pass()
    second: SecondPass = SecondPass()
    final_sinc: float = 0.8
    subsampling: str = "4:2:0"
    sharpen: bool = True
    crop: int = 400
    levels: int | None = None

    def __post_init__(self) -> None:
        check_share(self, "final_sinc")
        check_choice(self, "subsampling", SUBSAMPLINGS)
        check_output(self)

    @property
    def least(self) -> int:
        """Pixels of a side of the smallest pictures: the factors are to leave `_LEAST` of it."""
        shrunk = self.first.factor[0], self.second.factor[0] / self.scale, 1 / self.scale
        return self.scale * ceil(_LEAST / min(shrunk) / self.scale)

    def draw(self, key: jax.Array) -> Draws:
        """Draws what happens to one picture, by the names of `NAMES` where numbers stand for them.

        `first` and `second` are of the passes; `last` has the final kernel, the method of the
        resize to LR, and whether JPEG comes first.
        """
        first, second, last = (jax.random.fold_in(key, i) for i in range(3))
        size = draw_size(last)
        sinc = happens(last, "blur", self.final_sinc)
        return {
            "first": self.first.draw(first),
            "second": self.second.draw(second),
            "last": {
                "kernel": jnp.where(sinc, SINC, NONE),
                "size": size,
                "cutoff": uniform(last, "cutoff", (pi / 3, pi)),
                "method": choose(last, "method", METHOD_SHARES),
                "jpeg_first": happens(last, "order", 0.5),
            },
        }

    def apply(self, keys: jax.Array, hr: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Makes (lr, target) of hr [N, H, W, C], one or three channels."""
        check_size(self, hr)
        target = jax.vmap(usm)(hr) if self.sharpen else hr
        # A CPU is quicker one picture after the other, each on its own way; an accelerator takes
        # the batch at once, and every picture both ways where they part.
        lr = jax.lax.platform_dependent(
            keys,
            target,
            cpu=lambda *batch: jax.lax.map(
                lambda pair: self._run(*pair, either=jax.lax.cond), batch
            ),
            default=jax.vmap(partial(self._run, either=_select)),
        )
        return lr, target

    def _run(self, key: jax.Array, image: jax.Array, either: Either) -> jax.Array:
        draws = self.draw(key)
        high, wide, _ = image.shape
        small = high // self.scale, wide // self.scale
        first, second, last = draws["first"], draws["second"], draws["last"]
        keys = [stream(jax.random.fold_in(key, i), "noise") for i in range(2)]
        picture = canvas.place(image, (high, wide))
        picture = self._pass(keys[0], picture, first, (high, wide), self.first.factor, either)
        picture = self._coded(picture, first["quality"])
        picture = self._pass(keys[1], picture, second, small, self.second.factor, either)
        coded = partial(self._coded, quality=second["quality"])
        picture = either(last["jpeg_first"], coded, lambda p: p, picture)
        picture = canvas.resize(picture, *small, method=last["method"], shape=small)
        picture = canvas.blur(picture, make_kernel(last))
        return either(last["jpeg_first"], lambda p: p, coded, picture).pixels

    def _pass(
        self,
        key: jax.Array,
        picture: Canvas,
        draws: Draws,
        size: tuple[int, int],
        factors: Range,
        either: Either,
    ) -> Canvas:
        """Blurs, resizes to `size` times the factor, and adds the noise."""
        picture = canvas.blur(picture, make_kernel(draws))
        room = tuple(ceil(side * max(factors[1], 1.0)) for side in size)
        height, width = (jnp.floor(side * draws["factor"]).astype(jnp.int32) for side in size)
        picture = canvas.resize(
            picture, height, width, method=draws["method"], shape=(room[0], room[1])
        )
        own = jax.random.split(key)  # for `either` may do both
        noisy = either(
            draws["gaussian"],
            lambda pixels: noise.gaussian(own[0], pixels, draws["noise"], draws["grey"]),
            lambda pixels: noise.poisson(
                own[1], pixels, height, width, draws["poisson"], draws["grey"]
            ),
            picture.pixels,
        )
        return picture._replace(pixels=noisy.clip(0, 1))

    def _coded(self, picture: Canvas, quality: jax.Array) -> Canvas:
        return canvas.jpeg(picture, quality, subsampling=self.subsampling)


def _select(chosen: jax.Array, first: Any, second: Any, operand: Any) -> Any:
    """What `lax.cond` gives, by doing both; it cannot be batched inside shard_map (jax 0.12)."""
    return jax.tree.map(partial(jnp.where, chosen), first(operand), second(operand))
