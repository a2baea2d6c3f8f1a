"""Foreign state dicts: the names written out here as their publishers' code makes them."""

import re
from pathlib import Path

import jax
import ml_dtypes
import numpy as np
import pytest

from jaxsr.interop.layouts import from_weights, to_discriminator, to_weights
from jaxsr.networks.discriminators import UNetDiscriminatorSN, VGGStyleDiscriminator
from jaxsr.networks.generators import (
    EDSR,
    ESPCN,
    ConcatNet,
    MSRResNet,
    RRDBNet,
    SRResNet,
    SRVGGNetCompact,
)
from jaxsr.networks.weights import init_weights

GOLDEN = np.load(Path(__file__).parents[1] / "parity" / "networks.npz")

Shapes = dict[str, tuple[int, ...]]


def conv(name: str, outputs: int, inputs: int, size: int = 3, *, bias: bool = True) -> Shapes:
    weight = {f"{name}.weight": (outputs, inputs, size, size)}
    return weight | ({f"{name}.bias": (outputs,)} if bias else {})


def norm(name: str, features: int) -> Shapes:
    vectors = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{v}": (features,) for v in vectors} | {f"{name}.num_batches_tracked": ()}


def dense_block(name: str, f: int, g: int, *, plus: bool) -> Shapes:
    skip = name.format("1x1").removesuffix(".0")
    shapes = conv(skip, g, f, 1, bias=False) if plus else {}
    for i in range(1, 6):
        shapes |= conv(name.format(i), f if i == 5 else g, f + (i - 1) * g)
    return shapes


def rrdbnet(
    names: str, block: str, *, c: int = 3, inputs: int = 3, f: int = 4, plus: bool = False
) -> Shapes:
    """`names` are those of conv_first, conv_body, the enlarging ones, conv_hr and conv_last."""
    first, *others, last = names.split()
    shapes = conv(first, f, inputs) | conv(last, c, f)
    for name in others:
        shapes |= conv(name, f, f)
    for i in range(2):
        for k in (1, 2, 3):
            shapes |= dense_block(block.format(i, k, "{}"), f, 2, plus=plus)
    return shapes


NEW = "body.{}.rdb{}.conv{}"
MIDDLE = "RRDB_trunk.{}.RDB{}.conv{}"
OLD = "model.1.sub.{}.RDB{}.conv{}.0"
NEW_NAMES = "conv_first conv_body conv_up1 conv_up2 conv_hr conv_last"
MIDDLE_NAMES = "conv_first trunk_conv upconv1 upconv2 HRconv conv_last"
OLD_NAMES = "model.0 model.1.sub.2 model.3 model.6 model.8 model.10"
OLD_X8 = "model.0 model.1.sub.2 model.3 model.6 model.9 model.11 model.13"
OLD_X16 = "model.0 model.1.sub.2 model.3 model.6 model.9 model.12 model.14 model.16"


def compact(n: int, scale: int, *, slopes: bool = True) -> Shapes:
    shapes = conv("body.0", 4, 3) | conv(f"body.{2 * n + 2}", 3 * scale**2, 4)
    for i in range(n):
        shapes |= conv(f"body.{2 * i + 2}", 4, 4)
    return shapes | {f"body.{2 * i + 1}.weight": (4,) for i in range(n + 1) if slopes}


def resnet(names: str, ups: list[str], factor: int, f: int = 4, n: int = 2) -> Shapes:
    """`names` are those of the middle convolution and of the others."""
    body, *others = names.split()
    shapes = conv("conv_first", f, 3) | conv("conv_last", 3, f) | conv(body, f, f)
    for name in [*others, *(f"body.{i}.conv{k}" for i in range(n) for k in (1, 2))]:
        shapes |= conv(name, f, f)
    for name in ups:
        shapes |= conv(name, f * factor**2, f)
    return shapes


def srresnet(prefix: str, ups: int, factor: int) -> Shapes:
    shapes = conv(f"{prefix}1.0", 4, 3, 9) | {f"{prefix}1.1.weight": (1,)}
    for i in range(2):
        block = f"trunk.{i}.rcb"
        shapes |= conv(f"{block}.0", 4, 4, bias=False) | norm(f"{block}.1", 4)
        shapes |= {f"{block}.2.weight": (1,)}
        shapes |= conv(f"{block}.3", 4, 4, bias=False) | norm(f"{block}.4", 4)
    shapes |= conv(f"{prefix}2.0", 4, 4, bias=False) | norm(f"{prefix}2.1", 4)
    for i in range(ups):
        block = f"upsampling.{i}.upsample_block"
        shapes |= conv(f"{block}.0", 4 * factor**2, 4) | {f"{block}.2.weight": (1,)}
    return shapes | conv(f"{prefix}3", 3, 4, 9)


