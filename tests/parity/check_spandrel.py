"""Files of `jaxsr.interop.save` in spandrel, which reads what chaiNNer reads: run by hand.

    python tests/parity/check_spandrel.py

where jaxsr, torch and spandrel are installed. Writes small random networks of each layout as .pth,
reads them by `torch.load(weights_only=True)` and by spandrel, and compares what both make of a
picture whose sides no unshuffling divides. It prints the largest difference of each and fails
beyond 1e-5 of the largest value.
"""

import itertools
import tempfile
from pathlib import Path

import jax
import numpy as np
import spandrel
import torch

import jaxsr
from jaxsr.interop.save import save
from jaxsr.networks.generators import RRDBNet, SRVGGNetCompact
from jaxsr.networks.weights import init_weights

RRDB = {"num_features": 8, "num_blocks": 2, "growth": 32}


def networks():
    """Name, network and layout, None being the usual one."""
    for layout, scale in itertools.product(("new", "middle", "old"), (1, 2, 4, 8)):
        for unshuffle in (None, 1):
            yield (
                f"rrdbnet x{scale} {unshuffle} {layout}",
                RRDBNet(scale, **RRDB, unshuffle=unshuffle),
                layout,
            )
    for scale in (1, 2, 4):
        yield f"esrgan+ x{scale}", RRDBNet(scale, **RRDB, plus=True), None
    for scale in (1, 2, 3, 4):
        yield f"compact x{scale}", SRVGGNetCompact(scale, num_features=8, num_convs=2), None


def main():
    image = np.random.default_rng(0).random((1, 10, 7, 3), np.float32)
    for name, arch, layout in networks():
        weights = init_weights(jax.random.key(0), arch)
        # Far from the start, where residual branches are nearly nothing.
        weights = weights.replace(params=jax.tree.map(lambda x: 1.5 * x + 0.01, weights.params))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "net.pth"
            save(path, weights, layout=layout)
            state = torch.load(path, weights_only=True)
        model = spandrel.ModelLoader().load_from_state_dict(state)
        assert isinstance(model, spandrel.ImageModelDescriptor) and model.scale == arch.scale, name
        with torch.no_grad():
            theirs = model.model(torch.from_numpy(image.transpose(0, 3, 1, 2))).numpy()
        ours = np.asarray(jaxsr.upscale(weights, image))
        difference = np.abs(ours - theirs.transpose(0, 2, 3, 1)).max()
        print(f"{name:<28} {difference:.1e} of {np.abs(ours).max():.1f}")
        assert difference <= 1e-5 * np.abs(ours).max(), name


if __name__ == "__main__":
    main()
