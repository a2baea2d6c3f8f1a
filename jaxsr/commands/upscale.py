"""`jaxsr upscale`: files and folders of pictures through a network or a classical method."""

import contextlib
import signal
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from jaxsr.commands.console import FAILED, WEIGHTS_HELP, complain, err, out, plain_errors
from jaxsr.display import JobDisplay


def upscale(
    inputs: Annotated[
        list[str], typer.Argument(help="Pictures: files, folders, globs or package:NAME/PATH.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="A file for one picture, else a folder.")
    ],
    weights: Annotated[Path | None, typer.Option("-w", "--weights", help=WEIGHTS_HELP)] = None,
    method: Annotated[
        str | None,
        typer.Option(help="nearest, bilinear, bicubic, lanczos or wiener, without weights."),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(help="The factor; where it is not the network's, bicubic does the rest."),
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Pixels of the output, instead of --scale.")
    ] = None,
    blend: Annotated[
        Path | None, typer.Option(help="Other weights of the same network, blended in.")
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Of --blend: 0 is --weights alone, 1 the other; else 0.5."),
    ] = None,
    self_ensemble: Annotated[
        bool, typer.Option("--self-ensemble", help="The mean over eight flips and turns.")
    ] = False,
    consistency: Annotated[
        bool, typer.Option("--consistency", help="Make the reduced output the input again.")
    ] = False,
    mode: Annotated[
        str, typer.Option(help="auto, whole, overlap, stream or sharded; all are exact.")
    ] = "auto",
    tile: Annotated[
        int | None,
        typer.Option(help="Input pixels of a tile's side, or rows of a strip; else as fits."),
    ] = None,
    halo: Annotated[
        int | None, typer.Option(help="Input pixels around a tile: fewer are faster, not exact.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    recursive: Annotated[
        bool, typer.Option("-r", "--recursive", help="Folders with all that is below them.")
    ] = False,
    name: Annotated[
        str, typer.Option(help="Pattern of the names: {stem}, {ext}, {scale}.")
    ] = "{stem}",
    format_: Annotated[
        str | None,
        typer.Option("--format", help="png, jpg, webp, avif, tif ..., else the input's."),
    ] = None,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of JPEG, WebP and AVIF.")] = 95,
    depth: Annotated[int | None, typer.Option(help="8 or 16 bits, else the input's.")] = None,
    widen: Annotated[
        bool, typer.Option("--widen", help="Palettes and CMYK become RGB, single bits grey.")
    ] = False,
    background: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="0 to 255, laid under what is transparent.")
    ] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Only the I-th of N shares of the pictures.")
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Make again what an earlier job has done, not skip it."),
    ] = False,
) -> None:
    """Super-resolve, or with a network of scale 1 restore, pictures.

    A folder's job can be stopped at any time; the same command goes on with what is left.
    """
    with plain_errors():
        from jaxsr.imaging.modes import convert
        from jaxsr.inference import plan as plans
        from jaxsr.inference.enlarge import Options, digest
        from jaxsr.inference.jobs import run_job, upscale_file
        from jaxsr.inference.tiled import Tiling

        tiling = Tiling(mode, tile, halo, dtype)
        options = Options(tiling, scale, _size(size), self_ensemble, consistency)
        network = _network(weights, method, blend, strength)
        enlarge = _enlarge(network, method, options)
        if network and scale is None and size is None:
            scale = network.arch.scale
        job = plans.plan(
            inputs, output, name=name, format=format_, scale=scale, recursive=recursive
        )
        if shard is not None:
            job = plans.shard(job, *_share(shard))
        written: dict[str, Any] = {"depth": _depth(depth), "widen": widen}
        written["background"] = _colour(background)
        make = partial(
            upscale_file,
            channels=network and network.arch.channels,
            prepare=partial(convert, **written),
            quality=quality,
            by_strips=_by_strips(network, options, written),
        )
        records = run_job(
            enlarge,
            job,
            make=make,
            digest=digest(network, method=method, options=options, quality=quality, **written),
            fresh=overwrite,
            batch=_batch(),
        )
        failed = _show(records, len(job.items))
        _tell_what_was_left(inputs, job.deeper, recursive=recursive)
    if failed:
        err.print(f"{failed} of {len(job.items)} pictures failed")
        raise typer.Exit(FAILED)


