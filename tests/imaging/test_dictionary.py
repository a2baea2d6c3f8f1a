"""Sparse coding: it gains on bicubic, its parts against scikit-learn and closed forms."""

import sys

import numpy as np
import pytest
from sklearn.linear_model import OrthogonalMatchingPursuit

from jaxsr.imaging import dictionary
from jaxsr.imaging.color import rgb_to_ycbcr
from jaxsr.imaging.dictionary import Dictionary, fit
from jaxsr.imaging.resize import resize

FEW = {"scale": 3, "atoms": 24, "samples": 1500}


@pytest.fixture(scope="module")
def learned(leaves):
    return fit([leaves(90, channels=3, seed=1), leaves(80, seed=2)], **FEW)


def reduced(hr, scale=3):
    return resize(hr, (hr.shape[0] // scale, hr.shape[1] // scale)).clip(0, 1)


def decibel(sr, hr):
    return -10 * np.log10(np.square(sr - hr).mean())


def test_it_beats_bicubic_on_another_picture(leaves, learned):
    hr = leaves(90)
    bicubic = decibel(resize(reduced(hr), (90, 90)), hr)
    assert decibel(learned.enlarge(reduced(hr)), hr) > bicubic + 0.4


def test_the_same_seed_learns_the_same(leaves, learned):
    pictures = [leaves(90, channels=3, seed=1), leaves(80, seed=2)]
    again, other = fit(pictures, **FEW), fit(pictures, **FEW, seed=1)
    assert learned.features.shape == (24, learned.projection.shape[1])
    assert learned.details.shape == (24, 81)
    np.testing.assert_array_equal(again.details, learned.details)
    assert np.abs(other.details - learned.details).max() > 0.01


def test_bands_go_alone_and_rgb_by_its_luma(leaves, learned):
    lr = reduced(leaves(60, channels=4))
    sr = learned.enlarge(lr)
    assert sr.shape == (60, 60, 4) and sr.dtype == np.float32
    for band in range(4):
        alone = learned.enlarge(lr[..., band : band + 1])
        np.testing.assert_allclose(sr[..., band : band + 1], alone, atol=1e-6)
    ycbcr = rgb_to_ycbcr(learned.enlarge(lr[..., :3]))
    expected = rgb_to_ycbcr(lr[..., :3])
    luma = learned.enlarge(expected[..., :1])
    chroma = resize(expected[..., 1:], (60, 60))
    np.testing.assert_allclose(ycbcr[..., :1], luma, atol=1e-5)
    np.testing.assert_allclose(ycbcr[..., 1:], chroma, atol=1e-5)


def test_bands_teach_one_by_one(leaves):
    """As many patches of each band as of a picture of its own, and so the same dictionary."""
    bands = leaves(60, channels=2, seed=1)
    alone = [bands[..., :1], bands[..., 1:]]
    few = {"scale": 2, "atoms": 8, "samples": 200}
    learned = fit([bands], **few)
    np.testing.assert_array_equal(learned.details, fit(alone, **few).details)
    assert learned.enlarge(reduced(bands, 2)).shape == (60, 60, 2)


def test_more_pictures_than_samples_give_a_patch_each(leaves):
    pictures = [leaves(20, seed=seed) for seed in range(6)]
    learned = fit(pictures, scale=2, atoms=4, samples=5)
    assert learned.features.shape[0] == 4
    with pytest.raises(ValueError, match="6 pictures gave 6 patches for 8 atoms; give more"):
        fit(pictures, scale=2, atoms=8, samples=5)


def test_overlapping_patches_are_averaged_at_their_places():
    rng = np.random.default_rng(0)
    ramps = rng.random((1, 16)) * 0 + np.arange(16.0)
    every = Dictionary(2, 2, 1, np.ones((64, 1)), np.ones((1, 1)), ramps)
    lr = rng.random((4, 5, 1))
    enlarged = resize(lr, (8, 10))
    features = dictionary._feature_maps(enlarged[..., 0])
    total, count = np.zeros((8, 10)), np.zeros((8, 10))
    for y in range(0, 5, 2):
        for x in range(0, 7, 2):
            code = features[y : y + 4, x : x + 4].sum()
            total[y : y + 4, x : x + 4] += code * ramps.reshape(4, 4)
            count[y : y + 4, x : x + 4] += 1
    np.testing.assert_allclose(every.enlarge(lr)[..., 0], enlarged[..., 0] + total / count)


def test_features_are_the_differences_of_the_paper():
    y, x = np.mgrid[:7, :8].astype(float)
    inner = dictionary._feature_maps(3 * y**2 + 5 * x**2 + 2 * x)[2:-2, 2:-2]
    y, x = y[2:-2, 2:-2], x[2:-2, 2:-2]
    expected = [12 * y, 20 * x + 4, np.full_like(y, 12), np.full_like(y, 20)]
    np.testing.assert_allclose(inner, np.stack(expected, axis=-1))


def test_codes_are_those_of_matching_pursuit():
    rng = np.random.default_rng(0)
    atoms = rng.normal(size=(12, 8))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    components = np.vstack([rng.normal(size=(5, 8)), np.zeros(8)])
    codes = dictionary._sparse_codes(components, atoms, 3)
    assert ((codes != 0).sum(axis=1) == [3] * 5 + [0]).all()
    pursuit = OrthogonalMatchingPursuit(n_nonzero_coefs=3, fit_intercept=False)
    for row in range(5):
        expected = pursuit.fit(atoms.T, components[row]).coef_
        np.testing.assert_allclose(codes[row], expected, atol=1e-9)


def test_projection_keeps_the_energy():
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    scales = np.sqrt([0.9, 0.0985, 0.001, 0.0003, 0.0001, 0.0001])
    features = np.vstack([basis * scales[:, None], -basis * scales[:, None]])
    projection = dictionary._principal_components(features)
    np.testing.assert_allclose(np.abs(basis[:3] @ projection), np.eye(3), atol=1e-6)


def test_what_cannot_be_learned_is_refused(leaves, learned, monkeypatch):
    with pytest.raises(ValueError, match="1 pictures gave 36 patches for 512 atoms; give more"):
        fit([leaves(32)], scale=4)
    with pytest.raises(ValueError, match="0 pictures gave 0 patches"):
        fit([], scale=4)
    with pytest.raises(ValueError, match=r"shape \(2, 9, 1\) holds no patch of 3 x 3"):
        learned.enlarge(np.zeros((2, 9, 1), np.float32))
    monkeypatch.setitem(sys.modules, "sklearn", None)
    for call in (lambda: fit([], **FEW), lambda: learned.enlarge(leaves(9))):
        with pytest.raises(ValueError, match=r'absent; pip install "\.\[sparse\]"'):
            call()
