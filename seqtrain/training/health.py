"""The health panel of a run: what is measured when."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from seqtrain.data.base import Dataset
from seqtrain.probe.optimisation import update_ratios
from seqtrain.probe.panel import Panel, Rows, measure
from seqtrain.probe.rules import findings
from seqtrain.probe.tags import tagged
from seqtrain.runs.records import HealthRecord
from seqtrain.tasks.base import Task
from seqtrain.training.depth import DepthGroup
from seqtrain.training.step_sums import StepSums

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLIPPED, UPDATE_RATIO = "optimisation/clipped", "optimisation/update_ratio"

STEPS_BETWEEN = 400
"""Least number of steps between two panels. A panel takes as long as 2 to 6 steps (scripts/benchmark-probe)."""


@dataclass
class Watched:
    """What the panel knows of earlier steps. It is part of a checkpoint, so that a resumed run measures the same."""

    panel_step: int = 0
    """Step of the last panel of training; 0 before the first."""
    steps: int = 0
    """Steps of all log entries."""
    clipped: int = 0
    """Those whose gradient was clipped."""
    updates: dict[str, float] = field(default_factory=dict)
    """How much the last step before a panel changed the weights, by tag."""
    largest: dict[str, float] = field(default_factory=dict)
    """The largest of these of all panels."""

    @classmethod
    def restored(cls, saved: dict[str, Any]) -> "Watched":
        """What a checkpoint holds; raises TypeError or ValueError if it holds anything else."""
        watched = cls(**saved)
        counts = int(watched.panel_step), int(watched.steps), int(watched.clipped)
        ratios = (
            {str(tag): float(ratio) for tag, ratio in dict(own).items()} for own in (watched.updates, watched.largest)
        )
        return cls(*counts, *ratios)

    @property
    def measures(self) -> dict[str, float]:
        """What the steps of the whole training show, by tag."""
        return self.largest | ({CLIPPED: self.clipped / self.steps} if self.steps else {})


class Health:
    """Measures the health panel of a model while it trains, and says at the end what it shows.

    Training is not touched: no random number is drawn, and weights, gradients and state stay as they are.

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
        self.latest: tuple[int, Panel] | None = None
        """The last panel of training, and its step."""

    def due(self, watched: Watched, step: int) -> bool:
        """Whether an evaluation after so many steps has a panel: the first has one, and later ones at a distance."""
        return self.enabled and (watched.panel_step == 0 or step - watched.panel_step >= STEPS_BETWEEN)

    @contextmanager
    def watching(self, watched: Watched, enabled: bool) -> Iterator[None]:
        """Context of a step; if enabled, measures how much the step changes the weights."""
        if not enabled:
            yield
            return
        before = {group.name: [p.detach().clone() for p in group.parameters] for group in self.groups}
        yield
        ratios = update_ratios(before, {group.name: group.parameters for group in self.groups})
        watched.updates = {f"{UPDATE_RATIO}/{name.replace(' ', '_')}": ratio for name, ratio in ratios.items()}
        watched.largest = {tag: max(ratio, watched.largest.get(tag, 0.0)) for tag, ratio in watched.updates.items()}

    def logged(self, watched: Watched, sums: StepSums) -> dict[str, float]:
        """Measures by tag of the steps since the last log entry."""
        if not (self.enabled and sums.steps):
            return {}
        watched.steps, watched.clipped = watched.steps + sums.steps, watched.clipped + sums.clipped
        return tagged({CLIPPED: sums.clipped / sums.steps})

    def evaluated(self, watched: Watched, model: nn.Module, head: nn.Module, step: int) -> dict[str, float]:
        """Values of the panel at an evaluation, by tag; empty if none is due. Model and head are set to evaluate."""
        if not self.due(watched, step):
            return {}
        panel = self.measure(model, head)
        self.latest, watched.panel_step = (step, panel), step
        return tagged(panel.values | watched.updates)

    def measure(self, model: nn.Module, head: nn.Module) -> Panel:
        """The panel of a model, which is put in evaluation mode."""
        if self.rows is None:
            self.rows = Rows.of(self.data, self.device)
        return measure(self.task, model, head, self.rows)

    def verdict(self, watched: Watched, model: nn.Module, head: nn.Module, step: int) -> HealthRecord | None:
        """The panel of the best checkpoint and what it shows; None if nothing is to be measured.

        Args:
            watched: of the whole training.
            model: the model with the weights of the best checkpoint, which is put in evaluation mode.
            head: its head, likewise.
            step: step of the best checkpoint.
        """
        if not self.enabled:
            return None
        panel = self.latest[1] if self.latest and self.latest[0] == step else self.measure(model, head)
        values = panel.values | watched.measures
        by_lag: list[float | None] = [] if panel.by_lag is None else panel.by_lag.tolist()
        return HealthRecord(step, tagged(values), findings(values), by_lag)


def figures_of(record: HealthRecord) -> dict[str, "Figure"]:
    """The figure of a panel, by tag; none if the model embeds no inputs."""
    import numpy as np

    from seqtrain.probe.figures import gradient_by_lag_figure

    norms = np.array(record.gradient_by_lag, float)
    return tagged({"gradient_by_lag": gradient_by_lag_figure(norms)}) if len(norms) else {}
