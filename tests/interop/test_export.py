"""Exported networks: what plain jax makes of the file, what the text holds, what is refused."""

import hashlib
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import typer
from jax import export
from typer.testing import CliRunner

import jaxsr
from jaxsr.commands.export import export as export_command
from jaxsr.interop.export import export_network, load_exported
from jaxsr.networks.generators import (
    EDSR,
    ESPCN,
    GENERATORS,
    ConcatNet,
    DCGANGenerator,
    EncDecNet,
    MSRResNet,
    RestoreNet,
    RRDBNet,
    SRResNet,
    SRVGGNetCompact,
)
from jaxsr.networks.weights import Weights, init_weights, save_weights

pytest.importorskip("flatbuffers", reason="the extra `export` is not installed")

# Each with the size of the pictures it is given: where sides are to be multiples, such as are not,
# some too short to be reflected once, and a single row.
CASES = [
    (MSRResNet(scale=2, num_features=2, num_blocks=1), (2, 5, 7)),
    (SRResNet(scale=2, num_features=2, num_blocks=1), (2, 5, 7)),
    (EDSR(scale=3, num_features=2, num_blocks=1), (2, 5, 7)),
    (RRDBNet(scale=1, num_features=2, num_blocks=1, growth=2), (2, 1, 2)),
    (RRDBNet(scale=2, num_features=2, num_blocks=1, growth=2), (1, 5, 7)),
    (RRDBNet(scale=4, num_features=2, num_blocks=1, growth=2), (2, 5, 7)),
    (SRVGGNetCompact(scale=4, num_features=2, num_convs=1), (2, 5, 7)),
    (ESPCN(scale=2, num_features=2), (2, 5, 7)),
    (ConcatNet(scale=2, num_features=2, num_blocks=1), (2, 5, 7)),
    (EncDecNet(scale=1, num_features=2), (1, 2, 7)),
    (RestoreNet(num_features=2), (2, 5, 7)),
]


