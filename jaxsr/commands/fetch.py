"""`jaxsr fetch`: public weights, the only thing that is ever downloaded."""

import contextlib
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Any

import rich.filesize
import rich.progress
import typer
from rich.text import Text

from jaxsr.commands.console import err, out, plain_errors


def fetch(
    name: Annotated[
        str | None, typer.Argument(help="Of the list, which is printed without it.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file to write, not in the cache.")
    ] = None,
    sha256: Annotated[
        str, typer.Option(metavar="HEX", help="Of the file, where the list has none.")
    ] = "",
    yes: Annotated[
        bool, typer.Option("--yes", help="Take also a file that nothing vouches for, unasked.")
    ] = False,
) -> None:
    """Download public weights into the user's cache and verify them, or list what there is.

    No other command downloads anything. A download that was stopped goes on where it was.
    """
    with plain_errors():
        from jaxsr.interop import fetch as fetching

        if name is None:
            _list()
            return
        file = fetching.lookup(name)
        path = output or fetching.cache_path(name)
        if not (file.sha256 or sha256 or yes or path.exists()):
            _confirm(name, file.url)
        digest = _show(fetching.fetch(file, path, sha256=sha256))
        vouched = f"as {file.page} states" if file.sha256 else "as given"
        if not (file.sha256 or sha256):
            vouched = "which nothing vouches for"
        out.print(f"{path}: sha256 {digest}, {vouched}")


def _confirm(name: str, url: str) -> None:
    question = (
        f"No public page is known that states the sha256 of {name}, so whatever comes from"
        f" {url} cannot be verified. Download it?"
    )
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:  # nobody is there to answer
        agreed = False
    if not agreed:
        raise ValueError(f"{name} was not downloaded; give its --sha256, or --yes")


def _show(records: Generator[dict[str, Any], None, None]) -> str:
    """Show how the bytes come, and return the sha256 of all."""
    columns = (
        rich.progress.BarColumn(),
        rich.progress.DownloadColumn(),
        rich.progress.TransferSpeedColumn(),
        rich.progress.TimeRemainingColumn(),
    )
    bar = rich.progress.Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
    digest = ""
    try:
        with contextlib.closing(records), bar as progress:
            task = progress.add_task("", total=None)
            for record in records:
                if record["event"] == "bytes":
                    progress.update(task, completed=record["done"], total=record["total"])
                else:
                    digest = record["sha256"]
    except KeyboardInterrupt:
        err.print("stopped; the same command goes on from here")
        raise typer.Exit(128 + signal.SIGINT) from None
    return digest


def _list() -> None:
    from jaxsr.interop.fetch import cache_path
    from jaxsr.interop.public import PUBLIC

    for name, file in PUBLIC.items():
        facts = [file.licence, *([] if file.sha256 else ["no sha256 is known"])]
        facts += ["here"] if cache_path(name).exists() else []
        size = [] if file.size is None else [rich.filesize.decimal(file.size)]
        out.print(Text.assemble((name, "bold"), f": {file.what}"))
        out.print(f"  {', '.join(size + facts)}\n  {file.url}")
