"""`jaxsr plot`: the curves of runs as a picture."""

from pathlib import Path
from typing import Annotated

import typer

from jaxsr.commands.console import out, plain_errors


def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Run directories.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A .png or .svg; of one run its curves.png if absent."),
    ] = None,
    smooth: Annotated[
        float,
        typer.Option(
            metavar="WEIGHT",
            help="Weight, below 1, of what came before in the means that are drawn; 0: no means.",
        ),
    ] = 0.8,
) -> None:
    """Curves of losses, metrics, D(real) and D(fake), learning rates and times of runs.

    It needs the extra `plot`. The runs may go on; the same figures stand in their TensorBoard.
    """
    with plain_errors():
        from jaxsr.evaluation.plot import plot_runs

        out.print(str(plot_runs(runs, output=output, smooth=smooth)))
