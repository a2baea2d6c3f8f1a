"""`jaxsr evaluate`: networks and methods side by side on a test set."""

import json
import math
from pathlib import Path
from typing import Annotated, Any

import msgspec
import rich.progress
import typer
from rich.table import Table

from jaxsr.commands.console import out, plain_errors


def evaluate(
    data: Annotated[
        list[str], typer.Option("--data", help="HR pictures: folder, file, glob or package:...")
    ],
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            "-w", "--weights", help="Files or run directories to measure; may be repeated."
        ),
    ] = None,
    scale: Annotated[int | None, typer.Option(min=2, help="Needed without --weights.")] = None,
    ranges: Annotated[
        str | None,
        typer.Option(
            metavar="[[LOW, HIGH], ...]",
            help="What becomes 0 and 1 in each band or all, without --weights, which say it.",
        ),
    ] = None,
    dictionary: Annotated[
        list[str] | None,
        typer.Option(
            help="Add a row: dictionaries learnt from these pictures; slow, needs the extra sparse."
        ),
    ] = None,
    json_: Annotated[
        Path | None,
        typer.Option("--json", help="Write all figures, those of each picture too, to this file."),
    ] = None,
) -> None:
    """PSNR and SSIM of networks beside nearest, bilinear, bicubic, Lanczos and Wiener.

    Networks of scale 1 restore what they were trained to restore, beside the degraded picture.
    """
    with plain_errors():
        from jaxsr.evaluation.compare import common_input, compare, learn
        from jaxsr.imaging.files import replacing
        from jaxsr.interop.load import load, load_degradation
        from jaxsr.training.mesh import make_mesh

        paths = {_label(path, weights or []): path for path in weights or []}
        networks = {name: load(path) for name, path in paths.items()}
        trained = {name: load_degradation(path) for name, path in paths.items()}
        degradation, channels, units = common_input(
            networks, trained, scale, sources=data, ranges=_ranges(ranges)
        )
        methods: dict[str, Any] = dict(networks)
        if dictionary:
            methods["dictionary"] = learn(
                dictionary, degradation=degradation, channels=channels, ranges=units
            )
        steps = compare(
            methods,
            data,
            degradation=degradation,
            channels=channels,
            ranges=units,
            mesh=make_mesh(),
        )
        with rich.progress.Progress(console=out, transient=True) as progress:
            *_, report = progress.track(steps, description="evaluating")
        out.print(_table(report))
        out.print(report["definition"], style="dim")
        if json_:
            json_.parent.mkdir(parents=True, exist_ok=True)
            with replacing(json_) as temporary:
                temporary.write_text(json.dumps(report, indent=1, allow_nan=False))


def _ranges(text: str | None) -> tuple[tuple[float, float], ...]:
    try:
        return msgspec.json.decode(text or "[]", type=tuple[tuple[float, float], ...])
    except msgspec.DecodeError as error:
        raise ValueError(f"--ranges: got {text} ({error}), wanted [[LOW, HIGH], ...]") from error


def _label(path: Path, among: list[Path]) -> str:
    """The name of a weight file or run, or its whole path where two would be alike."""
    names = [p.resolve().name.removesuffix(".safetensors") for p in among]
    name = names[among.index(path)]
    return name if names.count(name) == 1 else str(path)


def _table(report: dict[str, Any]) -> Table:
    names = next(iter(report["methods"].values()))["mean"]
    columns = {name: ".3f" if name.startswith("psnr") else ".4f" for name in names}
    table = Table(title=f"{report['dataset']}, x{report['scale']}, mean")
    table.add_column("method")
    for name in (*columns, "seconds"):
        table.add_column(name, justify="right")
    for name, result in report["methods"].items():
        means = (math.inf if result["mean"][m] is None else result["mean"][m] for m in columns)
        figures = map(format, means, columns.values())
        table.add_row(name, *figures, format(result["seconds"], ".1f"))
    return table