def _enlarge(network: Any, method: str | None, options: Any) -> Any:
    """What enlarges pixels: the network, or the method where there is none."""
    from jaxsr.inference.enlarge import Options, by_method, by_network

    if network:
        return by_network(network, options=options)
    if options != Options(scale=options.scale, size=options.size):
        raise ValueError("got options of networks beside --method; give -w or leave them out")
    return by_method(str(method), scale=options.scale, size=options.size)


def _show(records: Generator[dict[str, Any], None, None], count: int) -> int:
    """Show the records of a job as they come, and return how many pictures failed."""
    try:
        with contextlib.closing(records), JobDisplay(out, count) as display:
            for record in records:
                display.show(record)
                if record["error"]:
                    complain(record["error"])
    except KeyboardInterrupt:
        err.print("stopped; the same command goes on from here")
        raise typer.Exit(128 + signal.SIGINT) from None
    display.summary()
    return display.failed


def _network(
    weights: Path | None, method: str | None, blend: Path | None, strength: float | None
) -> Any:
    """The network of the command, blended where asked, or None for a method."""
    from jaxsr.inference import refine
    from jaxsr.interop.load import load

    if (weights is None) == (method is None):
        got = "neither" if weights is None else "both"
        raise ValueError(f"got {got} of --weights and --method; give one of them")
    if weights is None:
        if blend is not None:
            raise ValueError("--blend needs the weights to blend with; give -w")
        return None
    network = load(weights)
    if hasattr(network.arch, "latent"):
        raise ValueError(f"{weights} makes pictures of noise; run jaxsr sample -w {weights}")
    if blend is None:
        if strength is not None:
            raise ValueError("--strength is that of --blend; give the other weights")
        return network
    return refine.blend(network, load(blend), strength=0.5 if strength is None else strength)


def _by_strips(network: Any, options: Any, written: dict[str, Any]) -> Any:
    """What takes TIFFs too large to be taken whole, where nothing asked for needs all of them."""
    from jaxsr.inference.enlarge import Options
    from jaxsr.inference.large import upscale_large

    whole = options.tiling.mode not in ("auto", "stream") or options.tiling.halo is not None
    if network is None or whole or options != Options(options.tiling) or any(written.values()):
        return None
    return partial(upscale_large, network, tiling=options.tiling)


def _batch() -> int:
    """Pictures that go together: filling up batches costs a CPU more than it brings."""
    import jax

    return 1 if jax.default_backend() == "cpu" else 16


def _depth(bits: int | None) -> int | None:
    if bits not in (None, 8, 16):
        raise ValueError(f"--depth: got {bits}, wanted 8 or 16")
    return bits


def _size(text: str | None) -> tuple[int, int] | None:
    """(height, width)."""
    if text is None:
        return None
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ValueError(f"--size: got {text}, wanted WxH, such as 3840x2160")
    return int(height), int(width)


def _share(text: str) -> tuple[int, int]:
    share, _, shares = text.partition("/")
    if not (share.isdecimal() and shares.isdecimal()):
        raise ValueError(f"--shard: got {text}, wanted I/N, such as 2/8")
    return int(share), int(shares)


def _colour(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 3 or not all(part.isdecimal() and int(part) < 256 for part in parts):
        raise ValueError(f"--background: got {text}, wanted R,G,B of 0 to 255, such as 255,255,255")
    return tuple(map(int, parts))


def _tell_what_was_left(inputs: list[str], deeper: int, *, recursive: bool) -> None:
    from jaxsr.imaging.find import other_files

    if deeper:
        out.print(f"{deeper} pictures lie in folders below; --recursive takes them too")
    if others := other_files(inputs, recursive=recursive):
        out.print(f"{others} files in the folders are no pictures by their names; left alone")
