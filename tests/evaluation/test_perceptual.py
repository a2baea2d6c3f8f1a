"""LPIPS and DISTS against their authors' programs: tests/parity/perceptual.py."""

import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from parity.perceptual import pairs, weights
from safetensors.numpy import load_file

from jaxsr.evaluation.perceptual import dists, dists_params, lpips, lpips_params
from jaxsr.imaging import classical, files
from jaxsr.imaging.color import from_float, to_float
from jaxsr.imaging.find import find_pictures
from jaxsr.imaging.resize import resize

GOLDEN = np.load(Path(__file__).parents[1] / "parity" / "perceptual.npz")
LPIPS = jax.jit(lpips, static_argnames="crop")
DISTS = jax.jit(dists, static_argnames="crop")


def golden_state(name: str) -> dict[str, np.ndarray]:
    """The tensors that the golden numbers were made with, in their authors' names."""
    return weights(json.loads(str(GOLDEN[f"shapes/{name}"])))


def torchvision_names(state):
    return {re.sub(r"^(net\.slice|stage)\d\.", "features.", name): x for name, x in state.items()}


def narrow(kind: str) -> dict[str, np.ndarray]:
    """A toy of the network, every layer two wide: enough for what does not hang on its width."""
    shapes = json.loads(str(GOLDEN[f"shapes/{kind}"]))
    for name, (_, *rest) in shapes.items():
        if name.startswith("lin"):
            shapes[name] = (1, 2, 1, 1)
        elif name in ("alpha", "beta"):
            shapes[name] = (1, 3 + 5 * 2, 1, 1)  # RGB and five stages
        elif rest:
            shapes[name] = (2, 3 if rest[0] == 3 else 2, *rest[1:])
        else:
            shapes[name] = (2,)
    return weights(shapes)


@pytest.fixture(scope="module")
def alex():
    return lpips_params(narrow("alex"))


def test_lpips_of_alexnet_equals_the_reference():
    params, (sr, hr) = lpips_params(golden_state("alex")), pairs()
    result = LPIPS(params, sr, hr, crop=0)
    assert result.shape == (5,) and result.dtype == np.float32
    assert np.all(LPIPS(params, hr, hr, crop=0) == 0)
    np.testing.assert_allclose(result, GOLDEN["lpips/alex"], rtol=1e-4, atol=1e-8)


def test_lpips_of_vgg_equals_the_reference():
    result = LPIPS(lpips_params(golden_state("vgg")), *pairs(), crop=0)
    np.testing.assert_allclose(result, GOLDEN["lpips/vgg"], rtol=1e-4, atol=1e-8)


def test_lpips_of_squeezenet_equals_the_reference():
    result = LPIPS(lpips_params(golden_state("squeeze")), *pairs(), crop=0)
    np.testing.assert_allclose(result, GOLDEN["lpips/squeeze"], rtol=1e-4, atol=1e-8)


def test_dists_equals_the_reference():
    params, (sr, hr) = dists_params(golden_state("dists")), pairs()
    result = DISTS(params, sr, hr, crop=0)
    assert result.shape == (5,) and result.dtype == np.float32
    np.testing.assert_allclose(DISTS(params, hr, hr, crop=0), 0, atol=1e-6)
    np.testing.assert_allclose(result, GOLDEN["dists"], rtol=1e-4, atol=1e-6)


def test_lpips_with_the_published_weights_equals_the_reference(data_dir):
    params = lpips_params(load_file(data_dir / "weights" / "lpips_alex.safetensors"))
    result = LPIPS(params, *pairs(), crop=0)
    np.testing.assert_allclose(result, GOLDEN["lpips/trained"], rtol=1e-4, atol=1e-8)


