"""Strips and padded pictures against the plain picture through the same network."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import OF_PICTURES, VARIANTS, toy

from jaxsr.networks import layers, resample
from jaxsr.networks.generators import GENERATORS
from jaxsr.networks.rows import Add, Align, Rows, begin, concat, step, whole

# One scale of each, and those that differ in more than a factor; the others take minutes.
CASES = [
    ("msrresnet", 3),
    ("srresnet", 2),
    ("edsr", 4),
    ("rrdbnet", 4),
    ("compact", 2),
    ("espcn", 3),
    ("concat", 2),
    ("encdec", 2),
    ("restore", 1),
]
SLOW = [
    (name, scale)
    for name in OF_PICTURES
    for scale in GENERATORS[name].scales
    if (name, scale) not in CASES
]


@partial(jax.jit, static_argnums=0)
def jitted_step(arch, variables, kept, v, top, height, width):
    return step(arch, variables, kept, v, top=top, height=height, width=width)


@partial(jax.jit, static_argnums=0)
def jitted_whole(arch, variables, v, height, width):
    return arch.apply(variables, whole(v, height=height, width=width)).v


def picture(height: int = 37, width: int = 29, *, multiple: int = 1, batch: int = 2) -> np.ndarray:
    """An odd picture, but for the factor that the network needs."""
    shape = (batch, -(-height // multiple) * multiple, -(-width // multiple) * multiple, 3)
    return np.random.default_rng(height).random(shape, np.float32)


def embed(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """The picture in the corner of a field of NaN."""
    field = np.full((len(x), height, width, x.shape[-1]), np.nan, np.float32)
    field[:, : x.shape[1], : x.shape[2]] = x
    return field


def stream(arch, variables, x: np.ndarray, strips: list[int], bucket: int) -> np.ndarray:
    """Send `x` through in strips as high as the list says, its last number for all that remain."""
    height, width, scale = *x.shape[1:3], arch.scale
    kept, lag = begin(arch, bucket, batch=len(x))
    field = embed(x, height + lag + 2 * max(strips), bucket)
    pieces, top, heights = [], 0, list(strips)
    while scale * top < scale * height + lag:
        rows = heights.pop(0) if len(heights) > 1 else heights[0]
        strip = field[:, top : top + rows]
        y, kept = jitted_step(arch, variables, kept, strip, *np.int32([top, height, width]))
        assert y.shape[1] == rows * scale
        pieces.append(y)
        top += rows
    y = np.concatenate(pieces, axis=1)[:, lag : lag + scale * height]
    return y[:, :, : scale * width]


def test_every_generator_of_pictures_is_held_to_its_plain_self():
    assert {name for name, _ in CASES} == set(OF_PICTURES)


@pytest.mark.parametrize(
    ("name", "scale"), [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)]
)
def test_strips_and_padded_pictures_equal_the_plain_picture(name, scale, draw):
    assert_equal_to_plain(toy(name, scale), draw)


@pytest.mark.parametrize("fields", VARIANTS)
def test_strips_and_padded_pictures_through_variants_of_rrdbnet(fields, draw):
    assert_equal_to_plain(toy("rrdbnet", **fields), draw)


def assert_equal_to_plain(arch, draw):
    """Two pictures, a wider bucket of NaN, strips that are halved in the middle."""
    x = picture(multiple=arch.multiple)
    variables = draw(arch, x)
    wanted = jax.jit(arch.apply)(variables, x)
    strips = stream(arch, variables, x, [8, 8, 4], bucket=36)
    np.testing.assert_allclose(strips, wanted, atol=1e-5)
    height, width = x.shape[1:3]
    padded = jitted_whole(arch, variables, embed(x, 44, 36), np.int32(height), np.int32(width))
    inside = padded[:, : arch.scale * height, : arch.scale * width]
    np.testing.assert_allclose(inside, wanted, atol=1e-5)


@pytest.mark.parametrize("strips", [[1], [4], [16], [64], [3, 16, 1, 5]])
def test_any_strips_serve(strips, draw):
    arch, x = toy("compact", 2), picture()
    variables = draw(arch, x)
    wanted = jax.jit(arch.apply)(variables, x)
    got = stream(arch, variables, x, strips, bucket=x.shape[2])
    np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3)])
def test_pictures_of_a_few_pixels(height, width, draw):
    arch, x = toy("msrresnet", 2), picture(height, width)
    variables = draw(arch, x)
    wanted = jax.jit(arch.apply)(variables, x)
    got = stream(arch, variables, x, [4], bucket=8)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_bf16_strips_equal_the_plain_picture(draw):
    """The layers keep their rows in the dtype that they compute in."""
    arch, x = toy("srresnet", 2).clone(dtype=jnp.bfloat16), picture()
    variables = draw(arch, x)
    kept, _ = begin(arch, 36)
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(kept)}
    assert dtypes == {jnp.dtype(jnp.bfloat16), jnp.dtype(jnp.float32)}
    wanted = jax.jit(arch.apply)(variables, x)
    got = stream(arch, variables, x, [16], bucket=36)
    np.testing.assert_allclose(got, wanted, atol=0.02 * np.abs(wanted).max())


def test_one_compilation_serves_pictures_of_many_sizes(draw):
    arch = toy("espcn", 2)
    variables = draw(arch, picture())
    jitted_step.clear_cache()  # of what other tests may have left, which may be this very network
    jitted_whole.clear_cache()
    for height, width in ((37, 29), (20, 36), (44, 30)):
        x = picture(height, width)
        wanted = jax.jit(arch.apply)(variables, x)
        got = stream(arch, variables, x, [8], bucket=36)
        np.testing.assert_allclose(got, wanted, atol=1e-5)
        padded = jitted_whole(arch, variables, embed(x, 44, 36), np.int32(height), np.int32(width))
        np.testing.assert_allclose(padded[:, : 2 * height, : 2 * width], wanted, atol=1e-5)
    assert (jitted_step._cache_size(), jitted_whole._cache_size()) == (1, 1)


def test_pictures_of_different_sizes_in_one_batch(draw):
    arch = toy("msrresnet", 2)
    pictures = [picture(13, 9, batch=1), picture(6, 12, batch=1)]
    variables = draw(arch, pictures[0])
    batch = np.concatenate([embed(x, 16, 12) for x in pictures])
    heights, widths = np.int32([13, 6]), np.int32([9, 12])
    got = jitted_whole(arch, variables, batch, heights, widths)
    for i, x in enumerate(pictures):
        inside = got[i : i + 1, : 2 * heights[i], : 2 * widths[i]]
        np.testing.assert_allclose(inside, arch.apply(variables, x), atol=1e-5)


def floats(arch) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(begin(arch, 1)[0]))


def test_what_is_kept_depends_on_the_width_alone(draw):
    """Two rows above every convolution; for Compact 18 LR rows of the base, enlarged."""
    assert floats(GENERATORS["compact"](4)) == 2 * 3 + 17 * 2 * 64 + 4 * 18 * 4 * 3
    dense = 2 * (64 + 96 + 128 + 160 + 192) + (64 + 96 + 128 + 160) + 64
    block, above = 3 * dense + 15 * 64, 2 * (3 + 64 + 2 * 64 + 3 * 4 * 64)
    assert floats(GENERATORS["rrdbnet"](4, num_blocks=2)) == 2 * block + 31 * 64 + above
    arch = toy("encdec", 2)
    kept, _ = begin(arch, 8)
    variables = draw(arch, jnp.zeros((1, 4, 8, 3)))
    for rows in (4, 12):
        send = partial(step, arch, top=0, height=8, width=6)
        _, new = jax.eval_shape(send, variables, kept, jnp.zeros((1, rows, 8, 3)))
        assert jax.tree.map(jnp.shape, new) == jax.tree.map(jnp.shape, kept)


def test_a_pooling_waits_for_whole_windows():
    """The map lags a row, an odd number, behind its convolution."""

    class Pooled(layers.nn.Module):
        scale, multiple, channels = 1, 2, 1

        @layers.nn.compact
        def __call__(self, x):
            return resample.MaxPool()(layers.Conv(1, name="conv")(x))

    x = picture(8, 6)[..., :1]
    variables = Pooled().init(jax.random.key(0), x)
    wanted = Pooled().apply(variables, x)
    kept, lag = begin(Pooled(), 6, batch=2)
    assert lag == 1
    y, _ = step(Pooled(), variables, kept, embed(x, 10, 6), top=0, height=8, width=6)
    np.testing.assert_allclose(y[:, 1:], wanted, atol=1e-6)


def test_layers_of_rows_equal_those_of_arrays():
    x = picture(5, 4)
    rows = whole(embed(x, 8, 6), height=5, width=4)
    for layer in (
        lambda x: layers.tanh(resample.upsample_nearest(x, 2)),
        lambda x: resample.pixel_unshuffle(resample.upsample_nearest(x, 3), 3),
        lambda x: resample.UpsampleBilinear(3).apply({}, x),
        lambda x: resample.UpsampleBilinear(1).apply({}, x),
        lambda x: 2 * (1 + (x - 0.5) / 4 + 3),
    ):
        wanted = layer(x)
        got = layer(rows).v[:, : wanted.shape[1], : wanted.shape[2]]
        np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_rows_are_not_added_by_an_operator():
    rows = whole(jnp.zeros((1, 4, 4, 3)), height=4, width=4)
    with pytest.raises(ValueError, match="two Rows, which may lag differently: use Add"):
        rows + rows
    np.testing.assert_array_equal(Add().apply({}, rows + 1, rows + 2).v, np.full((1, 4, 4, 3), 3))


def test_maps_that_lag_differently_are_not_joined():
    rows = Rows(jnp.zeros((1, 4, 4, 3)), 0, 4, 4)
    with pytest.raises(ValueError, match="lag 0, 2 rows: Align"):
        concat([rows, rows.behind(2)])
    maps, kept = Align().apply({}, rows + 1, rows.behind(2), mutable=["stream"])
    joined = concat(maps)
    assert joined.lag == 2 and joined.shape == (1, 4, 4, 6)
    # two rows that are above the first strip
    np.testing.assert_array_equal(joined.v[0, :, 0, 0], [0, 0, 1, 1])
    assert [leaf.shape for leaf in jax.tree.leaves(kept)] == [(1, 2, 4, 3)]


def test_rows_that_are_no_multiples_are_refused(draw):
    arch = toy("rrdbnet", 2)
    rows = whole(jnp.zeros((1, 4, 5, 3)), height=4, width=4)
    with pytest.raises(ValueError, match="Rows of 4 x 5 pixels, wanted multiples of 2: pad"):
        jax.eval_shape(arch.init, jax.random.key(0), rows)
