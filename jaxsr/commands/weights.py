"""`jaxsr info` and `jaxsr convert`: what a weight file is, and the same network in another form."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from jaxsr.commands.console import WEIGHTS_HELP, err, out, plain_errors, printable


def info(
    weights: Annotated[Path, typer.Argument(help=WEIGHTS_HELP)],
    json_: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    recipe: Annotated[
        bool, typer.Option("--recipe", help="Print the config that it was trained by, alone.")
    ] = False,
) -> None:
    """Say what network a file holds, what it costs to run, and where it comes from."""
    with plain_errors():
        from jaxsr.interop.info import describe
        from jaxsr.interop.load import read

        facts = describe(read(weights, discriminators=True))
        config = facts["metadata"].get("config")
        if recipe and config is None:
            raise ValueError(f"{weights} tells no config: jaxsr did not train it")
        if recipe:
            out.print(config, end="")
        elif json_:
            out.print(json.dumps(facts, indent=1))
        else:
            for name, value in _rows(facts).items():
                out.print(f"{printable(name):<22} {printable(value)}")


def _rows(facts: dict[str, Any]) -> dict[str, str]:
    """Facts as sentences' parts."""
    hidden = ("name", "scale")
    fields = {k: v for k, v in facts["network"].items() if k not in hidden and v is not None}
    rows = {
        "file": facts["file"],
        "form": f"{facts['form']}, {', '.join(facts['stored_in'])}, {_bytes(facts['bytes'])}",
        "network": facts["family"],
        **({"scale": f"x{facts['network']['scale']}"} if "scale" in facts["network"] else {}),
        "fields": ", ".join(f"{name} {value}" for name, value in fields.items()),
        "parameters": f"{facts['parameters']:,}",
    }
    if facts["ranges"]:
        rows["ranges"] = ", ".join(f"{low:g} to {high:g}" for low, high in facts["ranges"])
    if "megapixel" in facts:
        costs = facts["megapixel"]
        rows["receptive radius"] = f"{facts['receptive_radius']} LR pixels"
        rows["1024 x 1024 LR pixels"] = (
            f"{costs['flops'] / 1e12:.3g} TFLOP; about {_bytes(costs['bytes_whole'])} at once, "
            f"{_bytes(costs['bytes_stream'])} in strips"
        )
    for known in facts["public"]:
        rows["known as"] = f"{known['what']}; {known['licence']}; {known['url']}"
    rows["sha256"] = ", ".join(facts["sha256"])
    metadata = facts["metadata"]
    rows |= {name: value for name, value in metadata.items() if name != "config"}
    if "config" in metadata:
        rows["config"] = "kept; --recipe prints it"
    return rows


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def convert(
    weights: Annotated[Path, typer.Argument(help=WEIGHTS_HELP)],
    output: Annotated[
        Path, typer.Argument(help="What to write: .safetensors, .pth, or ncnn's .param.")
    ],
    layout: Annotated[
        str | None,
        typer.Option(help="PyTorch's names: new, middle or old; without it .safetensors is ours."),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Store float16.")] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="field=value", help="Say what no tensor tells, as res_scale=0.1."
        ),
    ] = None,
) -> None:
    """Write a network in another form: ours, PyTorch's or ncnn's."""
    with plain_errors():
        from jaxsr.interop.load import read
        from jaxsr.interop.save import save, written

        loaded = read(weights, discriminators=True, **_fields(set_ or []))
        sources = [file.resolve() for file in loaded.files]
        if any(file.resolve() in sources for file in written(output)):
            raise ValueError(f"{output} would overwrite what is converted; name another output")
        untold = save(
            output,
            loaded.weights,
            layout=layout,
            dtype="float16" if half else "float32",
            metadata=_provenance(loaded),
        )
        names = " and ".join(map(str, written(output)))
        out.print(f"{names}: {type(loaded.weights.arch).__name__} from {loaded.files[0]}")
        if loaded.metadata and (layout or output.suffix.lower() != ".safetensors"):
            untold = "; ".join(filter(None, [untold, "where it comes from"]))
        if untold:
            err.print(f"{output} does not tell {untold}")


def _fields(settings: list[str]) -> dict[str, Any]:
    from jaxsr.training.config import parse_value

    fields = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"--set {setting}: wanted field=value, such as res_scale=0.1")
        fields[name.strip()] = parse_value(text)
    return fields


def _provenance(loaded: Any) -> dict[str, str]:
    """What our form keeps: what it kept, or else which file it was."""
    if loaded.form == "jaxsr":
        return loaded.metadata
    theirs = {name: text for name, text in loaded.metadata.items() if name != "format"}
    file = loaded.files[-1]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return theirs | {"source": file.name, "source.sha256": digest}
