"""`jaxsr sample` and `jaxsr explain`: pictures that show what a network has learnt."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from jaxsr.commands.console import WEIGHTS_HELP, out, plain_errors


def sample(
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture to write.")],
    weights: Annotated[Path, typer.Option("-w", "--weights", help=WEIGHTS_HELP)],
    count: Annotated[int, typer.Option("-n", min=1, help="Pictures in the grid.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other pictures.")] = 0,
) -> None:
    """Make pictures of noise and lay them out in a grid."""
    with plain_errors():
        import jax
        import numpy as np

        from jaxsr.imaging.color import from_float
        from jaxsr.imaging.files import Picture, write
        from jaxsr.inference.sample import sample as sample_
        from jaxsr.inference.sample import tile
        from jaxsr.interop.load import load

        draw = jax.jit(sample_, static_argnames="count")
        # To be looked at, whatever the units.
        network = dataclasses.replace(load(weights), ranges=())
        pictures = np.asarray(draw(jax.random.key(seed), network, count=count))
        output.parent.mkdir(parents=True, exist_ok=True)
        write(output, Picture(tile(from_float(pictures, np.uint8))))
        out.print(f"{output}: {count} pictures")


def explain(
    picture: Annotated[str, typer.Argument(help="The picture that the network is given.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture to write.")],
    weights: Annotated[Path, typer.Option("-w", "--weights", help=WEIGHTS_HELP)],
    at: Annotated[
        tuple[int, int] | None,
        typer.Option(metavar="Y X", help="Upper left output pixel of the patch; else the middle."),
    ] = None,
    size: Annotated[int, typer.Option(min=1, help="Output pixels of its side.")] = 8,
) -> None:
    """Show which input pixels a patch of the output depends on.

    Left the input, right how much each of its pixels matters to the patch, on a scale of four
    decades. The patch is framed in red, all that has any influence in blue.
    """
    with plain_errors():
        from jaxsr.imaging import bands, color, files
        from jaxsr.imaging.find import find_pictures
        from jaxsr.inference.explain import draw
        from jaxsr.inference.explain import explain as explain_
        from jaxsr.interop.load import load

        network = load(weights)
        arch: Any = network.arch
        source = find_pictures(picture)[0]
        if output.resolve() == source.resolve():
            raise ValueError(f"{output} would overwrite the input; name another output")
        pixels = color.fit_channels(files.read(source).pixels, arch.channels)
        y, x = at or [(n * arch.scale - size) // 2 for n in pixels.shape[:2]]
        explanation = explain_(network, pixels, y=y, x=x, size=size)
        output.parent.mkdir(parents=True, exist_ok=True)
        image = bands.to_unit(pixels, network.ranges)
        files.write(output, files.Picture(draw(image, explanation)))
        top, left, bottom, right = explanation.field
        out.print(
            f"{output}: the {size} x {size} pixels at ({y}, {x}) depend on "
            f"{bottom - top} x {right - left} input pixels, from ({top}, {left})"
        )
