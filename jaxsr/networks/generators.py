"""Generators: [N, H, W, channels] in [0, 1] -> float32 [N, sH, sW, channels], not clipped.

`dcgan` alone takes noise [N, latent] instead. The last layer computes in float32: a picture rounded
to bfloat16 would have steps of a level.

Built only from the pieces of `layers`, `resample`, `norms` and `rows`, which know how rows and
columns lie, so that each takes `Rows` as well as arrays: strips, and padded pictures. `multiple`
divides the sides of those; arrays of other sizes are extended by reflection and the output cropped.

Every generator has a field `axis_name`, the mesh axis that batch statistics are averaged over, so
that a caller can `clone(axis_name=...)` any of them, and takes `train`; only those with batch
normalisation use them.
"""

from jaxsr.networks.normed import ConcatNet, RestoreNet
from jaxsr.networks.plain import ESPCN, SRVGGNetCompact
from jaxsr.networks.resnet import EDSR, MSRResNet, SRResNet
from jaxsr.networks.rrdbnet import RRDBNet
from jaxsr.networks.transposed import DCGANGenerator, EncDecNet

GENERATORS = {
    "msrresnet": MSRResNet,
    "srresnet": SRResNet,
    "edsr": EDSR,
    "rrdbnet": RRDBNet,
    "compact": SRVGGNetCompact,
    "espcn": ESPCN,
    "concat": ConcatNet,
    "encdec": EncDecNet,
    "restore": RestoreNet,
    "dcgan": DCGANGenerator,
}
