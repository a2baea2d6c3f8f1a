"""`jaxsr info` and `jaxsr convert` as a person meets them."""

import hashlib
import json

import jax
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from toy_run import PIXEL, jaxsr, merged

from jaxsr import load
from jaxsr.interop.layouts import from_weights
from jaxsr.interop.load import read
from jaxsr.interop.save import save
from jaxsr.networks.discriminators import UNetDiscriminatorSN
from jaxsr.networks.generators import EDSR, DCGANGenerator, SRVGGNetCompact
from jaxsr.networks.weights import init_weights, save_weights
from jaxsr.training.config import dump_config, load_config, make_config

COMPACT = SRVGGNetCompact(2, num_features=4, num_convs=1)


@pytest.fixture
def pth(tmp_path):
    save(tmp_path / "net.pth", init_weights(jax.random.key(0), COMPACT))
    return tmp_path / "net.pth"


def test_info_is_a_table(pth):
    code, out, errors = jaxsr("info", pth)
    assert (code, errors) == (0, "")
    rows = {line[:22].strip(): line[23:] for line in out.splitlines()}
    assert rows["network"] == "SRVGGNetCompact" and rows["scale"] == "x2"
    assert rows["form"].startswith("PyTorch, float32, ")
    assert rows["parameters"] == "712" and rows["receptive radius"] == "3 LR pixels"
    assert "TFLOP" in rows["1024 x 1024 LR pixels"]


def test_info_as_json(pth):
    code, out, _ = jaxsr("info", pth, "--json")
    facts = json.loads(out)
    assert code == 0 and facts["parameters"] == 712 and facts["network"]["name"] == "compact"


def test_the_recipe_makes_the_config_again(tmp_path):
    config = make_config(merged(PIXEL, {"data": {"train": "[a] folder"}}))
    weights = init_weights(jax.random.key(0), COMPACT)
    save_weights(tmp_path / "w.safetensors", weights, metadata={"config": dump_config(config)})
    code, out, _ = jaxsr("info", tmp_path / "w.safetensors", "--recipe")
    (tmp_path / "again.toml").write_text(out)
    assert code == 0 and load_config(tmp_path / "again.toml") == config
    code, out, _ = jaxsr("info", tmp_path / "w.safetensors")
    assert "kept; --recipe prints it" in out and "[generator]" not in out


def test_no_recipe(pth):
    code, out, errors = jaxsr("info", pth, "--recipe")
    assert (code, out) == (2, "") and "tells no config: jaxsr did not train it" in errors


@pytest.mark.parametrize("name", ["new/a.safetensors", "a.pt", "a.param"])
def test_convert_keeps_every_number(pth, tmp_path, name):
    code, out, errors = jaxsr("convert", pth, tmp_path / name)
    assert (code, errors) == (0, "") and "SRVGGNetCompact" in out
    got, wanted = load(tmp_path / name), load(pth)
    assert got.arch == wanted.arch
    jax.tree.map(np.testing.assert_array_equal, got.params, wanted.params)


def test_convert_to_halves_keeps_where_they_are_from(pth, tmp_path):
    assert jaxsr("convert", pth, tmp_path / "a.safetensors", "--half")[0] == 0
    loaded = read(tmp_path / "a.safetensors")
    assert loaded.dtypes == ("float16",)
    assert loaded.metadata["source"] == "net.pth"
    assert loaded.metadata["source.sha256"] == hashlib.sha256(pth.read_bytes()).hexdigest()
    assert jaxsr("convert", tmp_path / "a.safetensors", tmp_path / "b.safetensors")[0] == 0
    assert read(tmp_path / "b.safetensors").metadata["source"] == "net.pth"


def test_convert_warns_of_what_gets_lost_and_takes_it_back(tmp_path):
    arch = EDSR(2, num_features=2, num_blocks=1, res_scale=0.5)
    save(tmp_path / "a.safetensors", init_weights(jax.random.key(0), arch))
    code, _, errors = jaxsr("convert", tmp_path / "a.safetensors", tmp_path / "b.pth")
    assert code == 0 and "does not tell res_scale 0.5" in errors
    again = ["convert", tmp_path / "b.pth", tmp_path / "c.safetensors", "--set", "res_scale=0.5"]
    assert jaxsr(*again)[0] == 0
    assert load(tmp_path / "c.safetensors").arch == arch