def espcn(first: str, second: str, last: str) -> Shapes:
    return conv(first, 6, 1, 5) | conv(second, 3, 6) | conv(last, 9, 3)


def unet(f: int = 2) -> Shapes:
    shapes = conv("conv0", f, 3) | conv("conv9", 1, f)
    widths = [(1, 2, 4), (2, 4, 4), (4, 8, 4), (8, 4, 3), (4, 2, 3), (2, 1, 3), (1, 1, 3)]
    for i, (a, b, size) in enumerate([*widths, (1, 1, 3)], 1):
        shapes[f"conv{i}.weight_orig"] = (b * f, a * f, size, size)
        shapes[f"conv{i}.weight_u"] = (b * f,)
        shapes[f"conv{i}.weight_v"] = (a * f * size**2,)
    return shapes


def vgg_style(f: int = 2) -> Shapes:
    shapes = conv("conv0_0", f, 3) | conv("conv0_1", f, f, 4, bias=False) | norm("bn0_1", f)
    for i, (a, b) in enumerate([(1, 2), (2, 4), (4, 8), (8, 8)], 1):
        shapes |= conv(f"conv{i}_0", b * f, a * f, bias=False) | norm(f"bn{i}_0", b * f)
        shapes |= conv(f"conv{i}_1", b * f, b * f, 4, bias=False) | norm(f"bn{i}_1", b * f)
    linear = {"linear1.weight": (100, 128 * f), "linear1.bias": (100,)}
    return shapes | linear | {"linear2.weight": (1, 100), "linear2.bias": (1,)}


def filled(shapes: Shapes) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    counter = np.zeros((), np.int64)
    return {
        name: rng.random(shape, np.float32) if "num_batches" not in name else counter
        for name, shape in shapes.items()
    }


