"""Every test runs strict and on eight fake devices."""

import os
from pathlib import Path

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)
# Half of the suite's time is XLA optimising programs that run once.
jax.config.update("jax_disable_most_optimizations", True)

# Commands that a test starts must not meet another accelerator or look for one.
os.environ.setdefault("JAX_PLATFORMS", "cpu")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of test sets and foreign weights; tests that need it skip where it is absent."""
    path = Path(os.environ.get("JAXSR_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"{path} is absent; set JAXSR_DATA to the folder of test sets to run this")
    return path
