"""Reading VGG files and asking for features; the values are held to PyTorch's in test_parity.py."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxsr.interop.load import load_vgg
from jaxsr.interop.pth import write_pth
from jaxsr.networks.features import vgg_features

VGG16 = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
VGG19 = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)


def tensors(indices=VGG19, kind=np.float32) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    state = {}
    for position, index in enumerate(indices):
        shape = (2, 2 if position else 3, 3, 3)
        state[f"features.{index}.weight"] = (rng.normal(size=shape) / 3).astype(kind)
        state[f"features.{index}.bias"] = rng.normal(size=2).astype(kind)
    return state


@pytest.fixture
def path(tmp_path):
    save_file(tensors(), tmp_path / "vgg.safetensors")
    return tmp_path / "vgg.safetensors"


def test_only_what_the_layers_need_is_read(path):
    assert list(load_vgg(path, ["relu2_1", "conv1_2"])) == ["conv1_1", "conv1_2", "conv2_1"]
    assert len(load_vgg(path, ["conv5_4"])) == 16
    assert load_vgg(path, []) == {}


@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_any_float_type_is_read_as_float32(kind, path):
    save_file(tensors(kind=kind), path)
    conv = load_vgg(path, ["conv1_1"])["conv1_1"]
    stored = tensors(kind=kind)
    wanted = stored["features.0.weight"].transpose(2, 3, 1, 0).astype(np.float32)
    np.testing.assert_array_equal(conv["kernel"], wanted)
    assert conv["kernel"].dtype == conv["bias"].dtype == jnp.float32


def test_grey_pictures_are_repeated_to_three_channels(path):
    params = load_vgg(path, ["conv1_2"])
    grey = jax.random.uniform(jax.random.key(0), (1, 4, 5, 1))
    rgb = np.repeat(grey, 3, axis=-1)
    got, wanted = (vgg_features(params, x, ["conv1_2"])["conv1_2"] for x in (grey, rgb))
    np.testing.assert_array_equal(got, wanted)


def test_a_missing_file_is_explained(tmp_path):
    with pytest.raises(ValueError, match="no weights at .*none.safetensors; name .*jaxsr fetch"):
        load_vgg(tmp_path / "none.safetensors", ["conv5_4"])


def test_a_file_of_pytorch_gives_the_same(path, tmp_path):
    write_pth(tmp_path / "vgg.pth", tensors(), wrapper=None)
    got, wanted = (load_vgg(p, ["conv5_4"]) for p in (tmp_path / "vgg.pth", path))
    jax.tree.map(np.testing.assert_array_equal, got, wanted)


def test_foreign_files_are_refused(path):
    save_file({"a": np.zeros(3)}, path)
    with pytest.raises(ValueError, match="neither VGG19 nor VGG16"):
        load_vgg(path, ["conv1_1"])
    save_file(tensors() | {"features.0.weight": np.zeros((2, 3, 5, 5))}, path)
    with pytest.raises(ValueError, match=r"features\.0 .*wanted \[out, in, 3, 3\]"):
        load_vgg(path, ["conv1_1"])
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match="no whole .safetensors file"):
        load_vgg(path, ["conv1_1"])


def test_unknown_layers_are_named_with_the_nearest(path):
    with pytest.raises(ValueError, match="no layer 'conv5_5'; the nearest is 'conv5_"):
        load_vgg(path, ["conv1_1", "conv5_5"])
    params = load_vgg(path, ["conv1_1"])
    with pytest.raises(ValueError, match="no layer 'conv1_2'; the nearest is 'conv1_1'"):
        vgg_features(params, jnp.zeros((1, 8, 8, 3)), ["conv1_2"])
    save_file(tensors(VGG16), path)
    with pytest.raises(ValueError, match="no layer 'conv3_4'"):
        load_vgg(path, ["conv3_4"])


def test_the_head_is_the_classifier(path):
    rng, sides = np.random.default_rng(1), {"0": (5, 98), "3": (4, 5), "6": (3, 4)}
    layers = {name: (rng.normal(size=s), rng.normal(size=s[0])) for name, s in sides.items()}
    state = tensors(VGG16)
    for name, (weight, bias) in layers.items():
        state[f"classifier.{name}.weight"] = weight.astype(np.float32)
        state[f"classifier.{name}.bias"] = bias.astype(np.float32)
    save_file(state, path)
    image = jax.random.uniform(jax.random.key(0), (1, 32, 32, 3))
    params = load_vgg(path, ["relu5_3", "head"])
    features = vgg_features(params, image, ["relu5_3", "head"])
    # 2 x 2 pixels are pooled to one, which stands for all 7 x 7 of its channel.
    x = np.asarray(features["relu5_3"], np.float64).max((1, 2)).repeat(49)
    for name, (weight, bias) in layers.items():
        x = weight @ x + bias
        x = x if name == "6" else np.maximum(x, 0)
    np.testing.assert_allclose(features["head"][0], x, rtol=1e-4)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((1, 8, 8, 4), r"\(1, 8, 8, 4\), wanted"), ((1, 16, 15, 3), "16 x 15 .* at least 16 x 16")],
)
def test_wrong_pictures_are_refused(shape, message, path):
    with pytest.raises(ValueError, match=message):
        vgg_features(load_vgg(path, ["conv5_1"]), jnp.zeros(shape), ["conv5_1"])


def test_the_real_vgg19(data_dir):
    """The first layer by hand: normalise, convolve one pixel, add the bias."""
    path = data_dir / "weights" / "vgg19_f16.safetensors"
    params = load_vgg(path, ["conv1_1", "conv5_4"])
    assert params["conv5_4"]["kernel"].shape == (3, 3, 512, 512)
    image = np.random.default_rng(0).random((1, 16, 16, 3), np.float32)
    features = jax.jit(lambda p, x: vgg_features(p, x, ["conv1_1", "conv5_4"]))(params, image)
    assert features["conv5_4"].shape == (1, 1, 1, 512) and np.isfinite(features["conv5_4"]).all()
    state = load_file(path)
    normal = (image[0, 4:7, 7:10] - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    weight = state["features.0.weight"].astype(np.float64)
    wanted = np.einsum("hwc,ochw->o", normal, weight) + state["features.0.bias"]
    np.testing.assert_allclose(features["conv1_1"][0, 5, 8], wanted, atol=1e-4)
