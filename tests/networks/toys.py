"""Generators of few features and layers, which compile quickly."""

from jaxsr.networks.generators import GENERATORS

TOY = {
    "msrresnet": {"num_features": 4, "num_blocks": 1},
    "srresnet": {"num_features": 4, "num_blocks": 1},
    "edsr": {"num_features": 4, "num_blocks": 1},
    "rrdbnet": {"num_features": 4, "num_blocks": 1, "growth": 2},
    "compact": {"num_features": 4, "num_convs": 1},
    "espcn": {"num_features": 4},
    "concat": {"num_features": 4, "num_blocks": 1},
    "encdec": {"num_features": 4},
    "restore": {"num_features": 4},
    "dcgan": {"num_features": 4, "size": 16, "latent": 5},
}
# RRDBNets of community models
VARIANTS = [{"scale": 1, "unshuffle": 1, "plus": True}, {"scale": 1, "unshuffle": 2}]
OF_PICTURES = [name for name in GENERATORS if name != "dcgan"]


def toy(name: str, scale: int | None = None, **fields):
    cls = GENERATORS[name]
    if name in OF_PICTURES:
        fields["scale"] = scale or min(2, max(cls.scales))
    return cls(**(TOY[name] | fields))
