"""Devices of a run: how many, and how a batch is split over them."""

import numpy as np
import pytest

from jaxsr.training.mesh import AXIS, check_batch, global_batch, make_mesh, replicated


def test_a_mesh_holds_the_first_devices():
    assert make_mesh().shape == {AXIS: 8}
    assert [device.id for device in make_mesh(devices=3).devices] == [0, 1, 2]


@pytest.mark.parametrize("devices", [0, -1, 9])
def test_no_mesh_of_devices_that_are_not_there(devices):
    with pytest.raises(ValueError, match=f"devices: got {devices}, wanted 1 to 8"):
        make_mesh(devices=devices)


def test_a_batch_is_split_in_order():
    mesh = make_mesh(devices=4)
    batch = global_batch(mesh, {"hr": np.arange(8 * 2, dtype=np.uint8).reshape(8, 2)})["hr"]
    parts = {shard.device.id: np.asarray(shard.data) for shard in batch.addressable_shards}
    for i in range(4):
        np.testing.assert_array_equal(parts[i].ravel(), np.arange(4 * i, 4 * i + 4))
    assert batch.dtype == np.uint8 and batch.sharding != replicated(mesh)


def test_a_batch_that_does_not_split_is_refused():
    mesh = make_mesh(devices=4)
    check_batch(mesh, 24, 3)
    with pytest.raises(ValueError, match="train.batch_size: got 16, wanted a multiple of 12"):
        check_batch(mesh, 16, 3)
