"""The health panel of a run: what is measured when, with at most 3 % of the time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

from seqtrain.data.base import Dataset
from seqtrain.probe.optimisation import update_ratios
from seqtrain.probe.panel import Panel, Rows, measure
from seqtrain.probe.rules import findings
from seqtrain.tasks.base import Task
from seqtrain.training.depth import DepthGroup
from seqtrain.training.step_sums import StepSums

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_PROBING_SHARE = 0.03
"""Largest share of the time since the start that panels at evaluations may take."""


class Health:
    """Measures the health panel at evaluations, and says at the end what it shows.

    A panel at an evaluation is left out if, by what the last one took, all panels would take more than 3 % of the time.
    The first one is measured in any case. Training is not touched: no random number is drawn, and weights, gradients
    and state stay as they are.

    Args:
        task: defines the loss.
        data: has the rows of the panel.
        device: device of the model.
        groups: parameters whose updates are measured.
        enabled: whether to measure anything.
    """

    def __init__(self, task: Task, data: Dataset, device: torch.device, groups: list[DepthGroup], enabled: bool):
        self.task, self.data, self.device, self.groups, self.enabled = task, data, device, groups, enabled
        self.rows: Rows | None = None
        self.started = time.monotonic()
        self.spent = self.last = 0.0
        self.of_updates: dict[str, float] = {}
        """Measures by tag of the last step before an evaluation."""
        self.of_steps: dict[str, float] = {}
        """Measures by tag of the steps between the last two log entries."""

    @property
    def due(self) -> bool:
        """Whether a panel is measured at the next evaluation, as far as the time until now tells."""
        return self.enabled and self.spent + self.last <= MAX_PROBING_SHARE * (time.monotonic() - self.started)

    @contextmanager
    def watching(self, before_evaluation: bool) -> Iterator[None]:
        """Context of a step; if the step is followed by an evaluation, measures how much it changes the weights."""
        if not (before_evaluation and self.due):
            yield
            return
        before = {group.name: [p.detach().clone() for p in group.parameters] for group in self.groups}
        yield
        ratios = update_ratios(before, {group.name: group.parameters for group in self.groups})
        self.of_updates = {
            f"optimisation/update_ratio/{name.replace(' ', '_')}": ratio for name, ratio in ratios.items()
        }

    def logged(self, sums: StepSums) -> dict[str, float]:
        """Measures by tag of the steps since the last log entry."""
        self.of_steps = {"optimisation/clipped": sums.clipped / sums.steps} if self.enabled and sums.steps else {}
        return self.of_steps

    def evaluated(self, model: nn.Module, head: nn.Module, draw: bool) -> tuple[dict[str, float], dict[str, "Figure"]]:
        """The panel at an evaluation, if it is due: measures and figures by tag.

        Args:
            model: the model, which is put in evaluation mode.
            head: its head, which is put in evaluation mode.
            draw: whether to draw figures.
        """
        if not self.due:
            return {}, {}
        panel = self.measure(model, head)
        return panel.values | self.of_updates, panel_figures(panel) if draw else {}

    def measure(self, model: nn.Module, head: nn.Module) -> Panel:
        """The panel of a model, which is put in evaluation mode."""
        start = time.monotonic()
        if self.rows is None:
            self.rows = Rows.of(self.data, self.device)
        panel = measure(self.task, model, head, self.rows)
        self.last = time.monotonic() - start
        self.spent += self.last
        return panel

    def verdict(self, model: nn.Module, head: nn.Module) -> str | None:
        """What the panel says of a model at the end of training; None if nothing is to be measured."""
        if not self.enabled:
            return None
        found = findings(self.measure(model, head).values | self.of_updates | self.of_steps)
        return "; ".join(found.values()) or "nothing unusual"


def panel_figures(panel: Panel) -> dict[str, "Figure"]:
    """The figure of a panel, by tag; none if the model embeds no inputs."""
    from seqtrain.probe.figures import gradient_by_lag_figure

    return {} if panel.by_lag is None else {"gradient_by_lag": gradient_by_lag_figure(panel.by_lag)}
