"""Where windows lie on a picture, and the few sizes that pictures are padded to."""

from typing import NamedTuple


class Window(NamedTuple):
    """Pixels `start` on, along one axis, of which those from `first` to before `last` are kept."""

    start: int
    first: int
    last: int


def windows(size: int, window: int, *, halo: int) -> list[Window]:
    """Cover `size` pixels by windows of `window` that lie inside; kept pixels are `halo` from cuts.

    The picture's own border is no cut. Where all three are multiples of a number, so is every
    start. One window where it covers all. Raises ValueError for a window that keeps nothing.
    """
    if window >= size:
        return [Window(0, 0, size)]
    if window <= 2 * halo:
        raise ValueError(
            f"got windows of {window} pixels with a halo of {halo} on both sides, wanted more than "
            f"{2 * halo}; take larger tiles"
        )
    found, first = [], 0
    while first < size:
        start = min(max(first - halo, 0), size - window)
        last = size if start + window == size else start + window - halo
        found.append(Window(start, first, last))
        first = last
    return found


def bucket(size: int, *, multiple: int = 1) -> int:
    """The size to pad to: 32 or more, four to each doubling, a multiple of `multiple`.

    Pictures of all sizes up to n so come to some 4 log2(n / 16) sizes, none a quarter too large.
    """
    step = max(8, 1 << max(0, (size - 1).bit_length() - 3))
    size = max(32, -(-size // step) * step)
    return -(-size // multiple) * multiple
