"""`jaxsr degrade`: what a network will see of pictures."""

from pathlib import Path
from typing import Annotated

import rich.progress
import typer

from jaxsr.commands.console import err, out, plain_errors


def degrade(
    inputs: Annotated[
        list[str], typer.Argument(help="HR pictures: files, folders, globs or package:NAME/PATH.")
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="A folder; or a .png for the grid, .json beside it."),
    ],
    config: Annotated[
        Path, typer.Option("--config", help="The TOML config of a run; its pictures are not read.")
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="a.b=value", help="Override a field of the config."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the run; else the config's train.seed.")
    ] = None,
    count: Annotated[int, typer.Option("-n", min=1, help="Examples, from number 0 on.")] = 16,
) -> None:
    """Degrade pictures as a run would: its first examples as a grid, with what was drawn as JSON.

    A run of the config and seed on these pictures sees the same crops, flips, turns and
    degradations. A folder also gets each LR and HR crop.
    """
    with plain_errors():
        from jaxsr.training.pictures import scan_of
        from jaxsr.training.preview import check_output, preview, preview_config, write_preview

        settings = preview_config(config, inputs, overrides=set_ or (), seed=seed)
        pictures, dropped = scan_of(settings)
        check_output(output, inputs, [*pictures.files, *(path for path, _ in dropped)])
        for path, reason in dropped:
            err.print(f"left out {path}: {reason}")
        steps = preview(settings, pictures, count=count)
        with rich.progress.Progress(
            console=out, transient=True, disable=not out.is_terminal
        ) as bar:
            examples = list(bar.track(steps, total=count, description="degrading"))
        write_preview(output, examples, pictures)
        out.print(f"{output}: {count} examples of {len(pictures.paths)} pictures")