TOY = {"num_features": 4, "num_blocks": 2}
RRDB = TOY | {"growth": 2}
CASES = {
    "rrdbnet": (rrdbnet(NEW_NAMES, NEW), "new", RRDBNet(4, **RRDB)),
    "rrdbnet x2": (rrdbnet(NEW_NAMES, NEW, inputs=12), "new", RRDBNet(2, **RRDB)),
    "rrdbnet x1": (rrdbnet(NEW_NAMES, NEW, inputs=48), "new", RRDBNet(1, **RRDB)),
    "rrdbnet grey": (
        rrdbnet(NEW_NAMES, NEW, inputs=4, c=1),
        "new",
        RRDBNet(2, channels=1, **RRDB),
    ),
    "rrdbnet x8": (
        rrdbnet(NEW_NAMES.replace("conv_hr", "conv_up3 conv_hr"), NEW),
        "new",
        RRDBNet(8, **RRDB),
    ),
    "middle": (rrdbnet(MIDDLE_NAMES, MIDDLE), "middle", RRDBNet(4, **RRDB)),
    "middle x8": (
        rrdbnet(MIDDLE_NAMES.replace("HRconv", "upconv3 HRconv"), MIDDLE),
        "middle",
        RRDBNet(8, **RRDB),
    ),
    "old": (rrdbnet(OLD_NAMES, OLD), "old", RRDBNet(4, **RRDB)),
    "old x1": (rrdbnet(OLD_NAMES, OLD, inputs=48), "old", RRDBNet(1, **RRDB)),
    "old x8": (
        rrdbnet(OLD_X8, OLD),
        "old",
        RRDBNet(8, **RRDB),
    ),
    "x1 as it is": (
        rrdbnet("conv_first conv_body conv_hr conv_last", NEW),
        "new",
        RRDBNet(1, unshuffle=1, **RRDB),
    ),
    "x2 as it is": (
        rrdbnet("conv_first trunk_conv upconv1 HRconv conv_last", MIDDLE),
        "middle",
        RRDBNet(2, unshuffle=1, **RRDB),
    ),
    "old x1 as it is": (
        rrdbnet("model.0 model.1.sub.2 model.2 model.4", OLD),
        "old",
        RRDBNet(1, unshuffle=1, **RRDB),
    ),
    "old x2 as it is": (
        rrdbnet("model.0 model.1.sub.2 model.3 model.5 model.7", OLD),
        "old",
        RRDBNet(2, unshuffle=1, **RRDB),
    ),
    "x1 halved": (
        rrdbnet("conv_first conv_body conv_up1 conv_hr conv_last", NEW, inputs=12),
        "new",
        RRDBNet(1, unshuffle=2, **RRDB),
    ),
    "old x4 halved": (
        rrdbnet(OLD_X8, OLD, inputs=12),
        "old",
        RRDBNet(4, unshuffle=2, **RRDB),
    ),
    "plus": (rrdbnet(NEW_NAMES, NEW, plus=True), "new", RRDBNet(4, plus=True, **RRDB)),
    "middle plus": (
        rrdbnet(MIDDLE_NAMES, MIDDLE, inputs=12, plus=True),
        "middle",
        RRDBNet(2, plus=True, **RRDB),
    ),
    "old plus": (rrdbnet(OLD_NAMES, OLD, plus=True), "old", RRDBNet(4, plus=True, **RRDB)),
    "compact x1": (compact(1, 1), "new", SRVGGNetCompact(1, num_features=4, num_convs=1)),
    "compact x3": (compact(3, 3), "new", SRVGGNetCompact(3, num_features=4, num_convs=3)),
    "msrresnet x3": (resnet("conv_hr", ["upconv1"], 3), "new", MSRResNet(3, **TOY)),
    "msrresnet x4": (resnet("conv_hr", ["upconv1", "upconv2"], 2), "new", MSRResNet(4, **TOY)),
    "srresnet x4": (srresnet("conv", 2, 2), "new", SRResNet(4, **TOY)),
    "srresnet x3": (srresnet("conv", 1, 3), "new", SRResNet(3, **TOY)),
    "srresnet old": (srresnet("conv_block", 1, 2), "old", SRResNet(2, **TOY)),
    "edsr x1": (resnet("conv_after_body", [], 2), "new", EDSR(1, **TOY)),
    "edsr x3": (resnet("conv_after_body", ["upsample.0"], 3), "new", EDSR(3, **TOY)),
    "edsr x8": (
        resnet("conv_after_body", ["upsample.0", "upsample.2", "upsample.4"], 2),
        "new",
        EDSR(8, **TOY),
    ),
    "espcn": (
        espcn("feature_maps.0", "feature_maps.2", "sub_pixel.0"),
        "new",
        ESPCN(3, channels=1, num_features=6),
    ),
    "espcn old": (
        espcn("first_part.0", "first_part.2", "last_part.0"),
        "old",
        ESPCN(3, channels=1, num_features=6),
    ),
    "unet": (unet(), "new", UNetDiscriminatorSN(num_features=2)),
    "vgg_style": (vgg_style(), "new", VGGStyleDiscriminator(num_features=2)),
}


def convert(case: str, state):
    return (to_discriminator if case in ("unet", "vgg_style") else to_weights)(state)


