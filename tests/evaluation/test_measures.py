"""Which of two values of a metric is the better one."""

import math

import pytest

from jaxsr.evaluation.measures import better


@pytest.mark.parametrize("name, falling", [("psnr_y", False), ("lpips_alex", True), ("niqe", True)])
def test_better_is_higher_or_lower_as_the_metric_has_it(name, falling):
    assert better(name, 2.0, than=3.0) is falling
    assert better(name, 3.0, than=2.0) is not falling
    assert not better(name, 2.0, than=2.0)
    assert better(name, 2.0, than=None)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_is_never_better(value):
    assert not better("psnr_y", value, than=None) and not better("niqe", value, than=5.0)
