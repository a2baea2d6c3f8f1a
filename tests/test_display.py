"""What a run says while it goes."""

import io
from pathlib import Path

from rich.console import Console

from jaxsr.display import Display


def test_an_evaluation_says_the_metrics_that_were_asked_for():
    text = io.StringIO()
    record = {"event": "eval", "step": 20, "psnr_y": 30.0, "ssim_y": 0.5, "psnr_rgb": 29.0}
    record |= {"ssim_rgb": 0.4, "shift_r": 0.1, "lpips_alex": 0.25, "niqe": 5.5, "identical": 0}
    with Display(Console(file=text, width=200), Path("run"), every=1, shown=True) as display:
        display.show(record)
    line = "step 20: psnr_y 30.000  ssim_y 0.500  psnr_rgb 29.000  lpips_alex 0.250  niqe 5.500"
    assert line in text.getvalue()
