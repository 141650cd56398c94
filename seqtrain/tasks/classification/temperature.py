"""Temperature scaling: one number, fitted on validation after training, that divides the logits of a classifier.

    p = softmax(z / T),    T = argmin over T of the mean of -log p_y on validation

It changes how sure the model is, and never which class is the most probable. The mean is convex in 1/T.

Shapes: N rows, C classes.

Source: Guo et al. 2017, section 4.2.
"""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from seqtrain.errors import RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import write_json
from seqtrain.tasks.artifacts import read_artifact

FILE = "temperature.json"
LARGEST = 100.0
"""Temperatures are sought between 1 / LARGEST and LARGEST."""


@dataclass(frozen=True)
class Temperature:
    """The temperature of a checkpoint, and what it was fitted on."""

    value: float
    """The T that divides the logits."""
    rows: int
    """Number of rows of validation that it was fitted on."""
    error_before: float
    """Calibration error on these rows without it, in [0, 1]."""
    error_after: float
    """Calibration error on these rows with it, in [0, 1]."""
    found: bool
    """Whether the loss on validation has a minimum within the range; if not, the value is 1."""

    def remark(self) -> str:
        """The temperature in words, for the reader of the scores."""
        if not self.found:
            return f"1, since the loss on the {self.rows:,} rows of validation has no minimum at any other"
        change = f"calibration_error there {self.error_before:.4f} before, {self.error_after:.4f} with it"
        return f"logits are divided by {self.value:.4g}, fitted on {self.rows:,} rows of validation; {change}"


@dataclass(frozen=True)
class SavedTemperature:
    """temperature.json."""

    step: int
    """Step of the checkpoint that it belongs to."""
    temperature: Temperature


def best_temperature(logits: NDArray[np.float64], targets: NDArray[np.integer]) -> float | None:
    """The temperature with the lowest mean negative log-likelihood.

    It is the root of the derivative in b = 1/T, the mean of (sum_c p_c z_c) - z_y with p = softmax(b z), which rises
    with b.

    Args:
        logits: unscaled scores of each class, (N, C), N at least 1.
        targets: true classes, (N,), in [0, C).

    Returns:
        The temperature; None if there is no root in the range. So it is if all rows are classified correctly, when the
        likelihood rises for ever as T falls, or if the model is no better than chance.
    """
    from scipy.optimize import brentq

    centred = logits - logits.max(axis=1, keepdims=True)
    true = centred[np.arange(len(targets)), targets]

    def slope(b: float) -> float:
        weights = np.exp(b * centred)
        return float(np.mean((weights * centred).sum(axis=1) / weights.sum(axis=1) - true))

    if slope(1 / LARGEST) >= 0 or slope(LARGEST) <= 0:
        return None
    return 1 / float(brentq(slope, 1 / LARGEST, LARGEST, xtol=1e-12))


def save(temperature: Temperature, run: RunDirectory, step: int) -> None:
    """Write a temperature, with the step of the checkpoint, into the directory of a run."""
    write_json(run.path / FILE, asdict(SavedTemperature(step, temperature)))


def load(run: RunDirectory, step: int) -> Temperature:
    """Read the temperature that ``save`` wrote for the checkpoint of a step.

    Raises:
        RunError: if the file is missing or damaged, or belongs to another checkpoint.
    """
    path, remedy = run.path / FILE, f"fit the temperature again by seqtrain resume={run.path}"
    saved = read_artifact(SavedTemperature, path, step, remedy, needed="task.temperature=true")
    if not 1 / LARGEST <= saved.temperature.value <= LARGEST:
        raise RunError(f"{path}: temperature.value: {saved.temperature.value:g} is no temperature; {remedy}")
    return saved.temperature
