"""The program `jaxsr`: its commands, each in a module of `jaxsr.commands`."""

import io
import os
import sys
from typing import Annotated

import platformdirs
import typer

from jaxsr.commands.console import out
from jaxsr.commands.degrade import degrade
from jaxsr.commands.evaluate import evaluate
from jaxsr.commands.export import export
from jaxsr.commands.fetch import fetch
from jaxsr.commands.plot import plot
from jaxsr.commands.show import explain, sample
from jaxsr.commands.train import train
from jaxsr.commands.upscale import upscale
from jaxsr.commands.weights import convert, info

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for command in (
    train,
    degrade,
    upscale,
    sample,
    explain,
    evaluate,
    plot,
    info,
    convert,
    export,
    fetch,
):
    app.command()(command)


def _version(show: bool) -> None:
    if show:
        from jaxsr import __version__

        out.print(f"jaxsr {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train and run GAN image super-resolution in JAX."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for names of files that are no text
    # JAX reads it when it is imported. Its own variable, and what it holds, go before.
    cache = platformdirs.user_cache_path("jaxsr", appauthor=False) / "compiled"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
