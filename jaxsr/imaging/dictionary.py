"""Super-resolution by sparse coding over two coupled dictionaries, on the host.

J. Yang et al., "Image super-resolution via sparse representation" (2010), in the form of R. Zeyde,
M. Elad and M. Protter, "On single image scale-up using sparse-representations" (2010): a patch of
the bicubic enlargement is a few atoms of one dictionary, and what it lacks of the original is the
same combination of the atoms of the other.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from jaxsr.imaging.color import luma, rgb_to_ycbcr, ycbcr_to_rgb
from jaxsr.imaging.resize import resize

_ENERGY = 0.999  # the share that the principal components of the features keep (Zeyde, section 3.2)
_PENALTY = 0.3  # of the L1 norm of the codes of features of length 1 while the atoms are learned
_FLAT = 0.3  # features shorter than this share of the median one teach nothing but noise
_RIDGE = 1e-6  # keeps the least squares of rarely used atoms solvable


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Coupled dictionaries of A atoms for patches of `patch` x `patch` LR pixels.

    `projection` [F, P] takes the features of a patch to P principal components, `features` [A, P]
    are the atoms there, of length 1, and `details` [A, (scale * patch)^2] the atoms in pixels.
    """

    scale: int
    patch: int
    nonzero: int
    projection: np.ndarray
    features: np.ndarray
    details: np.ndarray

    def enlarge(self, lr: np.ndarray) -> np.ndarray:
        """Enlarges a float picture [H, W, C] in [0, 1] `scale` times, unclipped, in its dtype.

        Of RGB, Y is enlarged so and the chroma bicubically; of other pictures each band by itself.
        """
        if lr.ndim != 3 or min(lr.shape[:2]) < self.patch:
            raise ValueError(
                f"a picture of shape {lr.shape} holds no patch of {self.patch} x {self.patch}; "
                "give [H, W, C] of that size or more"
            )
        enlarged = resize(lr, (lr.shape[0] * self.scale, lr.shape[1] * self.scale))
        if lr.shape[2] != 3:
            bands = [enlarged[..., band] for band in range(lr.shape[2])]
            details = np.stack([self._details(band) for band in bands], axis=-1)
            return enlarged + details.astype(lr.dtype)
        ycbcr = rgb_to_ycbcr(enlarged)
        ycbcr[..., 0] += self._details(ycbcr[..., 0])
        return ycbcr_to_rgb(ycbcr).astype(lr.dtype)

    def _details(self, enlarged: np.ndarray) -> np.ndarray:
        """Gives what a bicubic enlargement [sH, sW] lacks, the mean of overlapping patches."""
        features = _patches(_feature_maps(enlarged), self.patch, self.scale)
        rows, columns = features.shape[:2]
        components = features.reshape(rows * columns, -1) @ self.projection
        codes = _sparse_codes(components, self.features, self.nonzero)
        side = self.patch * self.scale
        patches = (codes @ self.details).reshape(rows, columns, side, side)
        total, count = np.zeros(enlarged.shape), np.zeros(enlarged.shape)
        for y, x in np.ndindex(side, side):
            place = (
                slice(y, y + rows * self.scale, self.scale),
                slice(x, x + columns * self.scale, self.scale),
            )
            total[place] += patches[:, :, y, x]
            count[place] += 1
        return total / count


