"""The tags of the health panel, and what each says. Imports no torch.

A tag is ``probe/group/measure``, or ``probe/group/measure/part`` with the part of the model that was measured, such as
``encoder1`` or ``encoder1_backward`` for a recurrent layer. Within this package the tags go without ``probe/``.
"""

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

PREFIX = "probe/"
"""Begin of all tags of the panel."""

GROUPS = ("memory", "gates", "attention", "optimisation")
"""First parts of the tags, in the order in which they are best read."""

DESCRIPTIONS = {
    "memory/row_length": "Median number of real steps of the rows of the probe batch, to compare the memories with.",
    "memory/inputs": "Lag in steps from which the gradient of a row's last prediction with respect to the embedded "
    "inputs stays below 1 % of its largest norm: what lies further back hardly changes the prediction.",
    "memory/loss": "Lag in steps from which the gradient of a row's last prediction with respect to the states of this "
    "layer stays below 1 % of its largest norm, by the recurrence and by attention or pooling together.",
    "memory/recurrence": "The same lag for the last state of this layer alone, which only the recurrence carries: how "
    "many steps the layer itself remembers. Well below memory/row_length, the start of a row is forgotten.",
    "memory/growth": "Mean change of the log norm of the gradient per step back through this layer, in nats (the "
    "largest Lyapunov exponent along the probe batch). Far below 0 gradients vanish; above 0 they explode.",
    "memory/jacobian": "Median over steps of the largest singular value of the Jacobian of one step of this layer. "
    "Below 1 every step shrinks every gradient.",
    "memory/spectral_radius": "Largest absolute eigenvalue of the matrix that maps the state of this layer into its "
    "candidate (its only recurrent matrix if it has no gates).",
    "memory/singular_value": "Largest singular value of the same matrix; without gates, above 1 is needed for "
    "gradients to explode.",
    "gates/time_constant": "Median over units of -1 / log of the gate that keeps the state: the steps in which an "
    "undisturbed state falls to 37 %. Compare it with memory/row_length.",
    "gates/time_constant_low": "First quartile over units of the time constants.",
    "gates/time_constant_high": "Third quartile over units of the time constants.",
    "gates/saturated": "Share of the values of sigmoid gates below 0.1 or above 0.9. Near 1 the gates hardly learn.",
    "gates/saturated_tanh": "Share of the values of the candidate's tanh (the state of a plain RNN) beyond 0.9 in "
    "absolute value. Above 0.5 the layer hardly learns: lower the learning rate or the scale of the inputs.",
    "gates/dead_units": "Share of units whose output is the same at all steps of all rows. They do nothing.",
    "gates/norm_drift": "Mean norm of the state in the last quarter of a row over that in the second quarter. Far "
    "from 1 the state drifts with the length of a row.",
    "gates/norm_shift": "Mean norm of the state on rows of validation over that on rows of train. Far from 1 the two "
    "differ.",
    "attention/entropy": "Entropy of the attention over that of equal weights: 1 is a plain mean, 0 a single step.",
    "attention/padding": "Share of the attention on padding. It must be 0.",
    "attention/first": "Share of the attention on the first step.",
    "attention/last": "Share of the attention on the last step that a query sees.",
    "attention/punctuation": "Share of the attention on tokens without a letter or a digit.",
    "attention/distance": "Mean distance in steps between a step and what it attends to.",
    "attention/agreement": "How alike the heads are: 1 if they attend to the same, 0 if no two share a step.",
    "optimisation/update_ratio": "Norm of the last update of this part over the norm of its weights. About 0.001 is "
    "usual at the highest learning rate; far above 0.01 training is unstable, far below 0.0001 the part hardly moves.",
    "optimisation/clipped": "Share of the steps since the last entry whose gradient was clipped "
    "(trainer.max_grad_norm). Near 1 clipping, not the learning rate, sets the size of the updates.",
    "optimisation/noise_scale": "Gradient noise scale in rows: with far fewer rows in a step the gradient is mostly "
    "noise, and with far more the further rows add little. Left out where noise hides the gradient.",
    "gradient_by_lag": "Norm of the gradient of a prediction of the best checkpoint with respect to the input of each "
    "step back: how far back the model is trained to look.",
    "health": "What the panel of the best checkpoint says against the model, with remedies.",
}
"""``group/measure`` -> one or two sentences."""


def tagged(named: Mapping[str, T]) -> dict[str, T]:
    """Values by their whole tag, as runs store them."""
    return {PREFIX + name: value for name, value in named.items()}


def description(tag: str) -> str:
    """What a whole tag of the panel says; empty for any other tag."""
    measure = "/".join(tag.removeprefix(PREFIX).split("/")[:2])
    return DESCRIPTIONS.get(measure, "") if tag.startswith(PREFIX) else ""