def assert_same(got: dict[str, np.ndarray], wanted: dict[str, np.ndarray]):
    assert got.keys() == wanted.keys()
    for name, array in wanted.items():
        assert got[name].dtype == array.dtype
        np.testing.assert_array_equal(got[name], array, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_there_and_back(case):
    shapes, layout, arch = CASES[case]
    state = filled(shapes)
    weights = convert(case, state)
    assert weights.arch == arch
    assert_same(from_weights(weights, layout=layout), state)


@pytest.mark.parametrize(
    "case", ["rrdbnet", "old x8", "old plus", "compact x3", "srresnet x4", "unet"]
)
def test_the_tree_is_the_one_that_the_network_draws(case):
    shapes, _, arch = CASES[case]
    ours = jax.eval_shape(lambda key: init_weights(key, arch), jax.random.key(0))
    got = jax.eval_shape(lambda: convert(case, filled(shapes)))
    assert jax.tree.structure(got) == jax.tree.structure(ours)
    assert jax.tree.leaves(got) == jax.tree.leaves(ours)


def test_the_layout_that_others_read():
    """Spandrel passes over the 1x1 convolutions of ESRGAN+ in the new layout."""
    for case, usual in {"rrdbnet": "new", "plus": "old", "compact x1": "new"}.items():
        weights = to_weights(filled(CASES[case][0]))
        assert_same(from_weights(weights), from_weights(weights, layout=usual))


def test_one_layout_to_another():
    wanted = filled(CASES["old"][0])
    middle = from_weights(to_weights(wanted), layout="middle")
    assert middle.keys() == CASES["middle"][0].keys()
    assert_same(from_weights(to_weights(middle), layout="old"), wanted)


def wrapped(state):
    below = {f"module.{name}": array for name, array in state.items()}
    other = {name: array + 1 for name, array in state.items()}
    critic = {f"netD.{name}": array for name, array in filled(unet()).items()}
    return {
        "averaged": {"params": other, "params_ema": state},
        "params": {"params": state, "iter": 7},
        "state_dict": {"epoch": 3, "state_dict": below},
        "model": {"model": {"net": state}},
        "both networks": {f"netG.{name}": array for name, array in state.items()} | critic,
        "nested": {"netG": below},
        "net_g": {"net_g": state},
        "compiled": {f"_orig_mod.{name}": array for name, array in state.items()},
        "lightning": {f"generator.{name}": array for name, array in state.items()} | critic,
    }


@pytest.mark.parametrize("wrapper", wrapped({}))
@pytest.mark.parametrize("case", ["compact x1", "old"])
def test_wrappers(wrapper, case):
    shapes, layout, _ = CASES[case]
    state = filled(shapes)
    assert_same(from_weights(to_weights(wrapped(state)[wrapper]), layout=layout), state)


def test_a_wrapper_that_holds_itself():
    state = {}
    state["params"] = state
    with pytest.raises(ValueError, match="in 8 wrappers or more"):
        to_weights(state)


def test_a_prefix_that_not_all_have_is_no_prefix():
    state = wrapped(filled(CASES["espcn"][0]))["state_dict"]["state_dict"]
    with pytest.raises(ValueError, match="module.*is no network known here"):
        to_weights(state | {"other": np.ones(3, np.float32)})


def test_a_whole_checkpoint_holds_a_discriminator_too():
    state = wrapped(filled(CASES["old"][0]))["both networks"]
    assert_same(from_weights(to_discriminator(state)), filled(unet()))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64, ">f4"])
def test_other_floats_become_float32(dtype):
    state = {name: array.astype(dtype) for name, array in filled(CASES["espcn"][0]).items()}
    wanted = {name: array.astype(np.float32) for name, array in state.items()}
    assert_same(from_weights(to_weights(state)), wanted)


def test_counters_may_be_absent():
    wanted = filled(CASES["srresnet x4"][0])
    state = {name: array for name, array in wanted.items() if "num_batches" not in name}
    assert_same(from_weights(to_weights(state)), wanted)


