"""The codecs that crops go through on the host, drawn from the number of the example."""

import dataclasses
import io
import pickle

import jax
import msgspec
import numpy as np
import pytest
from PIL import Image, features
from test_data import collected
from test_draws import hash_of
from toy import toy_config

from jaxsr.imaging.degrade import degrade
from jaxsr.training.codecs import recode
from jaxsr.training.data import Source
from jaxsr.training.draws import draw_codings
from jaxsr.training.loop import _open
from jaxsr.training.pictures import scan
from jaxsr.training.schema import Codec

WEBP = Codec(codec="webp", quality=(40, 90), probability=0.3)
JPEG = Codec(codec="jpeg", quality=(10, 12), probability=0.6)

no_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")


def coded_by_pillow(pixels, codec, quality):
    options = {"max_threads": 1} if codec == "avif" else {}
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(buffer, codec.upper(), quality=quality, **options)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("L" if pixels.shape[-1] == 1 else "RGB"))


@pytest.mark.parametrize("codec", ["jpeg", "webp", pytest.param("avif", marks=no_avif)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_crop_returns_from_a_file_of_pillow(codec, channels):
    coarse = np.random.default_rng(0).integers(0, 256, (6, 9, channels), np.uint8)
    pixels = coarse.repeat(6, 0).repeat(6, 1)
    for quality in (20, 90):
        ours = recode(pixels, codec, quality=quality)
        assert ours.shape == pixels.shape and ours.dtype == np.uint8 and ours.flags.writeable
        expected = coded_by_pillow(pixels, codec, quality).reshape(pixels.shape)
        np.testing.assert_array_equal(ours, expected)
        assert (ours != pixels).any()


def test_draws_are_hashes_of_the_position():
    codecs = (WEBP, JPEG, WEBP)
    n = np.array([0, 1, 1000, 2**31, 2**32 - 1], np.uint32)
    for seed in (0, 7, 2**31 - 1):
        drawn = draw_codings(seed, n, codecs)
        assert draw_codings(seed, 1000, codecs) == [(gates[2], words[2]) for gates, words in drawn]
        for position, (happens, quality) in enumerate(drawn):
            low, high = codecs[position].quality
            gates = [hash_of(seed, int(i), 4, position) / 2**32 for i in n]
            words = [hash_of(seed, int(i), 5, position) for i in n]
            assert happens.tolist() == [gate < codecs[position].probability for gate in gates]
            assert quality.tolist() == [low + word % (high - low + 1) for word in words]


def test_probabilities_and_qualities_are_those_stated():
    count = 50_000
    n = np.arange(count, dtype=np.uint32)
    always, never = (Codec(codec="jpeg", quality=(7, 7), probability=p) for p in (1.0, 0.0))
    drawn = draw_codings(3, n, (WEBP, WEBP, JPEG, always, never))
    gates = [happens for happens, _ in drawn]
    for happens, p in ((gates[0], 0.3), (gates[1], 0.3), (gates[2], 0.6)):
        assert abs(happens.mean() - p) < 3 * np.sqrt(p * (1 - p) / count)
    assert gates[3].all() and not gates[4].any() and (drawn[3][1] == 7).all()
    # Of two positions, and of gate and quality, independent.
    assert abs((gates[0] & gates[1]).mean() - 0.09) < 3 * np.sqrt(0.09 * 0.91 / count)
    for of in (np.ones(count, bool), gates[0]):
        counts = np.bincount(drawn[0][1][of], minlength=91)[40:]
        assert len(counts) == 51 and not np.bincount(drawn[0][1])[:40].any()
        expected = of.sum() / 51
        statistic = ((counts - expected) ** 2).sum() / expected
        assert abs(statistic - 50) < 3 * np.sqrt(2 * 50)
    both = (drawn[0][1] == 40) & (drawn[1][1] == 40)
    assert abs(both.mean() - 51**-2) < 3 * np.sqrt(51**-2 / count)


@pytest.fixture
def pictures(folder):
    return scan(folder, crop=16, channels=3)[0]  # of which one is broken


def test_an_example_is_coded_as_drawn_and_the_original_stays(pictures):
    codecs = (WEBP, JPEG)
    source, plain = Source(pictures, seed=5, codecs=codecs), Source(pictures, seed=5)
    kinds = set()
    for n in range(1015, 1045):
        example, expected = source[n], plain[n]
        coded = example.pop("coded")
        np.testing.assert_equal(example, expected)
        wanted, kind = expected["hr"], ()
        for position, codec in enumerate(codecs):
            if hash_of(5, n, 4, position) / 2**32 < codec.probability:
                low, high = codec.quality
                quality = low + hash_of(5, n, 5, position) % (high - low + 1)
                wanted, kind = coded_by_pillow(wanted, codec.codec, quality), (*kind, codec.codec)
        np.testing.assert_array_equal(coded, wanted)
        kinds.add(kind)
    assert kinds == {(), ("webp",), ("jpeg",), ("webp", "jpeg")}


def test_coded_crops_do_not_depend_on_batch_workers_or_where_it_was_resumed(pictures):
    source = Source(pictures, seed=3, codecs=(WEBP, JPEG))
    examples = [source[n] for n in range(16)]
    whole = jax.tree.map(lambda *parts: np.stack(parts), *examples)
    for options in (
        {"batch_size": 16},
        {"batch_size": 16, "workers": 2},
        {"batch_size": 8, "position": 8},
    ):
        (batch,) = collected(source, 1, **options)
        start = options.get("position", 0)
        np.testing.assert_equal(batch, jax.tree.map(lambda x, start=start: x[start:], whole))
    np.testing.assert_equal(pickle.loads(pickle.dumps(source))[9], examples[9])


def test_pictures_of_16_bits_are_refused(tmp_path, paint):
    paint(tmp_path / "hr" / "a.png", mode="I;16")
    pictures, _ = scan(tmp_path / "hr", crop=16, channels=1)
    with pytest.raises(ValueError, match="^data.codecs: got pictures of uint16, wanted 8-bit"):
        Source(pictures, seed=0, codecs=(JPEG,))


def test_a_run_codes_what_its_config_says(pictures):
    config = toy_config()
    data = msgspec.structs.replace(config.data, codecs=(WEBP, JPEG))
    config = msgspec.structs.replace(config, data=data)
    with pytest.raises(StopIteration) as opened:
        next(_open(config, pictures))
    assert opened.value.value.codecs == (WEBP, JPEG)


@dataclasses.dataclass(frozen=True)
class Doubling:
    """Makes LR of every other pixel, and twice the picture the target."""

    scale: int = 2
    levels: int = 0

    def apply(self, keys, hr):
        return hr[:, ::2, ::2], 2 * hr


def test_lr_is_made_of_the_source_and_the_target_of_the_original():
    keys = jax.random.split(jax.random.key(0), 2)
    hr, source = jax.random.uniform(jax.random.key(1), (2, 2, 8, 8, 3))
    lr, target, original = degrade(keys, hr, Doubling(), source=source)
    np.testing.assert_array_equal(lr, source[:, ::2, ::2])
    np.testing.assert_array_equal(target, 2 * hr)
    np.testing.assert_array_equal(original, hr)