@pytest.mark.parametrize(
    "options, wanted",
    [
        (["{pth}"], "would overwrite what is converted; name another output"),
        (["{dir}/a.npz"], "a.npz: got .npz, wanted .safetensors, .pth"),
        (["{dir}/a.pth", "--layout", "old"], "got layout 'old', wanted one of new"),
        (["{dir}/a.pth", "--set", "scale"], "--set scale: wanted field=value, such as res_scale"),
        (["{dir}/a.pth", "--set", "depth=3"], "got depth, wanted activation or res_scale: tensors"),
    ],
)
def test_convert_refuses_in_a_sentence(pth, tmp_path, options, wanted):
    before = pth.read_bytes()
    filled = [option.format(pth=pth, dir=tmp_path) for option in options]
    code, out, errors = jaxsr("convert", pth, *filled)
    assert (code, out) == (2, "") and wanted in errors, errors
    assert pth.read_bytes() == before and list(tmp_path.iterdir()) == [pth]


def test_convert_never_overwrites_what_it_reads(pth, tmp_path):
    torch = pth.rename(tmp_path / "net.bin")
    before = torch.read_bytes()
    code, _, errors = jaxsr("convert", torch, tmp_path / "net.param")
    assert code == 2 and "would overwrite what is converted" in errors
    assert torch.read_bytes() == before and list(tmp_path.iterdir()) == [torch]


def test_convert_says_what_of_the_provenance_is_lost(tmp_path):
    weights = init_weights(jax.random.key(0), COMPACT)
    save_weights(tmp_path / "a.safetensors", weights, metadata={"step": "7"})
    code, _, errors = jaxsr("convert", tmp_path / "a.safetensors", tmp_path / "b.pth")
    assert (code, errors) == (0, f"{tmp_path}/b.pth does not tell where it comes from\n")


def test_discriminators_are_described_and_converted(tmp_path):
    save(tmp_path / "d.pth", init_weights(jax.random.key(0), UNetDiscriminatorSN(num_features=2)))
    code, out, errors = jaxsr("info", tmp_path / "d.pth")
    assert (code, errors) == (0, "") and "UNetDiscriminatorSN" in out and "scale" not in out
    assert jaxsr("convert", tmp_path / "d.pth", tmp_path / "d.safetensors")[0] == 0
    code, _, errors = jaxsr("upscale", "x.png", "-o", "y.png", "-w", tmp_path / "d.pth")
    assert code == 2 and "this is a UNetDiscriminatorSN, wanted a generator" in errors


def test_noise_has_its_own_command(tmp_path):
    weights = init_weights(jax.random.key(0), DCGANGenerator(size=8, num_features=2))
    save_weights(tmp_path / "n.safetensors", weights)
    options = ["x.png", "-o", "y.png", "-w", tmp_path / "n.safetensors"]
    code, _, errors = jaxsr("upscale", *options)
    assert code == 2 and "makes pictures of noise; run jaxsr sample" in errors
    code, out, _ = jaxsr("info", tmp_path / "n.safetensors")
    assert code == 0 and "scale" not in out and "TFLOP" not in out


def test_files_cannot_move_the_cursor(tmp_path):
    state = from_weights(init_weights(jax.random.key(0), COMPACT))
    theirs = {"author": "\x1b]0;title\x07\nsha256   forged"}
    save_file(state, tmp_path / "a.safetensors", metadata=theirs)
    _, out, _ = jaxsr("info", tmp_path / "a.safetensors")
    assert "\x1b" not in out and "\\x1b]0;title" in out
    assert not any(line.startswith("sha256   forged") for line in out.splitlines())
    assert (
        f"sha256{' ' * 17}{hashlib.sha256((tmp_path / 'a.safetensors').read_bytes()).hexdigest()}"
        in out
    )


def test_upscale_takes_others_weights(pth, tmp_path):
    Image.new("RGB", (6, 5), (200, 40, 90)).save(tmp_path / "in.png")
    code, _, errors = jaxsr("upscale", tmp_path / "in.png", "-o", tmp_path / "out.png", "-w", pth)
    assert code == 0, errors
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (12, 10)
