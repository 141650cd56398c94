"""Baselines of the classification of series: the scores that a model must beat to be worth its training.

Shapes: N series of train, M of another split, T steps of one, D features, C classes.
"""

import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from seqtrain.tasks.classification.baselines import Labels, spread

log = logging.getLogger(__name__)

Series = Sequence[np.ndarray]
MAJORITY, EUCLIDEAN, DTW, MINIROCKET = "majority class", "1-NN Euclidean", "1-NN DTW", "MiniRocket + ridge"
MOST = {EUCLIDEAN: 2e11, DTW: 5e9, MINIROCKET: 5e6}
"""Work above which a baseline is left out. Euclidean: pairs of series times steps; DTW: pairs times the product of both
lengths, at 5 to 10 ns each; MiniRocket: series times steps, at about 20 us each."""


def baseline_probabilities(
    train: Series, labels: Labels, num_classes: int, splits: Mapping[str, Series]
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Fit the baselines on train and predict the classes of the series of every split.

    - ``majority class``: the class frequencies of train, whatever the series.
    - ``1-NN Euclidean``: the class of the nearest series of train, by the mean squared distance over the steps that
      both have.
    - ``1-NN DTW``: the same by dynamic time warping without a window, if dtaidistance is installed.
    - ``MiniRocket + ridge``: see ``minirocket``; the ridge parameter is chosen by leave-one-out on train.

    Those that would take minutes (``MOST``) are left out, and the log says so.

    Args:
        train: series of train, (T, D) each, at least 1.
        labels: their classes, (N,), in [0, C).
        num_classes: C.
        splits: series to classify, by name of the split.

    Returns:
        Class probabilities (M, C) by baseline and split. Those of a nearest neighbour are its class, and the class
        frequencies of train with the weight of one series.
    """
    priors = np.bincount(labels, minlength=num_classes) / len(labels)
    found = {MAJORITY: {split: np.tile(priors, (len(series), 1)) for split, series in splits.items()}}
    rows = sum(map(len, splits.values()))
    steps, others = mean_length(train), mean_length([one for series in splits.values() for one in series])
    work = {EUCLIDEAN: rows * len(train) * min(steps, others), DTW: rows * len(train) * steps * others,
            MINIROCKET: len(train) * steps + rows * others}  # fmt: skip
    fits: dict[str, Callable[[], dict[str, NDArray[np.float64]]]] = {
        EUCLIDEAN: lambda: nearest(squared_distances, train, labels, priors, splits),
        DTW: lambda: nearest(warped_distances, train, labels, priors, splits),
        MINIROCKET: lambda: ridge_on_convolutions(train, labels, num_classes, splits),
    }
    for name, fit in fits.items():
        if work[name] > MOST[name]:
            log.info("baseline %s: left out, for it would take minutes on so many series of such lengths", name)
        elif name == DTW and not has_warping():
            log.info(
                "baseline %s: left out; pip install 'seqtrain[series]' installs dtaidistance, which computes it", name
            )
        else:
            found[name] = fit()
    return found


def mean_length(series: Series) -> float:
    """Mean number of steps."""
    return float(np.mean([len(one) for one in series]))


def nearest(
    distances: Callable[[Series, Series], np.ndarray],
    train: Series,
    labels: Labels,
    priors: NDArray[np.float64],
    splits: Mapping[str, Series],
) -> dict[str, NDArray[np.float64]]:
    """Probabilities of each split from the class of the nearest series of train; of equally near ones, the first."""
    found = {}
    for split, series in splits.items():
        classes = labels[distances(series, train).argmin(1)]
        found[split] = (np.eye(len(priors))[classes] * len(train) + priors) / (len(train) + 1)
    return found


def squared_distances(series: Series, train: Series) -> np.ndarray:
    """Mean squared difference over the steps that both series of a pair have, (M, N)."""
    lengths, of_train = (np.array([len(one) for one in part]) for part in (series, train))
    found = np.empty((len(series), len(train)))
    whole = np.zeros((len(train), of_train.max(), train[0].shape[1]), dtype=np.float32)
    for row, one in zip(whole, train, strict=True):
        row[: len(one)] = one
    real = np.arange(whole.shape[1]) < of_train[:, None]
    for i, one in enumerate(series):
        shared = min(int(lengths[i]), whole.shape[1])
        squares = np.square(whole[:, :shared] - one[:shared]).sum(-1) * real[:, :shared]
        found[i] = squares.sum(1) / np.minimum(of_train, shared)
    return found


def has_warping() -> bool:
    """Whether dtaidistance is installed, with its compiled part."""
    try:
        from dtaidistance import dtw
    except ImportError:
        return False
    return dtw.try_import_c() is not False


def warped_distances(series: Series, train: Series) -> np.ndarray:
    """Distance of each pair by dynamic time warping without a window, (M, N); all features are warped alike."""
    from dtaidistance import dtw, dtw_ndim

    both = [np.ascontiguousarray(one, dtype=np.float64) for one in (*series, *train)]
    M, D = len(series), both[0].shape[1]
    block = ((0, M), (M, len(both)))
    if D == 1:
        compact = dtw.distance_matrix_fast([one[:, 0] for one in both], block=block, compact=True, parallel=False)
    else:
        compact = dtw_ndim.distance_matrix_fast(both, ndim=D, block=block, compact=True, parallel=False)
    return np.asarray(compact).reshape(M, len(train))


def ridge_on_convolutions(
    train: Series, labels: Labels, num_classes: int, splits: Mapping[str, Series]
) -> dict[str, NDArray[np.float64]]:
    """Probabilities of each split by a ridge classifier on the features of MiniRocket: the softmax of its scores."""
    from scipy.special import softmax
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from seqtrain.tasks.classification.minirocket import MiniRocket

    transform = MiniRocket(train)
    model = make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=np.logspace(-3, 3, 10)))
    model.fit(transform.transform(train), labels)
    found = {}
    for split, series in splits.items():
        scores = model.decision_function(transform.transform(series)).astype(np.float64)
        scores = np.stack([-scores, scores], axis=1) if scores.ndim == 1 else scores
        found[split] = spread(softmax(scores, axis=1), model.classes_, num_classes)
    return found
