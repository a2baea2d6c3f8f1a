"""Against PyTorch's own layers and networks written from the papers: tests/parity/networks.py."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict
from safetensors.numpy import save_file

from jaxsr.interop.load import load_vgg
from jaxsr.networks import layers, resample
from jaxsr.networks.discriminators import DISCRIMINATORS
from jaxsr.networks.features import vgg_features
from jaxsr.networks.generators import GENERATORS

GOLDEN = np.load(Path(__file__).parents[1] / "parity" / "networks.npz")

TOY = {"num_features": 4, "num_blocks": 2}
CASES = {
    "msrresnet_x3": GENERATORS["msrresnet"](3, **TOY),
    "msrresnet_x4": GENERATORS["msrresnet"](4, **TOY),
    "srresnet_x4": GENERATORS["srresnet"](4, **TOY),
    "rrdbnet_x4": GENERATORS["rrdbnet"](4, growth=2, **TOY),
    "rrdbnet_x2": GENERATORS["rrdbnet"](2, growth=2, **TOY),
    "rrdbnet_x1": GENERATORS["rrdbnet"](1, growth=2, **TOY),
    "rrdbnet_plus_x2": GENERATORS["rrdbnet"](
        2, num_features=3, num_blocks=1, growth=1, unshuffle=1, plus=True
    ),
    "compact_x2": GENERATORS["compact"](2, num_features=4, num_convs=2),
    "compact_x4": GENERATORS["compact"](4, num_features=4, num_convs=2),
    "edsr_x3": GENERATORS["edsr"](3, channels=1, num_features=4, num_blocks=1),
    "edsr_x4": GENERATORS["edsr"](4, res_scale=0.5, **TOY),
    "espcn_x3": GENERATORS["espcn"](3, num_features=4),
    "espcn_relu_x2": GENERATORS["espcn"](2, num_features=4, kernels=(9, 1, 3), activation="relu"),
    "concat_x2": GENERATORS["concat"](2, **TOY),
    "encdec_x2": GENERATORS["encdec"](2, num_features=4),
    "restore": GENERATORS["restore"](channels=1, num_features=4),
    "dcgan_g": GENERATORS["dcgan"](channels=1, size=16, latent=5, num_features=2),
    "vgg_style": DISCRIMINATORS["vgg_style"](num_features=1, channels=1),
    "srgan": DISCRIMINATORS["srgan"](num_features=1),
    "srgan_c": DISCRIMINATORS["srgan"](num_features=1, num_convs=4, use_norm=False),
    "unet": DISCRIMINATORS["unet"](num_features=2),
    "patch": DISCRIMINATORS["patch"](num_features=2),
    "patch_b": DISCRIMINATORS["patch"](num_features=2, num_layers=1, use_norm=False),
    "strided": DISCRIMINATORS["strided"](features=(3, 4), use_norm=True, channels=1),
    "dcgan_d": DISCRIMINATORS["dcgan"](num_features=2, num_layers=2),
}
LEAVES = {
    "bias": ("params", "bias"),
    "running_mean": ("batch_stats", "mean"),
    "running_var": ("batch_stats", "var"),
    "weight_orig": ("params", "kernel"),
    "weight_u": ("batch_stats", "u"),
    "weight_v": ("batch_stats", "v"),
}


def golden(name: str) -> np.ndarray:
    """A golden array in float32, [N, C, H, W] turned to [N, H, W, C]."""
    array = GOLDEN[name].astype(np.float32)
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


def torch_state(name: str) -> dict[str, np.ndarray]:
    """The state dict stored under `name`."""
    flat, state = GOLDEN[name].astype(np.float32), {}
    for line in str(GOLDEN[f"{name}_layout"]).splitlines():
        key, *shape = line.split()
        size = np.prod([int(n) for n in shape], dtype=int)
        state[key], flat = flat[:size].reshape([int(n) for n in shape]), flat[size:]
    return state


def variables(name: str) -> dict:
    """The state dict stored under `name` as our variables."""
    flat = {}
    for key, value in torch_state(name).items():
        path, leaf = key.rsplit(".", 1)
        collection, ours = LEAVES.get(leaf) or ("params", weight_name(path, value))
        ours = f"{collection}/{our_path(path, compact=name.startswith('compact'))}/{ours}"
        flat[ours] = our_kernel(value, transposed="deconv" in path)
    return unflatten_dict(flat, sep="/")


def our_kernel(value: np.ndarray, *, transposed: bool = False) -> np.ndarray:
    if transposed and value.ndim == 4:
        return value.transpose(2, 3, 0, 1)[::-1, ::-1]
    return value.transpose({4: (2, 3, 1, 0), 2: (1, 0)}.get(value.ndim, (0,)))


def weight_name(path: str, value: np.ndarray) -> str:
    if value.ndim > 1:
        return "kernel"
    return "scale" if "bn" in path else "slope"


def our_path(path: str, *, compact: bool) -> str:
    if not compact:
        return re.sub(r"body\.(\d+)", r"block_\1", path).replace(".", "/")
    index, kind = int(path.removeprefix("body.")), "act" if int(path[5:]) % 2 else "conv"
    last = CASES["compact_x4"].num_convs * 2 + 2
    return "conv_last" if index == last else f"{kind}_{index // 2 - 1 if index > 1 else 'first'}"


@pytest.mark.parametrize("case", CASES)
def test_forward_and_input_gradient_equal_torch(case):
    weights = variables(f"{case}/weights")
    x = golden(f"{case}/x")

    def energy(x):
        y = CASES[case].apply(weights, x)
        return jnp.square(y).sum(), y

    (_, y), gradient = jax.jit(jax.value_and_grad(energy, has_aux=True))(x)
    np.testing.assert_allclose(y, golden(f"{case}/y"), atol=1e-5)
    if f"{case}/gradient" in GOLDEN:
        wanted = golden(f"{case}/gradient")
        np.testing.assert_allclose(gradient, wanted, atol=1e-5 * abs(wanted).max())


@pytest.mark.parametrize("case", [name for name in CASES if f"{name}/y_train" in GOLDEN])
def test_training_forward_and_new_statistics_equal_torch(case):
    arch = CASES[case]
    apply = jax.jit(lambda w, x: arch.apply(w, x, train=True, mutable=["batch_stats"]))
    y, new = apply(variables(f"{case}/weights"), golden(f"{case}/x"))
    np.testing.assert_allclose(y, golden(f"{case}/y_train"), atol=1e-5)
    wanted = variables(f"{case}/stats_after")["batch_stats"]
    assert jax.tree.structure(new["batch_stats"]) == jax.tree.structure(wanted)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), new["batch_stats"], wanted
    )


def test_the_variables_are_those_that_the_networks_ask_for():
    for case, arch in CASES.items():
        x = golden(f"{case}/x")
        ours = jax.eval_shape(lambda key, arch=arch, x=x: arch.init(key, x), jax.random.key(0))
        theirs = variables(f"{case}/weights")
        assert jax.tree.map(jnp.shape, ours) == jax.tree.map(jnp.shape, theirs)


def test_pixel_shuffles_equal_torch():
    x = golden("layers/x")
    wide = golden("layers/wide")
    np.testing.assert_array_equal(resample.pixel_shuffle(x[..., :12], 2), golden("layers/shuffle2"))
    np.testing.assert_array_equal(resample.pixel_shuffle(x, 3), golden("layers/shuffle3"))
    np.testing.assert_array_equal(resample.pixel_unshuffle(wide, 3), golden("layers/unshuffle3"))


def test_transposed_convolution_equals_torch():
    weight = GOLDEN["deconv/weight"].astype(np.float32)
    params = {
        "kernel": our_kernel(weight, transposed=True),
        "bias": GOLDEN["deconv/bias"].astype(np.float32),
    }
    y = layers.ConvTranspose(2).apply({"params": params}, golden("deconv/x"))
    np.testing.assert_allclose(y, golden("deconv/y"), atol=1e-6)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bilinear_enlargement_equals_torch(factor):
    y = layers.upsample_bilinear(golden("layers/x")[..., :2], factor)
    np.testing.assert_allclose(y, golden(f"layers/bilinear{factor}"), atol=1e-6)


@pytest.mark.parametrize("size", [2, 4, 7])
def test_adaptive_pooling_equals_torch(size):
    y = layers.adaptive_avg_pool(golden("layers/x"), size)
    np.testing.assert_allclose(y, golden(f"layers/pool{size}"), atol=1e-6)


@pytest.mark.parametrize("kind", ["vgg16", "vgg19"])
def test_vgg_features_equal_torch(kind, tmp_path):
    path = tmp_path / "vgg.safetensors"
    state = torch_state(f"{kind}/weights")
    save_file({name: value.astype(np.float16) for name, value in state.items()}, path)
    stored = [name.split("/")[1] for name in GOLDEN if re.match(rf"{kind}/(conv|relu)", name)]
    params = load_vgg(path, stored)
    features = jax.jit(lambda p, x: vgg_features(p, x, stored))(params, golden(f"{kind}/x"))
    assert len(stored) == 5
    for name in stored:
        np.testing.assert_allclose(features[name], golden(f"{kind}/{name}"), atol=1e-5)