def pictures(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(size=shape).astype(np.float32)


def exported(path: Path, weights: Weights, **options) -> Path:
    export_network(path, weights, **options)
    return path


@pytest.fixture(scope="module")
def weights() -> Weights:
    return init_weights(jax.random.key(0), ESPCN(scale=2, num_features=2))


@pytest.fixture(scope="module")
def artifact(weights, tmp_path_factory) -> Path:
    return exported(tmp_path_factory.mktemp("export") / "espcn.jaxexport", weights)


def test_every_network_is_among_these():
    assert {type(arch) for arch, _ in CASES} == set(GENERATORS.values()) - {DCGANGenerator}


@pytest.mark.parametrize("arch, size", CASES)
def test_plain_jax_runs_a_network_on_pictures_of_any_size(arch, size, tmp_path):
    weights = init_weights(jax.random.key(1), arch)
    # Running statistics that are not those it began with.
    weights = weights.replace(stats=jax.tree.map(lambda x: x + 1 / 3, weights.stats))
    path = exported(tmp_path / "net.jaxexport", weights)
    program = export.deserialize(bytearray(path.read_bytes()))
    assert program.fun_name == f"{type(arch).__name__}_x{arch.scale}"
    images = pictures(*size, 3)
    wanted = jax.jit(jaxsr.upscale)(weights, images)
    np.testing.assert_allclose(jax.jit(program.call)(images), wanted, rtol=0, atol=1e-6)


def test_a_loaded_one_takes_what_upscale_takes(weights, artifact):
    upscale = load_exported(artifact)
    for image in (pictures(4, 5, 3), pictures(2, 4, 5, 3), pictures(2, 1, 4, 5, 3)):
        sr, wanted = upscale(image), jaxsr.upscale(weights, image)
        assert sr.shape == wanted.shape and sr.dtype == np.float32
        np.testing.assert_allclose(sr, wanted, rtol=0, atol=1e-6)
    half = jnp.asarray(pictures(4, 5, 3), jnp.bfloat16)
    sr, wanted = jax.jit(upscale)(half), jaxsr.upscale(weights, half)
    assert sr.dtype == jnp.bfloat16
    np.testing.assert_allclose(sr.astype(float), wanted.astype(float), rtol=0, atol=2**-8)


def test_ranges_are_in_the_program(weights, tmp_path):
    bands = weights.replace(ranges=((0.0, 1e4), (-50.0, 50.0), (200.0, 300.0)))
    image = pictures(3, 4, 3) * np.float32([1e4, 100, 100]) + np.float32([0, -50, 200])
    sr = load_exported(exported(tmp_path / "net.jaxexport", bands))(image)
    np.testing.assert_allclose(sr, jaxsr.upscale(bands, image), rtol=1e-6)


@pytest.fixture
def short_locations():
    """The other of two ways in which jax notes source lines."""
    jax.config.update("jax_include_full_tracebacks_in_locations", False)
    yield
    jax.config.update("jax_include_full_tracebacks_in_locations", True)


def assert_no_folder(path: Path):
    content = path.read_bytes()
    for source in (jaxsr.__file__, __file__):
        assert str(Path(source).parent).encode() not in content


@pytest.mark.parametrize("name", ["net.jaxexport", "net.mlir"])
def test_no_folder_of_this_machine_is_in_a_file(weights, tmp_path, name):
    limit = jax.config.jax_traceback_in_locations_limit
    assert_no_folder(exported(tmp_path / name, weights))
    assert jax.config.jax_traceback_in_locations_limit == limit != 0
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_no_folder_is_in_short_locations(weights, tmp_path, short_locations):
    assert_no_folder(exported(tmp_path / "net.mlir", weights))
    assert not jax.config.jax_include_full_tracebacks_in_locations


def test_the_text_is_one_function_from_pictures_to_pictures(weights, tmp_path):
    text = exported(tmp_path / "net.MLIR", weights, platforms=["cuda", "tpu"]).read_text()
    assert text.count("stablehlo.convolution") == 3
    main = next(line for line in text.splitlines() if "func public @main" in line)
    assert main.count("%arg") == 1 and main.count("tensor<?x?x?x3xf32>") == 2


def test_it_runs_on_the_platforms_that_were_asked_for(weights, artifact, tmp_path):
    def platforms(path: Path) -> tuple[str, ...]:
        return export.deserialize(bytearray(path.read_bytes())).platforms

    assert platforms(artifact) == ("cpu", "cuda", "rocm", "tpu")
    path = exported(tmp_path / "net.jaxexport", weights, platforms=["tpu"])
    assert platforms(path) == ("tpu",)
    with pytest.raises(ValueError, match=r"ESPCN_x2.* for platforms .*tpu.* used on .*cpu"):
        load_exported(path)(pictures(4, 4, 3))


@pytest.mark.parametrize(
    "image, problem",
    [
        (pictures(4, 4, 1), r"got shape \(4, 4, 1\), wanted \[..., H, W, 3\]"),
        (pictures(4, 3), r"got shape \(4, 3\), wanted"),
        (pictures(0, 4, 3), r"got shape \(0, 4, 3\), wanted .* none of them 0"),
        (np.zeros((4, 4, 3), np.uint8), "got uint8, wanted a float; divide uint8 by 255"),
    ],
)
def test_pictures_that_it_does_not_take(artifact, image, problem):
    with pytest.raises(ValueError, match=problem):
        load_exported(artifact)(image)


def test_files_that_are_no_artifacts(artifact, tmp_path):
    content = artifact.read_bytes()
    path = tmp_path / "net.jaxexport"
    with pytest.raises(ValueError, match="no file at .*net.jaxexport; name a .jaxexport file"):
        load_exported(path)
    middle = len(content) // 2
    spoilt = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    for other in (b"", b"<html>", bytes(1000), content[:-1], content[:-32], spoilt):
        path.write_bytes(other)
        with pytest.raises(ValueError, match="net.jaxexport is damaged, or nothing that jaxsr"):
            load_exported(path)


def seal(path: Path, content: bytes) -> Path:
    path.write_bytes(content + hashlib.sha256(content).digest())
    return path


def test_a_version_that_jax_does_not_know(artifact, tmp_path):
    content = artifact.read_bytes()[:-32].replace(b"ML\xefR", b"ML\xefS")  # begins the program
    with pytest.raises(ValueError, match=f"by a jax newer than {jax.__version__}, or too old"):
        load_exported(seal(tmp_path / "net.jaxexport", content))


def test_a_program_that_calls_other_code(tmp_path):
    def evil(x):
        return jax.ffi.ffi_call("evil", jax.ShapeDtypeStruct(x.shape, x.dtype))(x)

    struct = jax.ShapeDtypeStruct((*export.symbolic_shape("n, h, w"), 3), jnp.float32)
    unchecked = [export.DisabledSafetyCheck.custom_call("evil")]
    program = export.export(jax.jit(evil), disabled_checks=unchecked)(struct)
    with pytest.raises(ValueError, match="net.jaxexport calls what lies outside its program"):
        load_exported(seal(tmp_path / "net.jaxexport", program.serialize()))


def test_what_cannot_be_exported(weights, tmp_path):
    def refused(name: str, problem: str, of: Weights = weights, **options):
        with pytest.raises(ValueError, match=problem):
            export_network(tmp_path / name, of, **options)
        assert not list(tmp_path.iterdir())

    refused("net.onnx", r"net.onnx has no known extension; use one of .jaxexport, .mlir")
    refused("net.mlir", "platforms: got gpu; use some of cpu, cuda", platforms=("cpu", "gpu"))
    refused("net.mlir", "platforms: got none; use some of", platforms=())
    noise = init_weights(jax.random.key(0), DCGANGenerator(size=8, num_features=2))
    refused("net.jaxexport", "weights that make pictures of noise", of=noise)


def test_without_the_extra(weights, artifact, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    needs = r'pip install "jax-super-resolution\[export\]"'
    with pytest.raises(ValueError, match=needs):
        export_network(tmp_path / "net.jaxexport", weights)
    with pytest.raises(ValueError, match=needs):
        load_exported(artifact)
    export_network(tmp_path / "net.mlir", weights)


def test_the_command(weights, tmp_path):
    app = typer.Typer()
    app.command()(export_command)
    save_weights(tmp_path / "net.safetensors", weights)

    def run(*arguments):
        return CliRunner().invoke(app, [str(tmp_path / "net.safetensors"), *map(str, arguments)])

    path = tmp_path / "new" / "net.jaxexport"
    ended = run(path, "--platforms", "cpu,tpu")
    assert (ended.exit_code, ended.stdout) == (0, f"{path}: 0.0 MB\n"), ended.output
    assert export.deserialize(bytearray(path.read_bytes())).platforms == ("cpu", "tpu")
    image = pictures(4, 5, 3)
    wanted = jaxsr.upscale(weights, image)
    np.testing.assert_allclose(load_exported(path)(image), wanted, rtol=0, atol=1e-6)
    ended = run(path, "--platforms", "gpu")
    assert ended.exit_code == 2 and "error: platforms: got gpu" in ended.stderr
