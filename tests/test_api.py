"""What all public functions have in common: keys first, options by keyword, a docstring."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

import jaxsr


def public() -> Iterator[tuple[str, object]]:
    """Public functions and classes with their names, methods too, each where it is defined.

    The commands are left out: there the signature is the command line.
    """
    for module_info in pkgutil.walk_packages(jaxsr.__path__, "jaxsr."):
        if module_info.name.startswith(("jaxsr.cli", "jaxsr.commands")):
            continue
        for name, thing in vars(importlib.import_module(module_info.name)).items():
            owned = getattr(thing, "__module__", None) == module_info.name
            if name.startswith("_") or not owned or not _is_code(thing):
                continue
            yield f"{module_info.name}.{name}", thing
            for method, function in vars(thing).items() if inspect.isclass(thing) else ():
                if inspect.isfunction(function) and function.__module__ == module_info.name:
                    yield f"{module_info.name}.{name}.{method}", function


def _is_code(thing) -> bool:
    return inspect.isclass(thing) or inspect.isfunction(inspect.unwrap(thing))


def is_private(name: str) -> bool:
    """Also what Python and Flax call by themselves, `__call__` and the like."""
    return name.rpartition(".")[2].startswith("_")


API = dict(public())
FUNCTIONS = {name: f for name, f in API.items() if not inspect.isclass(f) and not is_private(name)}


def parameters(function) -> list[inspect.Parameter]:
    every = inspect.signature(function).parameters.values()
    return [parameter for parameter in every if parameter.name != "self"]


def test_the_reflection_finds_the_package():
    for name in (
        "inference.upscale.upscale",
        "imaging.resize.taps",  # behind a cache
        "training.losses.wgan_gp",
        "imaging.degrade.Bicubic.apply",
    ):
        assert f"jaxsr.{name}" in FUNCTIONS
    assert "jaxsr.networks.rrdbnet.RRDBNet" in API


@pytest.mark.parametrize("name", [name for name in API if not is_private(name)])
def test_a_docstring(name):
    # Not an inherited one; a dataclass or NamedTuple without makes up its signature instead.
    text = API[name].__doc__ or ""
    own = name.rpartition(".")[2]
    assert text.strip() and not text.startswith(f"{own}("), f"{name} has no docstring"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_keys_come_first_and_are_called_so(name):
    names = [parameter.name for parameter in parameters(FUNCTIONS[name])]
    assert not {"rng", "rngs", "prng", "seed_key"} & set(names)
    assert not {"key", "keys"} & set(names[1:])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_options_are_given_by_name(name):
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    by_place = [
        parameter.name
        for parameter in parameters(FUNCTIONS[name])
        if parameter.kind == positional and parameter.default is not inspect.Parameter.empty
    ]
    assert not by_place, f"put `*` before {by_place}"


def test_what_stands_at_the_top():
    functions = {"load", "load_exported", "sample", "upscale", "upscale_tiled"}
    assert set(jaxsr.__all__) == {"Weights", "__version__"} | functions
    for function in (jaxsr.upscale, jaxsr.upscale_tiled):
        assert list(inspect.signature(function).parameters)[:2] == ["weights", "image"]
