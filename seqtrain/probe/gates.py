"""What the gates and states of a recurrent layer do over the probe batch.

Shapes: B batch, T time, H hidden, N real steps of all rows.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from seqtrain.probe.cells import CANDIDATE

GATE_END = 0.1
"""A gate below this value, or above 1 minus it, sits at its end (Karpathy et al. 2015, section 4.2)."""

TANH_END = 0.9
"""A tanh whose absolute value is above this sits at its end: its slope there is below 0.19."""

DEAD_SPREAD = 1e-3
"""A unit is dead if its standard deviation over all real steps is below this."""


class TimeConstants(NamedTuple):
    """Steps in which a state falls to 1/e of its value by the gate that keeps it, over units."""

    median: float
    low: float
    """First quartile."""
    high: float
    """Third quartile."""


def time_constants(keep: Tensor, real: Tensor) -> TimeConstants:
    """Time constants -1 / log f of the units of a layer, with f the geometric mean of the keeping gate over steps.

    Args:
        keep: forget gate of an LSTM, or what a GRU keeps of its state, (B, T, H).
        real: true at real steps, (B, T).

    Returns:
        The quartiles over units, in steps; infinite where a gate is always 1.

    Source: Tallec and Ollivier 2018, "Can recurrent neural networks warp time?", section 2.
    """
    rate = in_fp64(keep[real]).log().mean(0).abs()  # of -0 the time would be negative
    shares = torch.tensor([0.5, 0.25, 0.75], dtype=torch.double)
    quartiles = torch.quantile(1 / rate, shares, interpolation="nearest")  # between infinities there is no other
    return TimeConstants(*quartiles.tolist())


def saturated_gates(gates: dict[str, Tensor], real: Tensor) -> float:
    """Share of the values of all sigmoid gates that sit at an end; NaN without such gates."""
    sigmoids = [gate[real] for name, gate in gates.items() if name != CANDIDATE]
    if not sigmoids:
        return float("nan")
    values = torch.stack(sigmoids)
    return float(((values < GATE_END) | (values > 1 - GATE_END)).float().mean())


def saturated_tanh(gates: dict[str, Tensor], real: Tensor) -> float:
    """Share of the values of the candidate's tanh that sit at an end; NaN without a tanh."""
    return float((gates[CANDIDATE][real].abs() > TANH_END).float().mean()) if CANDIDATE in gates else float("nan")


def dead_units(outputs: Tensor, real: Tensor) -> float:
    """Share of units whose output (B, T, H) is nearly the same at all real steps of all rows."""
    return float((in_fp64(outputs[real]).std(0, correction=0) < DEAD_SPREAD).float().mean())


def norm_drift(outputs: Tensor, lengths: Tensor) -> float:
    """Mean norm of the state in the last quarter of the rows over that in the second; NaN for rows below 4 steps.

    The first quarter is left out, since a state starts at zero.
    """
    norms, lengths = in_fp64(outputs).norm(dim=-1), lengths.cpu()
    step = torch.arange(norms.shape[1])
    long = lengths[:, None] >= 4
    second = long & (step >= lengths[:, None] // 4) & (step < lengths[:, None] // 2)
    last = long & (step >= lengths[:, None] - lengths[:, None] // 4) & (step < lengths[:, None])
    return float(norms[last].mean() / norms[second].mean()) if bool(long.any()) else float("nan")


def mean_norm(outputs: Tensor, real: Tensor) -> float:
    """Mean norm of the state over all real steps."""
    return float(in_fp64(outputs[real]).norm(dim=-1).mean())


def in_fp64(values: Tensor) -> Tensor:
    """Values in fp64 on the CPU, since some devices have no fp64."""
    return values.cpu().double()
