"""Tasks in threads around one device: order, overlap, bounds, batches and the end."""

import threading
import time

import jax
import numpy as np
import pytest
from repeating import repeat

from jaxsr.inference import pipeline
from jaxsr.inference.pipeline import Enlarged, Task, overlap


def pixels_of(n, size=2):
    return np.full((size, size, 1), n, np.uint8)


def asking(n, size=2):
    """A task that has a picture of the number n enlarged."""
    return Task(size * size, lambda ask: ask(pixels_of(n, size)))


def no_thread_left() -> bool:
    return not any("jaxsr" in thread.name for thread in threading.enumerate())


def test_results_come_in_order_and_each_is_its_own():
    def work(n):
        def do(ask):
            time.sleep(0.01 * (n % 3))
            sr = ask(pixels_of(n)).pixels
            time.sleep(0.01 * (n % 4))
            return n, sr

        return Task(4, do)

    results = list(overlap(map(work, range(50)), repeat, batch=4))
    assert [n for n, _ in results] == [*range(50)]
    for n, sr in results:
        np.testing.assert_array_equal(sr, repeat(pixels_of(n)))
    assert no_thread_left()
    assert list(overlap([], repeat)) == []


def test_a_task_may_ask_often_or_never():
    frames = Task(4, lambda ask: [int(ask(pixels_of(n)).pixels[0, 0, 0]) for n in range(5)])
    together = Task(4, lambda ask: ask(np.stack([pixels_of(7)] * 3)).pixels.shape)
    tasks = [frames, Task(0, lambda _: "idle"), together]
    assert list(overlap(tasks, repeat, batch=4)) == [[0, 1, 2, 3, 4], "idle", (3, 4, 4, 1)]


def test_reading_the_device_and_writing_overlap():
    """20 pictures of 30 ms each way: 1.8 s one after the other, 0.6 s where the device is busy."""

    def work(ask):
        time.sleep(0.03)
        ask(pixels_of(0))
        time.sleep(0.03)

    def slow(pixels):
        time.sleep(0.03)
        return pixels

    start = time.monotonic()
    assert len(list(overlap([Task(4, work)] * 20, slow))) == 20
    assert 0.6 <= time.monotonic() - start < 1.4


def test_the_device_does_not_wait_for_the_one_who_writes_long():
    """The first is still writing when the last has been enlarged, and comes out first."""
    last = threading.Event()

    def first(ask):
        ask(pixels_of(0))
        assert last.wait(10)
        return "first"

    def enlarge(pixels):
        if pixels[0, 0, 0] == 100:
            last.set()
        return pixels

    tasks = [Task(4, first), *(asking(n) for n in range(1, 101))]
    assert next(results := overlap(tasks, enlarge)) == "first"
    assert len(list(results)) == 100


@pytest.mark.parametrize("pixels, most", [(4, 5), (40, 2), (1000, 1)])
def test_what_is_in_flight_is_bounded(monkeypatch, pixels, most):
    """By five pictures, by 100 pixels, or by one picture that is larger."""
    monkeypatch.setattr(pipeline, "PICTURES", 5)
    monkeypatch.setattr(pipeline, "PIXELS", 100)
    lock, now, peak, begun = threading.Lock(), [0], [0], [0]

    def work(ask):
        with lock:
            now[0] += 1
            peak[0] = max(peak[0], now[0])
        ask(pixels_of(0))
        time.sleep(0.01)
        with lock:
            now[0] -= 1

    def tasks():
        for _ in range(20):
            begun[0] += 1
            yield Task(pixels, work)

    results = overlap(tasks(), repeat)
    next(results)
    assert begun[0] <= 1 + 2 * most  # tasks are drawn when there is room
    assert len(list(results)) == 19
    assert peak[0] == most


def gathered(tasks, enlarge, batch):
    """As `overlap`, where the device is held up by a first picture until all have asked."""
    gate, opened = threading.Barrier(len(tasks) + 1), []

    def held_up(pixels):
        if opened:
            return enlarge(pixels)
        opened.append(gate.wait(10))
        time.sleep(0.3)  # long enough to hand in an array
        return pixels

    def behind(task):
        def do(ask):
            gate.wait(10)
            return task.work(ask)

        return Task(task.pixels, do)

    first = Task(1, lambda ask: ask(np.zeros((1, 1, 9), np.uint8)))
    return list(overlap([first, *map(behind, tasks)], held_up, batch=batch))[1:]