BROKEN = {
    "rrdbnet": ("body.1.rdb2.conv3.bias", "RRDBNet in the new layout .scale 4, channels 3"),
    "middle": ("trunk_conv.weight", "RRDBNet in the middle layout"),
    "old": ("model.8.bias", "RRDBNet in the old layout"),
    "compact x3": ("body.5.weight", "SRVGGNetCompact in the new layout"),
    "msrresnet x3": ("conv_hr.bias", "MSRResNet in the new layout"),
    "srresnet x4": ("trunk.1.rcb.4.running_var", "SRResNet in the new layout"),
    "edsr x3": ("conv_after_body.bias", "EDSR in the new layout"),
    "espcn": ("sub_pixel.0.bias", "ESPCN in the new layout"),
    "unet": ("conv4.weight_v", "UNetDiscriminatorSN in the new layout"),
    "vgg_style": ("linear1.weight", "VGGStyleDiscriminator in the new layout"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_state_is_refused_by_name(case):
    name, what = BROKEN[case]
    state = filled(CASES[case][0])
    lacking = {key: array for key, array in state.items() if key != name}
    with pytest.raises(ValueError, match=f"like {what}.*but 1 missing: {name}$"):
        convert(case, lacking)
    with pytest.raises(ValueError, match=f"like {what}.*but 1 not of it: {name}.extra$"):
        convert(case, state | {f"{name}.extra": state[name]})
    with pytest.raises(
        ValueError, match=rf"like {what}.*of another shape: {name} \(5, 5\) instead"
    ):
        convert(case, state | {name: np.zeros((5, 5), np.float32)})


def test_all_that_is_wrong_is_said_at_once():
    state = filled(CASES["rrdbnet"][0])
    state = {name: array for name, array in state.items() if "body.0.rdb2" not in name}
    state["conv_hr.bias"] = np.zeros(5, np.float32)
    state["conv_up4.bias"] = np.zeros(5, np.float32)
    listed = (
        r"but 10 missing: body.0.rdb2.conv1.bias, body.0.rdb2.conv1.weight, "
        r"body.0.rdb2.conv2.bias and 7 more; 1 not of it: conv_up4.bias; "
        r"1 of another shape: conv_hr.bias \(5,\) instead of \(4,\)"
    )
    with pytest.raises(ValueError, match=listed):
        to_weights(state)


REFUSED = {
    "ESRGAN+ in part": (
        rrdbnet(NEW_NAMES, NEW) | conv("body.0.rdb1.conv1x1", 2, 4, 1, bias=False),
        r"plus True\), but 5 missing: body.0.rdb2.conv1x1.weight",
    ),
    "old x16": (rrdbnet(OLD_X16, OLD), "RRDBNet in the old layout, but got scale 16"),
    "x8 halved": (rrdbnet(OLD_X16, OLD, inputs=12), "got unshuffle 2, wanted 1 for scale 8"),
    "x1/2": (
        rrdbnet("model.0 model.1.sub.2 model.3 model.5 model.7", OLD, inputs=48),
        "takes 48 channels, gives 3 and doubles the size 1 times",
    ),
    "x4/3": (rrdbnet(NEW_NAMES, NEW, inputs=27), "takes 27 channels, gives 3 and doubles"),
    "fewer channels in": (rrdbnet(NEW_NAMES, NEW, inputs=1), "takes 1 channels, gives 3"),
    "other channels in": (rrdbnet(NEW_NAMES, NEW, inputs=9), "takes 9 channels, gives 3"),
    "no first convolution": (
        {k: v for k, v in rrdbnet(NEW_NAMES, NEW).items() if "first.w" not in k},
        "conv_first.weight is missing",
    ),
    "no convolution": (
        rrdbnet(NEW_NAMES, NEW) | {"conv_first.weight": (4,)},
        r"conv_first.weight is \(4,\), wanted",
    ),
    "nothing in it": (
        rrdbnet(NEW_NAMES, NEW) | {"conv_last.weight": (0, 4, 3, 3)},
        r"conv_last.weight is \(0, 4, 3, 3\), wanted",
    ),
    "x5": (compact(1, 5), "SRVGGNetCompact in the new layout, but got scale 5"),
    "unknown activation": (compact(1, 2, slopes=False), "no PReLU slopes: say its activation"),
    "too many layers": (
        compact(1, 2) | conv("body.99999999999", 4, 4),
        "body.* is missing",
    ),
    "no network of ours": (
        {"features.0.weight": (4, 3, 3, 3), "features.0.bias": (4,)},
        "2 tensors, features.0.bias, features.0.weight, is no network",
    ),
    "a discriminator": (unet(), "this is a UNetDiscriminatorSN, wanted a generator"),
    "nothing": ({}, "got nothing, wanted a state dict"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_ours_is_refused(case):
    shapes, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        to_weights(filled(shapes))


@pytest.mark.parametrize(
    "other", [{"epoch": 3}, {"step": np.arange(3)}, {7: np.ones(3, np.float32)}]
)
def test_other_things_among_the_tensors_are_refused(other):
    with pytest.raises(ValueError, match=rf"got {next(iter(other))} \(.*arrays of floats alone"):
        to_weights(filled(CASES["espcn"][0]) | other)


def test_a_discriminator_of_larger_crops_is_refused_by_name():
    shapes = vgg_style() | conv("conv5_0", 16, 16, bias=False) | norm("bn5_0", 16)
    shapes |= conv("conv5_1", 16, 16, 4, bias=False) | norm("bn5_1", 16)
    with pytest.raises(
        ValueError, match="VGGStyle.* it is BasicSR's for crops of 256, whose conv5_0"
    ):
        to_discriminator(filled(shapes))


def test_the_newer_names_of_spectral_normalisation():
    wanted = filled(unet())
    newer = {"_orig": "original", "_u": "0._u", "_v": "0._v"}
    state = {
        re.sub(
            "weight(_orig|_u|_v)$", lambda m: f"parametrizations.weight.{newer[m[1]]}", name
        ): array
        for name, array in wanted.items()
    }
    assert state.keys() & wanted.keys() == {n for n in wanted if "conv0" in n or "conv9" in n}
    assert_same(from_weights(to_discriminator(state)), wanted)
    with pytest.raises(ValueError, match="got conv1.weight_orig by an old and a new name"):
        to_discriminator(state | wanted)


def test_what_no_tensor_tells():
    plain = filled(compact(1, 2, slopes=False))
    weights = to_weights(plain, activation="relu")
    assert weights.arch == SRVGGNetCompact(2, num_features=4, num_convs=1, activation="relu")
    assert_same(from_weights(weights), plain)
    assert to_weights(filled(CASES["espcn"][0]), activation="relu").arch.activation == "relu"
    assert to_weights(filled(CASES["edsr x3"][0]), res_scale=0.5).arch.res_scale == 0.5
    with pytest.raises(ValueError, match="got slope, wanted activation or res_scale"):
        to_weights(filled(CASES["edsr x3"][0]), slope=0.5)


def test_the_large_edsr_scales_its_residuals():
    shapes = resnet("conv_after_body", ["upsample.0"], 2, f=256, n=32)
    state = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    assert to_weights(state).arch == EDSR(2, num_features=256, num_blocks=32, res_scale=0.1)


def test_networks_and_layouts_that_nobody_has():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="ConcatNet has no layout but ours"):
        from_weights(init_weights(key, ConcatNet(2, num_features=1, num_blocks=1)))
    weights = to_weights(filled(CASES["espcn"][0]))
    with pytest.raises(ValueError, match="got layout 'middle', wanted one of new, old for ESPCN"):
        from_weights(weights, layout="middle")


# names in the golden file: theirs
BLOCK_PARTS = {"conv1": 0, "bn1": 1, "act": 2, "conv2": 3, "bn2": 4}
THEIRS = {
    "srresnet_x4": {
        **{f"body.{i}.{k}.": f"trunk.{i}.rcb.{n}." for i in (0, 1) for k, n in BLOCK_PARTS.items()},
        "conv_first": "conv1.0",
        "act_first": "conv1.1",
        "conv_body": "conv2.0",
        "bn_body": "conv2.1",
        "upconv1": "upsampling.0.upsample_block.0",
        "upconv2": "upsampling.1.upsample_block.0",
        "act_up1": "upsampling.0.upsample_block.2",
        "act_up2": "upsampling.1.upsample_block.2",
        "conv_last": "conv3",
    },
    "edsr_x4": {
        "conv_body": "conv_after_body",
        "upconv1": "upsample.0",
        "upconv2": "upsample.2",
    },
    "espcn_x3": {
        "conv_first": "feature_maps.0",
        "conv_body": "feature_maps.2",
        "conv_last": "sub_pixel.0",
    },
}
OLD_CASES = ["old_x1", "old_x2", "old_x8", "old_plus_x4"]
PARITY = ["rrdbnet_x4", "rrdbnet_x2", *OLD_CASES, "compact_x2", "msrresnet_x3", *THEIRS]
PARITY += ["unet", "vgg_style"]


def golden_state(case: str) -> dict[str, np.ndarray]:
    flat, state = GOLDEN[f"{case}/weights"].astype(np.float32), {}
    for line in str(GOLDEN[f"{case}/weights_layout"]).splitlines():
        name, *shape = line.split()
        size = int(np.prod([int(n) for n in shape], dtype=int))
        for ours, theirs in THEIRS.get(case, {}).items():
            name = name.replace(ours, theirs, 1) if name.startswith(ours) else name
        state[name], flat = flat[:size].reshape([int(n) for n in shape]), flat[size:]
    return state


@pytest.mark.parametrize("case", PARITY)
def test_the_converted_network_gives_what_pytorch_gave(case):
    state = golden_state(case)
    weights = to_weights(state, res_scale=0.5) if case == "edsr_x4" else convert(case, state)
    x, wanted = (GOLDEN[f"{case}/{name}"].astype(np.float32) for name in "xy")
    variables = {"params": weights.params, "batch_stats": weights.stats}
    got = np.asarray(jax.jit(weights.arch.apply)(variables, x.transpose(0, 2, 3, 1)))
    got = got.transpose(0, 3, 1, 2) if got.ndim == 4 else got
    np.testing.assert_allclose(got, wanted, atol=1e-5)
