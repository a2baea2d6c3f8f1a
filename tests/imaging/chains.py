"""What the tests of whole chains share: keys of examples, and the steps by SciPy and Pillow."""

import io

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
from scipy import ndimage

from jaxsr.imaging.degrade import degrade

N = 16  # pictures of a batch


def keys(n=N, seed=3):
    """New ones at each call, for none may be used twice."""
    return jax.random.split(jax.random.key(seed), n)


def with_gradient(spec):
    """Makes (lr, target, gradient of the sum of squares of LR with respect to HR)."""

    def run(keys, hr):
        def loss(hr):
            lr, target, _ = degrade(keys, hr, spec)
            return (lr * lr).sum(), (lr, target)

        gradient, (lr, target) = jax.grad(loss, has_aux=True)(hr)
        return lr, target, gradient

    return jax.jit(run)


def stacked(draws):
    """Gives every picture of the batch the same draws."""

    def repeat(x):
        x = jnp.asarray(x)
        return jnp.broadcast_to(x, (N, *x.shape))

    return jax.tree.map(repeat, draws)


def pillows(image, quality, subsampling="4:4:4"):
    file = io.BytesIO()
    eight = np.round(image.clip(0, 1) * 255).astype(np.uint8)
    Image.fromarray(eight).save(file, "jpeg", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(file), np.float64) / 255


def bilinear(image, height, width):
    """Each pixel at its centre, the edge repeated, nothing antialiased."""
    sides = zip(image.shape, (height, width), strict=False)
    lines = [(np.arange(n) + 0.5) * side / n - 0.5 for side, n in sides]
    places = np.meshgrid(*lines, indexing="ij")
    channels = np.moveaxis(image, -1, 0)
    return np.stack(
        [ndimage.map_coordinates(c, places, order=1, mode="nearest") for c in channels], -1
    )


def bell(size, sigma, shift=0.0):
    x = np.arange(size) - size // 2 - shift
    kernel = np.exp(-(x[:, None] ** 2 + x**2) / 2 / sigma**2)
    return kernel / kernel.sum()


def assert_close(lr, expected):
    """Within the bounds of JPEG: roundings become levels of coefficients."""
    error = (np.asarray(lr, np.float64) - expected) * 255
    assert abs(error).mean() < 0.5 and 10 * np.log10(255**2 / (error**2).mean()) > 45


def assert_keys_decide(compiled, hr, batch):
    """And no draw compiles anything; `compiled` is of `with_gradient`, `batch` what it gave."""
    same = jnp.asarray(hr[:1].repeat(N, axis=0))
    lr = np.asarray(compiled(keys(), same)[0])
    assert len({picture.tobytes() for picture in lr}) == N
    np.testing.assert_array_equal(lr[0], batch[0][0])
    order = np.arange(N)[::-1]
    turned = compiled(keys()[order], jnp.asarray(hr[order]))[0]
    np.testing.assert_array_equal(turned[order], batch[0])
    others = compiled(keys(seed=4), same)[0]
    assert all((x != y).any() for x, y in zip(others, lr, strict=True))
    assert compiled._cache_size() == 1


def assert_alone_on_each_of_eight_devices(spec, hr, batch):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    part = jax.sharding.PartitionSpec("data")

    def run(keys, hr):
        assert hr.shape[0] == 1
        return degrade(keys, hr, spec)[0]

    sharded = jax.jit(jax.shard_map(run, mesh=mesh, in_specs=part, out_specs=part))
    np.testing.assert_allclose(sharded(keys()[:8], jnp.asarray(hr[:8])), batch[0][:8], atol=1e-6)