def fit(
    pictures: Sequence[np.ndarray],
    *,
    scale: int,
    atoms: int = 512,
    patch: int = 3,
    nonzero: int = 3,
    samples: int = 30_000,
    seed: int = 0,
) -> Dictionary:
    """Learns coupled dictionaries from float pictures [H, W, C] in [0, 1]: of RGB, from Y.

    Of other pictures, from each band. `samples` patches of `patch` x `patch` LR pixels are drawn,
    as many of each picture but one at least, and coded by `nonzero` of the `atoms`. Raises
    ValueError where scikit-learn is absent.
    """
    _check_sklearn()
    rng = np.random.default_rng(seed)
    planes = [plane for picture in pictures for plane in _planes(picture)]
    each = max(1, samples // max(len(planes), 1))
    drawn = [_training_patches(plane, scale, patch, each, rng) for plane in planes]
    found = sum(len(features) for features, _ in drawn)
    if found < atoms:
        raise ValueError(
            f"{len(pictures)} pictures gave {found} patches for {atoms} atoms; "
            "give more or larger pictures, or fewer atoms"
        )
    features, details = (np.concatenate(part) for part in zip(*drawn, strict=True))
    projection = _principal_components(features)
    components = features @ projection
    learned = _learn(components, atoms, seed)
    codes = _sparse_codes(components, learned, nonzero)
    power = codes.T @ codes
    power += _RIDGE * np.trace(power) / atoms * np.eye(atoms)
    coupled = np.linalg.solve(power, codes.T @ details)
    return Dictionary(scale, patch, nonzero, projection, learned, coupled)


def _learn(components: np.ndarray, atoms: int, seed: int) -> np.ndarray:
    """Learns atoms [A, P] of length 1 from the directions of components [N, P]."""
    from sklearn.decomposition import MiniBatchDictionaryLearning
    from sklearn.exceptions import ConvergenceWarning

    length = np.linalg.norm(components, axis=1, keepdims=True)
    telling = length[:, 0] > _FLAT * np.median(length)
    options: dict[str, Any] = {"alpha": _PENALTY, "fit_algorithm": "cd", "batch_size": 256}
    options |= {"max_iter": 1, "tol": 0, "max_no_improvement": None}  # one whole pass
    learner = MiniBatchDictionaryLearning(atoms, random_state=seed, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of single codes, in the last digits
        learned = learner.fit(components[telling] / length[telling]).components_
    return learned / np.linalg.norm(learned, axis=1, keepdims=True)


def _check_sklearn() -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise ValueError(
            'dictionary learning needs scikit-learn, which is absent; pip install ".[sparse]"'
        ) from error


def _planes(picture: np.ndarray) -> list[np.ndarray]:
    """Gives what is learnt from of [H, W, C], each [H, W, 1]."""
    if picture.shape[-1] in (1, 3):
        return [luma(picture)]
    return np.split(picture, picture.shape[-1], axis=-1)


def _training_patches(
    plane: np.ndarray, scale: int, patch: int, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws `count` patches of [H, W, 1]: their features, and what bicubic enlargement lacks."""
    height, width = (n // scale * scale for n in plane.shape[:2])
    hr = plane[:height, :width]
    lr = resize(hr, (height // scale, width // scale)).clip(0, 1)
    enlarged = resize(lr, (height, width))
    features = _patches(_feature_maps(enlarged[..., 0]), patch, scale)
    details = _patches(hr - enlarged, patch, scale)
    places = features.shape[0] * features.shape[1]
    chosen = rng.permutation(places)[:count]
    y, x = np.unravel_index(chosen, features.shape[:2])
    features, details = (part[y, x].reshape(len(chosen), -1) for part in (features, details))
    return features.astype(float), details.astype(float)


def _feature_maps(image: np.ndarray) -> np.ndarray:
    """Gives first and second differences of [H, W] along each axis, [H, W, 4] (Yang, section 4)."""
    padded = np.pad(image, 2, mode="symmetric")
    height, width = image.shape

    def moved(y: int, x: int) -> np.ndarray:
        return padded[2 + y : 2 + y + height, 2 + x : 2 + x + width]

    first = [moved(1, 0) - moved(-1, 0), moved(0, 1) - moved(0, -1)]
    second = [moved(2, 0) + moved(-2, 0), moved(0, 2) + moved(0, -2)]
    return np.stack([*first, *(pair / 2 - image for pair in second)], axis=-1)


def _patches(maps: np.ndarray, patch: int, scale: int) -> np.ndarray:
    """Cuts [H, W, M] into patches at every LR pixel: [rows, columns, M, side, side], a view."""
    side = patch * scale
    return sliding_window_view(maps, (side, side), axis=(0, 1))[::scale, ::scale]


def _principal_components(features: np.ndarray) -> np.ndarray:
    """Gives the orthonormal columns [F, P] that keep `_ENERGY` of features [N, F]."""
    energy, vectors = np.linalg.eigh(features.T @ features)
    kept = np.cumsum(energy[::-1]) < _ENERGY * energy.sum()
    return vectors[:, ::-1][:, : kept.sum() + 1]


def _sparse_codes(components: np.ndarray, atoms: np.ndarray, nonzero: int) -> np.ndarray:
    """Codes [N, P] by `nonzero` of [A, P] atoms each, by orthogonal matching pursuit: [N, A]."""
    _check_sklearn()
    from sklearn.linear_model import orthogonal_mp_gram

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # flat patches need fewer atoms
        gram, products = atoms @ atoms.T, atoms @ components.T
        codes: Any = orthogonal_mp_gram(gram, products, n_nonzero_coefs=nonzero)
    return codes.T.reshape(len(components), len(atoms))
