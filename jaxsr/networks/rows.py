"""A part of a picture on its way through a network, and what a driver needs to send one through.

Every layer here takes an array, which is a whole picture, or `Rows`, of which two kinds exist:

- *whole*: the picture is padded at the bottom and the right, so that pictures of many sizes share
  one compilation. What lies outside the picture is set to zero before each convolution, which then
  sees the padding that it would see without: inside, the result equals that of the plain picture.
- *carried*: a strip of the picture, whose strips follow each other from the top. A layer that looks
  at neighbouring rows keeps the last of them in the variable collection `stream` for the next
  strip, as attention keeps its cache, and its result lags behind. Where branches meet, the one
  that is ahead waits. No row is computed twice, and the memory does not grow with the height.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeVar

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax import Array


class Rows(flax.struct.PyTreeNode):
    """Rows [N, h * rate, w * rate, C] of a map; `top`, `height` and `width` are in LR pixels.

    `height` and `width` are the picture's true size, int32 [] or one of each for every picture
    [N]; what `v` holds outside is arbitrary, NaN too. The first row of `v` is number
    top * rate - lag of the whole map. Whole rows have `top` and `lag` 0.
    """

    v: Array
    top: Any
    height: Any
    width: Any
    lag: int = flax.struct.field(pytree_node=False, default=0)
    rate: Fraction = flax.struct.field(pytree_node=False, default=Fraction(1))
    carried: bool = flax.struct.field(pytree_node=False, default=True)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.v.shape

    @property
    def ndim(self) -> int:
        return self.v.ndim

    @property
    def dtype(self) -> Any:
        return self.v.dtype

    def astype(self, dtype: Any) -> "Rows":
        """The same rows in another dtype."""
        return self.replace(v=self.v.astype(dtype))

    def behind(self, count: int) -> "Rows":
        """The same array, whose rows have numbers lower by `count`."""
        return self.replace(lag=self.lag + count)

    # With constants and with arrays that hold a value for each channel.
    def __add__(self, other: Any) -> "Rows":
        return self.replace(v=self.v + _constant(other))

    def __sub__(self, other: Any) -> "Rows":
        return self.replace(v=self.v - _constant(other))

    def __mul__(self, other: Any) -> "Rows":
        return self.replace(v=self.v * _constant(other))

    def __truediv__(self, other: Any) -> "Rows":
        return self.replace(v=self.v / _constant(other))

    def __radd__(self, other: Any) -> "Rows":
        return self.replace(v=_constant(other) + self.v)

    def __rmul__(self, other: Any) -> "Rows":
        return self.replace(v=_constant(other) * self.v)

    def numbers(self, axis: int) -> tuple[Array, Array]:
        """The numbers of the rows (axis 1) or columns (2) of `v`, and how many the map has.

        Their shapes broadcast against `v`.
        """
        first = scaled(self.top, self.rate) - self.lag if axis == 1 else 0
        shape = [1, 1, 1, 1]
        shape[axis] = -1
        numbers = first + jnp.arange(self.shape[axis]).reshape(shape)
        size = jnp.asarray(self.height if axis == 1 else self.width).reshape(-1, 1, 1, 1)
        return numbers, scaled(size, self.rate)

    def masked(self) -> "Rows":
        """Zeros outside the picture."""
        (row, height), (column, width) = self.numbers(1), self.numbers(2)
        inside = (row >= 0) & (row < height) & (column < width)
        return self.replace(v=jnp.where(inside, self.v, 0))


# What a layer takes and returns.
Map = TypeVar("Map", Array, Rows)
# What the layers keep from strip to strip.
Kept = dict[str, Any]


def _constant(value: Any) -> Any:
    if isinstance(value, Rows):
        raise ValueError("got an operator between two Rows, which may lag differently: use Add")
    return value


def scaled(number: Any, rate: Fraction) -> Any:
    """number * rate, which is a whole number."""
    return number * rate.numerator // rate.denominator


def pointwise(f: Callable[[Array], Array], x: Map) -> Map:
    """f(x), where `f` regards each pixel on its own."""
    return x.replace(v=f(x.v)) if isinstance(x, Rows) else f(x)


def enlarged(rows: Rows, v: Array, factor: int) -> Rows:
    """`v`, that was made of `rows` and has `factor` times their rows and columns."""
    return rows.replace(v=v, lag=rows.lag * factor, rate=rows.rate * factor)


def reduced(rows: Rows, v: Array, factor: int) -> Rows:
    """`v`, that was made of `rows` and has a `factor`-th of their rows and columns."""
    assert rows.lag % factor == 0, "a window would hold rows of two strips: delay the rows first"
    return rows.replace(v=v, lag=rows.lag // factor, rate=rows.rate / factor)


def carry(module: nn.Module, name: str, v: Array, count: int) -> Array:
    """`v` with the `count` rows above it, which `module` keeps from strip to strip."""
    if count == 0:
        return v
    shape = (v.shape[0], count, *v.shape[2:])
    kept = module.variable("stream", name, jnp.zeros, shape, v.dtype)
    v = jnp.concatenate([kept.value, v], axis=1)
    kept.value = v[:, -count:]
    return v


def framed(module: nn.Module, rows: Rows, margin: int) -> Rows:
    """Rows that have `margin` more on either side of those that a window can be centred on.

    Whole rows get zeros, which is right for masked ones.
    """
    if rows.carried:
        v = carry(module, "rows", rows.v, 2 * margin)
        return rows.replace(v=v).behind(margin)
    return rows.replace(v=jnp.pad(rows.v, ((0, 0), (margin, margin), (0, 0), (0, 0))))


def delayed(module: nn.Module, name: str, rows: Rows, count: int) -> Rows:
    """The rows `count` later."""
    v = carry(module, name, rows.v, count)
    return rows.replace(v=v[:, : rows.shape[1]]).behind(count)


class Align(nn.Module):
    """Maps that all lag as far as that which lags most; arrays as they are."""

    @nn.compact
    def __call__(self, *maps: Map) -> list[Map]:
        lag = max(x.lag if isinstance(x, Rows) else 0 for x in maps)
        return [
            delayed(self, f"rows_{i}", x, lag - x.lag) if isinstance(x, Rows) else x
            for i, x in enumerate(maps)
        ]


class Add(nn.Module):
    """The sum of two maps."""

    @nn.compact
    def __call__(self, a: Map, b: Map) -> Map:
        a, b = Align(name="align")(a, b)
        return a.replace(v=a.v + b.v) if isinstance(a, Rows) and isinstance(b, Rows) else a + b


def concat(maps: Sequence[Map]) -> Map:
    """Join feature maps, arrays or Rows that lag alike, along their channels."""
    lags = sorted({x.lag for x in maps if isinstance(x, Rows)})
    if len(lags) > 1:
        raise ValueError(f"got maps that lag {', '.join(map(str, lags))} rows: Align them first")
    arrays: Any = [x.v if isinstance(x, Rows) else x for x in maps]
    joined: Any = jnp.concatenate(arrays, axis=-1)
    return pointwise(lambda _: joined, maps[0])


def whole(v: Array, *, height: Any, width: Any) -> Rows:
    """Pictures [N, H, W, C] that are padded at the bottom and the right."""
    return Rows(v, 0, height, width, carried=False)


def begin(arch: Any, width: int, *, batch: int = 1) -> tuple[Kept, int]:
    """Return what the layers keep above the first strip, zeros, and how many rows the output lags.

    `width` is that of the strips. Nothing is computed; strips of any height may follow.
    """
    integer = jax.ShapeDtypeStruct((), jnp.int32)
    v: Any = jax.ShapeDtypeStruct((batch, arch.multiple, width, arch.channels), jnp.float32)
    rows, variables = jax.eval_shape(
        lambda rows: arch.init_with_output(jax.random.key(0), rows),
        Rows(v, integer, integer, integer),
    )
    kept = variables.get("stream", {})
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), kept), rows.lag


def step(
    arch: Any,
    variables: Mapping[str, Any],
    kept: Kept,
    v: Array,
    *,
    top: Any,
    height: Any,
    width: Any,
) -> tuple[Array, Kept]:
    """Send the next strip [N, h, w, C], whose first row is number `top`, through the network.

    Returns the next h * scale rows of the output, which lag as `begin` says, and what to give to
    the next step. `height` and `width` are the picture's; strips below it drain the lag. h and w
    are multiples of `arch.multiple`, and so are height and width.
    """
    rows = Rows(v, top, height, width)
    rows, new = arch.apply({**variables, "stream": kept}, rows, mutable=["stream"])
    return rows.v, dict(new.get("stream", {}))
