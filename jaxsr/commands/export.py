"""`jaxsr export`: a network as a program that runs without jaxsr."""

from pathlib import Path
from typing import Annotated

import typer

from jaxsr.commands.console import WEIGHTS_HELP, out, plain_errors


def export(
    weights: Annotated[Path, typer.Argument(help=WEIGHTS_HELP)],
    output: Annotated[Path, typer.Argument(help="The file to write: .jaxexport or .mlir.")],
    platforms: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="What it runs on: cpu, cuda, rocm, tpu."),
    ] = None,
) -> None:
    """Write a network as a program for pictures of any size, which runs without jaxsr.

    .jaxexport is what jax.export and jaxsr.load_exported read (it needs the extra `export`), on
    all platforms if you name none; .mlir is StableHLO text, which knows no platform.
    """
    with plain_errors():
        from jaxsr.interop.export import PLATFORMS, export_network
        from jaxsr.interop.load import load

        names = PLATFORMS if platforms is None else [n.strip() for n in platforms.split(",")]
        network = load(weights)
        output.parent.mkdir(parents=True, exist_ok=True)
        export_network(output, network, platforms=names)
        out.print(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