def test_equal_shapes_go_in_batches_of_one_size(monkeypatch):
    """Five of one shape and one of another in batches of four; 64 pixels hold no two of 6 x 6."""
    monkeypatch.setattr(pipeline, "BATCH_PIXELS", 64)
    shapes = []

    def enlarge(pixels):
        shapes.append(pixels.shape)
        return Enlarged(repeat(pixels), ("noted",))

    tasks = [asking(n) for n in range(5)] + [asking(5, size=6), asking(6, size=4)]
    results = gathered(tasks, enlarge, 4)
    for n, made in enumerate(results):
        np.testing.assert_array_equal(made.pixels, repeat(pixels_of(n, {5: 6, 6: 4}.get(n, 2))))
        assert made.notes == ("noted",) and made.seconds > 0
    assert sorted(shapes) == [(4, 2, 2, 1), (4, 2, 2, 1), (4, 4, 4, 1), (6, 6, 1)]


def test_kinds_of_pixels_are_not_mixed():
    kinds = [np.zeros((2, 2, 1), np.uint8), np.ones((2, 2, 1), np.uint16), np.ones((2, 2, 3))]
    tasks = [Task(4, lambda ask, each=each: ask(each).pixels) for each in kinds * 2]
    for made, wanted in zip(gathered(tasks, repeat, 4), kinds * 2, strict=True):
        np.testing.assert_array_equal(made, repeat(wanted), strict=True)


def test_a_batch_is_filled_with_what_lies_in_its_range():
    seen = []
    gathered([asking(200)], lambda pixels: seen.append(pixels) or repeat(pixels), 3)
    assert (seen[0] == 200).all() and len(seen[0]) == 3


def test_a_batch_that_fails_is_made_one_by_one_with_a_note():
    def cramped(pixels):
        if pixels.ndim == 4:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory\nand more")
        if pixels[0, 0, 0] == 2:
            raise ValueError("not this one")
        return Enlarged(repeat(pixels), ("by itself",))

    def work(n):
        def do(ask):
            try:
                return ask(pixels_of(n))
            except ValueError as error:
                return str(error)

        return Task(4, do)

    results = gathered([work(n) for n in range(4)], cramped, 4)
    assert results.pop(2) == "not this one"
    for made, n in zip(results, (0, 1, 3), strict=True):
        np.testing.assert_array_equal(made.pixels, repeat(pixels_of(n)))
        alone, own = made.notes
        assert own == "by itself"
        assert alone == ("made alone, for a batch of 4 failed: RESOURCE_EXHAUSTED: out of memory")


@pytest.mark.parametrize("where", ["device", "task"])
def test_a_defect_ends_it_all_and_leaves_no_thread(where):
    def broken(*_):
        raise TypeError("a defect")

    tasks = [asking(n) for n in range(40)]
    if where == "task":
        tasks[5] = Task(4, broken)
    with pytest.raises(TypeError, match="a defect"):
        list(overlap(tasks, broken if where == "device" else repeat))
    assert no_thread_left()


@pytest.mark.parametrize("how", ["closed", "interrupted"])
def test_the_end_lets_writing_finish_drops_the_rest_and_leaves_no_thread(how):
    """Tasks are writing, waiting for the device, and reading when it comes."""
    written, writing = [], threading.Event()

    def work(n):
        def do(ask):
            if n > 20:
                time.sleep(0.2)  # reads until after the end, then finds the desk closed
            ask(pixels_of(n))
            if n == 0:
                assert writing.wait(10)  # so that the second is, when the first comes out
            if n == 1:
                writing.set()
                time.sleep(0.2)
            written.append(n)

        return Task(4, do)

    def enlarge(pixels):
        if pixels[0, 0, 0] == 2 and how == "interrupted":
            assert writing.wait(10)
            raise KeyboardInterrupt
        return pixels

    results = overlap([work(n) for n in range(30)], enlarge)
    if how == "closed":
        next(results)
        results.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            list(results)
    assert no_thread_left()
    assert {0, 1} <= {*written} and 29 not in written


def test_one_task_at_a_time_has_the_device_and_nobody_beside_it():
    busy, most = [0], [0]

    def use():
        busy[0] += 1
        most[0] = max(most[0], busy[0])
        time.sleep(0.01)
        busy[0] -= 1

    def alone(ask):
        with ask.device() as pulse:
            pulse()
            use()

    def enlarge(pixels):
        use()
        return repeat(pixels)

    tasks = [Task(4, alone), asking(1)] * 6
    assert len(list(overlap(tasks, enlarge))) == 12
    assert most == [1]


def test_the_end_stops_a_task_that_has_the_device():
    started = threading.Event()

    def alone(ask):
        with ask.device() as pulse:
            started.set()
            while True:
                pulse()
                time.sleep(0.001)

    results = overlap([Task(0, lambda _: None), Task(4, alone)], repeat)
    next(results)
    assert started.wait(5)
    results.close()
    assert no_thread_left()