def test_the_published_figure_of_bicubic_on_set5(data_dir):
    """.3407 at x4 in SPSR (Ma et al., 2020, table 1), which crops nothing."""
    params = lpips_params(load_file(data_dir / "weights" / "lpips_alex.safetensors"))
    distances = []
    for path in find_pictures(data_dir / "Set5"):
        hr = files.read(path).pixels
        height, width = (n - n % 4 for n in hr.shape[:2])
        hr = to_float(hr[:height, :width])
        lr = to_float(from_float(resize(hr, (height // 4, width // 4)), np.uint8))
        sr = to_float(from_float(classical.enlarge(lr, 4, method="bicubic"), np.uint8))
        distances.append(LPIPS(params, sr[None], hr[None], crop=0)[0])
    assert np.mean(distances) == pytest.approx(0.3407, abs=1e-4)


def test_names_of_files_are_understood():
    ours = narrow("alex")
    whole = lpips_params(ours)
    apart = torchvision_names(ours)
    heads = {name: x for name, x in apart.items() if name.startswith("lin")}
    network = {name: x for name, x in apart.items() if name not in heads}
    shared = network | {name.replace("model.1.", ""): x for name, x in heads.items()}
    classifier = {"classifier.1.weight": np.zeros((3, 4))}
    for states in ((network | classifier, heads), (heads, network), (shared,)):
        jax.tree.map(np.testing.assert_array_equal, lpips_params(*states), whole)
    state = narrow("dists")
    vectors = {name: state.pop(name) for name in ("alpha", "beta")}
    apart = dists_params(torchvision_names(state), vectors)
    jax.tree.map(np.testing.assert_array_equal, dists_params(state | vectors), apart)


def test_crop_cuts_every_border(alex):
    sr, hr = pairs()
    wanted = LPIPS(alex, sr[:, 3:-3, 3:-3], hr[:, 3:-3, 3:-3], crop=0)
    np.testing.assert_allclose(LPIPS(alex, sr, hr, crop=3), wanted, rtol=1e-5)
    params = dists_params(narrow("dists"))
    wanted = DISTS(params, sr[:, 3:-3, 3:-3], hr[:, 3:-3, 3:-3], crop=0)
    np.testing.assert_allclose(DISTS(params, sr, hr, crop=3), wanted, atol=1e-6)


def test_no_accelerator_may_round_to_fewer_bits(alex):
    """As GPUs do with float32 convolutions, to ten bits, unless told otherwise."""
    vgg = lpips_params(narrow("vgg"))
    for metric, params in ((LPIPS, alex), (LPIPS, vgg), (DISTS, dists_params(narrow("dists")))):
        program = metric.lower(params, *pairs(), crop=0).as_text()
        convolutions = [line for line in program.splitlines() if "stablehlo.convolution" in line]
        assert len(convolutions) >= 10
        assert all(line.count("precision HIGHEST") == 2 for line in convolutions)


def test_a_picture_has_its_distance_on_any_number_of_devices(alex):
    """Eight, each with pictures of its own, and no word between them."""
    sr, hr = (np.concatenate([x, x[:3]]) for x in pairs())
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    over = [jax.device_put(x, NamedSharding(mesh, P("data"))) for x in (sr, hr)]
    for metric, params in ((LPIPS, alex), (DISTS, dists_params(narrow("dists")))):
        params = jax.device_put(params, NamedSharding(mesh, P()))
        compiled = metric.lower(params, *over, crop=0).compile()
        words = re.findall(r"all-\w+|collective-\w+", compiled.as_text())
        assert words == []
        got = compiled(params, *over)
        alone = [metric(params, sr[i : i + 1], hr[i : i + 1], crop=0)[0] for i in (0, 4)]
        np.testing.assert_allclose(np.asarray(got)[[0, 4]], alone, rtol=1e-4, atol=1e-6)


def test_what_nothing_is_seen_of_has_no_distance(alex):
    image = np.full((1, 31, 31, 3), 0.5, np.float32)
    blind = jax.tree.map(np.zeros_like, alex)
    distance = jax.value_and_grad(lambda x: lpips(blind, x, image, crop=0).sum())
    value, gradient = jax.jit(distance)(image)
    assert value == 0 and np.all(gradient == 0)


def test_refusals_say_what_to_do(alex):
    state = narrow("alex")
    heads = {name: x for name, x in state.items() if name.startswith("lin")}
    network = {name: x for name, x in state.items() if name not in heads}
    vgg = torchvision_names(narrow("vgg"))
    with pytest.raises(ValueError, match="no AlexNet, VGG16 or SqueezeNet .* beside that of the h"):
        lpips_params(heads)
    with pytest.raises(ValueError, match=r"heads of \[\] channels, wanted \[2, 2, 2, 2, 2\] for a"):
        lpips_params(network)
    with pytest.raises(ValueError, match="no features.8.weight or no features.8.bias"):
        lpips_params({name: x for name, x in state.items() if ".8." not in name})
    with pytest.raises(ValueError, match="no VGG16 or no alpha and beta"):
        dists_params(vgg)
    with pytest.raises(ValueError, match="beta has 12 channels, wanted 13"):
        dists_params(vgg, {"alpha": np.zeros(13), "beta": np.zeros(12)})
    for params, least in ((alex, 31), (lpips_params(vgg), 16)):
        small = np.zeros((1, least + 1, least + 3, 3), np.float32)
        with pytest.raises(ValueError, match=f"leave less than {least} x {least}; use larger"):
            lpips(params, small, small, crop=1)
    grey = np.zeros((1, 40, 40, 1), np.float32)
    for call in (lambda: lpips(alex, grey, grey, crop=0), lambda: dists({}, grey, grey, crop=0)):
        with pytest.raises(ValueError, match=r"wanted \[N, H, W, 3\]; repeat grey"):
            call()
