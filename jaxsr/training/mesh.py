"""Devices and processes: one mesh axis `data`, over which batches are split."""

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

AXIS = "data"


def connect(*, coordinator: str | None, processes: int | None, process_id: int | None) -> None:
    """Join the processes of one run; all None lets JAX ask the cluster (Slurm, GKE, TPU pods).

    Call it before anything else touches JAX's backends. ValueError where the processes cannot be
    known or do not meet.
    """
    if coordinator and not coordinator.rpartition(":")[2].isdecimal():
        raise ValueError(f"--coordinator: got {coordinator}, wanted HOST:PORT")
    try:
        jax.distributed.initialize(coordinator, processes, process_id)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"--distributed: {error} Give --coordinator HOST:PORT, --processes and --process-id, "
            "or start under Slurm, GKE or a TPU pod"
        ) from error


def first_process() -> bool:
    """Whether this process speaks and writes for all."""
    return jax.process_index() == 0


def make_mesh(*, devices: int | None = None) -> Mesh:
    """The first `devices` devices of all processes (None: all of them) along the axis `data`."""
    known = jax.devices()
    count = len(known) if devices is None else devices
    if not 1 <= count <= len(known):
        raise ValueError(f"devices: got {count}, wanted 1 to {len(known)}, which this machine has")
    chosen = known[:count]
    # Auto axes: under the default Explicit ones the step would compile twice.
    return jax.make_mesh((len(chosen),), (AXIS,), axis_types=(AxisType.Auto,), devices=chosen)


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, P())


def replicate(mesh: Mesh, tree: Any) -> Any:
    """Arrays that all processes hold alike, on every device of all processes."""
    # `device_put` takes no sharding with devices of other processes.
    return jax.jit(lambda x: x, out_shardings=replicated(mesh))(tree)


def sharded(mesh: Mesh) -> NamedSharding:
    """The leading axis split over the devices."""
    return NamedSharding(mesh, P(AXIS))


def global_batch(mesh: Mesh, local: dict[str, np.ndarray]) -> dict[str, jax.Array]:
    """This process's share of a batch as a share of global arrays."""
    sharding = sharded(mesh)
    return {k: jax.make_array_from_process_local_data(sharding, v) for k, v in local.items()}


def check_batch(mesh: Mesh, batch_size: int, parts: int) -> None:
    """Refuse a batch that does not split over the devices and then into `parts`."""
    if batch_size % (mesh.size * parts):
        raise ValueError(
            f"train.batch_size: got {batch_size}, wanted a multiple of {mesh.size * parts} "
            f"({mesh.size} devices x train.accumulate = {parts})"
        )
