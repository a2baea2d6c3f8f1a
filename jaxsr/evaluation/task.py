"""What is evaluated: the pictures, what networks are given of them, and the networks."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxsr.evaluation.compare import common_input
from jaxsr.evaluation.evaluate import Example, read_inputs, read_pairs, read_set
from jaxsr.imaging.bands import Ranges
from jaxsr.imaging.find import find_pictures
from jaxsr.networks.weights import Weights


class Task(NamedTuple):
    """Pictures, networks, and what they have in common; `degradation` makes LR where none is."""

    dataset: str
    examples: list[Example]
    degradation: Any
    channels: int
    ranges: Ranges
    networks: Mapping[str, Weights]


def make_task(
    *,
    data: Sequence[str] = (),
    pairs: tuple[str, str] | None = None,
    unpaired: str | None = None,
    networks: Mapping[str, Weights],
    trained: Mapping[str, Mapping[str, Any] | None],
    scale: int | None = None,
    ranges: Ranges = (),
) -> Task:
    """Read the pictures of `data`, of `pairs` (LR, HR) or without originals, for the networks.

    `trained` maps the networks' names to what they were trained to undo, where it is known. Raises
    ValueError unless exactly one kind of pictures is given, and where the networks differ in what
    they take.
    """
    given = [kind for kind in (data, pairs, unpaired) if kind]
    if len(given) != 1:
        raise ValueError(
            f"got {len(given) or 'none'} of --data, --pairs and --no-reference; give one of them"
        )
    sources = list(data) or ([pairs[1]] if pairs else [str(unpaired)])
    if unpaired and not networks and scale is None:
        scale = 1  # the pictures as they are
    degradation, channels, ranges = common_input(
        networks, trained, scale, sources=sources, ranges=ranges, makes_input=bool(data)
    )
    options: dict[str, Any] = {"channels": channels, "ranges": ranges}
    if pairs:
        examples = read_pairs(pairs[1], pairs[0], scale=degradation.scale, **options)
    elif unpaired:
        examples = read_inputs(find_pictures(unpaired), **options)
    else:
        examples = read_set(find_pictures(sources), scale=degradation.scale, **options)
    dataset = " and ".join(pairs) if pairs else " ".join(sources)
    return Task(dataset, examples, degradation, channels, ranges, networks)
