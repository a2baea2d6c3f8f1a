"""Rooms import only to the left, and `import jaxsr` stays light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import jaxsr

PACKAGE = Path(__file__).parents[1] / "jaxsr"
ROOMS = (
    *("imaging", "networks", "inference", "interop", "evaluation", "training"),
    *("display", "commands", "cli"),
)
SOURCES = sorted(PACKAGE.rglob("*.py"))

# What each room must not import: (package, the rooms that may). The interface for people is the
# command line's alone, and images know no network.
RESERVED = {
    "flax": ROOMS[1:],
    "rich": ("display", "commands"),
    "typer": ("commands", "cli"),
    "optax": ("training",),
    "orbax": ("training",),
    "grain": ("training",),
    "torch": (),
    "tensorflow": (),
}

HEAVY = (
    *("flax", "jax", "grain", "orbax", "optax", "PIL", "torch", "tensorflow", "typer", "rich"),
    *("imagecodecs", "matplotlib", "scipy", "sklearn", "tifffile"),
)
# flax.linen itself imports rich.
HEAVY_FOR_USE = tuple(name for name in HEAVY if name not in ("flax", "jax", "rich"))


def room_of(path: Path) -> str:
    """The room that a source file lies in; `__init__` for the package's own."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(source: str, package: str) -> Iterator[str]:
    """The absolute names that a source imports anywhere, also inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, *filter(None, [node.module])]) if node.level else node.module
            yield from (f"{base}.{alias.name}" for alias in node.names)


def refused(source: str, room: str) -> list[str]:
    """The imports that a source of `room` may not have."""
    package = "jaxsr" if room in ("display", "cli", "__init__") else f"jaxsr.{room}"
    wrong = []
    for name in imports(source, package):
        top, _, rest = name.partition(".")
        target = rest.split(".")[0]
        if top in RESERVED and room not in RESERVED[top]:
            wrong.append(name)
        elif top == "jaxsr" and room != "__init__":
            left = ROOMS[: ROOMS.index(room) + 1] if room != "cli" else (*ROOMS, "__version__")
            wrong += [name] if target not in left else []
    return wrong


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_source_imports_only_to_the_left(path):
    assert room_of(path) in (*ROOMS, "__init__")
    assert refused(path.read_text(), room_of(path)) == []


def test_every_room_is_there():
    assert {room_of(path) for path in SOURCES} == {*ROOMS, "__init__"}


@pytest.mark.parametrize(
    "room, source",
    [
        ("imaging", "from jaxsr.networks.weights import Weights"),
        ("imaging", "import flax.linen as nn"),
        ("imaging", "from ..networks import layers"),
        ("networks", "def f():\n    from jaxsr import training"),
        ("inference", "import jaxsr.interop.load"),
        ("interop", "if True:\n    from jaxsr.evaluation.evaluate import evaluate"),
        ("evaluation", "import jaxsr"),
        ("evaluation", "import optax"),
        ("training", "from jaxsr.cli import app"),
        ("training", "import rich.progress"),
    ],
)
def test_the_rule_sees_what_it_should(room, source):
    assert len(refused(source, room)) == 1
    assert refused("from jaxsr.imaging import color\nfrom . import resize", room) == []


@pytest.mark.parametrize(
    "code, heavy",
    [
        ("import jaxsr", HEAVY),
        ("import jaxsr; jaxsr.upscale; jaxsr.load; jaxsr.Weights", HEAVY_FOR_USE),
        ("import jaxsr.cli", ("flax", "jax", "grain", "orbax", "optax", "PIL")),
    ],
)
def test_the_package_imports_lightly(code, heavy):
    code = f"import sys; {code}; print([m for m in {heavy} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (loaded.stdout.strip(), loaded.returncode) == ("[]", 0), loaded.stderr


def test_the_package_offers_what_it_lists():
    assert {name for name in jaxsr.__all__ if not hasattr(jaxsr, name)} == set()
    with pytest.raises(AttributeError, match="no attribute 'upscal'"):
        jaxsr.upscal  # noqa: B018
