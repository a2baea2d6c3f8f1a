import pytest

from jaxsr.inference.windows import bucket, windows


@pytest.mark.parametrize("multiple", [1, 4])
@pytest.mark.parametrize("halo", [0, 4, 12])
@pytest.mark.parametrize("window", [28, 40, 64])
def test_every_pixel_is_kept_once_and_far_from_cuts(window, halo, multiple):
    for size in range(multiple, 300, multiple):
        found = windows(size, window, halo=halo)
        kept = [i for each in found for i in range(each.first, each.last)]
        assert kept == list(range(size))
        for start, first, last in found:
            end = min(start + window, size)
            assert 0 <= start and (end - start == window or len(found) == 1)
            assert start == 0 or first - start >= halo
            assert end == size or end - last >= halo
            assert start % multiple == 0


def test_no_more_windows_than_needed():
    assert len(windows(100, 40, halo=10)) == 4
    assert len(windows(40, 40, halo=30)) == 1


def test_a_window_that_keeps_nothing_is_refused():
    with pytest.raises(ValueError, match="wanted more than 40; take larger tiles"):
        windows(100, 40, halo=20)


@pytest.mark.parametrize("multiple", [1, 4, 16, 3])
def test_buckets_are_few_and_close(multiple):
    sizes = {n: bucket(n, multiple=multiple) for n in range(1, 4097)}
    for n, padded in sizes.items():
        assert padded >= n and padded % multiple == 0
        assert n < 32 or padded < 1.25 * n + multiple
    assert len(set(sizes.values())) <= 34
