"""What the commands share: two consoles, exit codes, and errors as sentences."""

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Names of files may hold brackets, which are no markup.
out = Console(highlight=False, markup=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)

FAILED, ASKED_WRONGLY = 1, 2

WEIGHTS_HELP = (
    "A .safetensors or .pth file, an ncnn .param, a run directory (its weights/last), or a name"
    " that jaxsr fetch has fetched."
)


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """One sentence for what jaxsr refuses or the system denies; a defect keeps its traceback."""
    try:
        yield
    except (ValueError, FloatingPointError, OSError) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        ours = Path(frame.filename).is_relative_to(Path(__file__).parents[1])
        if not (ours or isinstance(error, OSError)):
            raise
        complain(str(error))
        raise typer.Exit(ASKED_WRONGLY if isinstance(error, ValueError) else FAILED) from None


def complain(sentence: str) -> None:
    """Print an error."""
    lines = "\n".join(map(printable, sentence.split("\n")))
    err.print(Text.assemble(("error: ", "bold red"), lines))


def print_table(table: Table, console: Console) -> None:
    """Print a table as wide as the terminal, or, to a file, as wide as it is."""
    if not console.is_terminal:
        console = Console(file=console.file, width=1000, highlight=False, markup=False)
    console.print(table)


def printable(text: str) -> str:
    """Escape what would move the cursor or colour the terminal, for files say what they like."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
