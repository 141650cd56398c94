"""The traffic light: what the health panel says in words. Each rule has a threshold, a source and a remedy.

Imports no torch.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Values = Mapping[str, float]  # tag -> value, see seqtrain.probe.tags


@dataclass(frozen=True)
class Rule:
    """A fault that a panel can show."""

    threshold: float
    """Where the fault begins; see ``check``."""
    source: str
    """Where the threshold comes from."""
    check: Callable[[Values, float], str | None]
    """What to say, from the values and the threshold: what was measured and the remedy; None without the fault."""


def beyond(
    values: Values, measure: str, threshold: float, size: Callable[[float], float] = float
) -> tuple[str, float] | None:
    """The part of the model whose value of a measure is furthest above a threshold, and that value; None if none is.

    Args:
        values: of the panel.
        measure: first two parts of the tags.
        threshold: the threshold.
        size: of a value, to compare with the threshold.

    Returns:
        The part, with the number of others above the threshold, and its value.
    """
    found = {tag.removeprefix(f"{measure}/"): value for tag, value in values.items() if tag.startswith(f"{measure}/")}
    above = {part: value for part, value in found.items() if size(value) > threshold}
    if not above:
        return None
    worst = max(above, key=lambda part: size(above[part]))
    others = f" (and {len(above) - 1} more)" if len(above) > 1 else ""
    return worst + others, above[worst]


def ratio(value: float) -> float:
    """How far a ratio is from 1, in either direction."""
    return max(value, 1 / value) if value > 0 else float("inf")


def forgets(values: Values, threshold: float) -> str | None:
    """The recurrence of every layer remembers less than a share of the rows."""
    memories = [value for tag, value in values.items() if tag.startswith("memory/recurrence/")]
    length = values.get("memory/row_length", 0.0)
    if not memories or max(memories) >= threshold * length:
        return None
    gated = any(tag.startswith("gates/time_constant") for tag in values)
    attends = any(tag.startswith("attention/") for tag in values)
    remedies = ["model.chrono_init"] if gated else ["a GRU", "an LSTM"]
    remedies += [] if attends else ["attention"]
    return (
        f"the recurrence forgets after {max(memories):.0f} steps, and half of the rows are of {length:.0f} or more: "
        f"try {' or '.join(remedies)}"
    )


def explodes(values: Values, threshold: float) -> str | None:
    """Gradients grow with each step back."""
    if (found := beyond(values, "memory/growth", threshold)) is None:
        return None
    return (
        f"gradients grow by {100 * math.expm1(found[1]):.1f} % with each step back in {found[0]}: set "
        "trainer.max_grad_norm, lower trainer.lr, or use model.recurrent_init=orthogonal"
    )


def saturated_tanh(values: Values, threshold: float) -> str | None:
    """Units sit at the ends of their tanh."""
    if (found := beyond(values, "gates/saturated_tanh", threshold)) is None:
        return None
    return (
        f"{100 * found[1]:.0f} % of the tanh values are beyond 0.9 in {found[0]}: lower trainer.lr or the scale of the "
        "inputs"
    )


def saturated_gates(values: Values, threshold: float) -> str | None:
    """Nearly all gates sit at an end."""
    if (found := beyond(values, "gates/saturated", threshold)) is None:
        return None
    return (
        f"{100 * found[1]:.0f} % of the gate values are below 0.1 or above 0.9 in {found[0]}: lower trainer.lr, "
        "model.chrono_init or model.forget_bias"
    )


def dead_units(values: Values, threshold: float) -> str | None:
    """Units that never change."""
    if (found := beyond(values, "gates/dead_units", threshold)) is None:
        return None
    return (
        f"{100 * found[1]:.0f} % of the units never change in {found[0]}: lower trainer.lr, or use a smaller "
        "model.hidden_size"
    )


def drifts(values: Values, threshold: float) -> str | None:
    """The norm of the state depends on how far a row is read."""
    if (found := beyond(values, "gates/norm_drift", threshold, ratio)) is None:
        return None
    return (
        f"the norm of the state changes {found[1]:.2g}-fold from the second quarter of a row to its last in "
        f"{found[0]}: rows longer than those of train will be read badly; try model.layer_norm=true"
    )


def shifted(values: Values, threshold: float) -> str | None:
    """The states differ between train and validation."""
    if (found := beyond(values, "gates/norm_shift", threshold, ratio)) is None:
        return None
    return (
        f"the norm of the state on validation is {found[1]:.2g} times that on train in {found[0]}: see whether the two "
        "splits are alike, and scaled alike"
    )


def attends_to_padding(values: Values, threshold: float) -> str | None:
    """Attention on padding."""
    if (found := beyond(values, "attention/padding", threshold)) is None:
        return None
    return f"{100 * found[1]:.2g} % of the attention is on padding in {found[0]}: the model must mask it"


def attends_evenly(values: Values, threshold: float) -> str | None:
    """Attention that is a plain mean."""
    if (found := beyond(values, "attention/entropy", threshold)) is None:
        return None
    return (
        f"the attention is nearly a plain mean in {found[0]} (relative entropy {found[1]:.3f}): its weights tell "
        "nothing; train longer, or compare with a model without it"
    )


def heads_agree(values: Values, threshold: float) -> str | None:
    """Heads that all do the same."""
    if (found := beyond(values, "attention/agreement", threshold)) is None:
        return None
    return f"the heads attend to the same steps in {found[0]} (agreement {found[1]:.3f}): fewer heads may do as well"


def clips(values: Values, threshold: float) -> str | None:
    """Most steps are clipped."""
    if (value := values.get("optimisation/clipped", 0.0)) <= threshold:
        return None
    return f"{100 * value:.0f} % of the steps were clipped: raise trainer.max_grad_norm, or lower trainer.lr"


def moves_much(values: Values, threshold: float) -> str | None:
    """Updates that are large for the weights."""
    if (found := beyond(values, "optimisation/update_ratio", threshold)) is None:
        return None
    return f"a single step changed the weights by {100 * found[1]:.0f} % in {found[0]}: lower trainer.lr"


RULES = {
    "forgets": Rule(0.25, "Tallec and Ollivier 2018, section 2: time constants far below the dependencies", forgets),
    "explodes": Rule(0.01, "Pascanu et al. 2013, section 2: above 0; this is e-fold in 100 steps", explodes),
    "saturated_tanh": Rule(0.5, "Glorot and Bengio 2010, section 3.2: layers at +-1 hardly learn", saturated_tanh),
    "saturated_gates": Rule(0.9, "Karpathy et al. 2015, section 4.2: below 0.1 or above 0.9", saturated_gates),
    "dead_units": Rule(0.1, "Maas et al. 2013, section 3: units that never change", dead_units),
    "drifts": Rule(3.0, "chosen here: a change that is visible before any score falls", drifts),
    "shifted": Rule(1.5, "chosen here: splits drawn from the same rows stay well below it", shifted),
    "attends_to_padding": Rule(1e-6, "padding never counts; this is above rounding", attends_to_padding),
    "attends_evenly": Rule(0.98, "Jain and Wallace 2019, section 4.2: against uniform weights", attends_evenly),
    "heads_agree": Rule(0.99, "Michel et al. 2019: heads that can be removed", heads_agree),
    "clips": Rule(0.95, "Pascanu et al. 2013, section 3.2: clip at 0.5 to 10 times the mean norm", clips),
    "moves_much": Rule(0.1, "Karpathy, CS231n, 'Babysitting': about 0.001 is usual; this is a hundredfold", moves_much),
}
"""The rules by name, the most telling first."""


def findings(values: Values) -> dict[str, str]:
    """What the values of a panel say against a model, by rule; empty if nothing, a green light."""
    said = {name: rule.check(values, rule.threshold) for name, rule in RULES.items()}
    return {name: text for name, text in said.items() if text is not None}
