"""Options of the trainer. A step is always an optimizer step."""

import math
from dataclasses import dataclass, field
from enum import Enum

from seqtrain.config.base import Node, require, require_fraction
from seqtrain.config.options import Affects, option


class Optimizer(Enum):
    """The rule that updates the weights from their gradients."""

    adam = "adam"
    adamw = "adamw"
    sgd = "sgd"


class Schedule(Enum):
    """How the learning rate changes over the steps."""

    constant = "constant"
    linear = "linear"
    cosine = "cosine"
    one_cycle = "one_cycle"


class Precision(Enum):
    """Number format of the forward pass."""

    fp32 = "fp32"
    bf16 = "bf16"


class Average(Enum):
    """Which weights are evaluated and kept."""

    none = "none"
    ema = "ema"
    nt_asgd = "nt_asgd"


@dataclass
class TrainerConfig(Node):
    """How a model is trained."""

    kind: str = "trainer"
    epochs: int | None = option(3, Affects.length)
    """Number of passes over the training split; null takes ``min_epochs``, and more if these make fewer than
    ``min_steps`` steps."""
    max_steps: int | None = option(None, Affects.length)
    """Number of steps; wins over ``epochs``."""
    min_epochs: int = option(3, Affects.length)
    """Fewest epochs, if ``epochs`` is null."""
    min_steps: int | None = option(None, Affects.length)
    """Fewest steps, if ``epochs`` is null."""
    optimizer: Optimizer = Optimizer.adamw
    """``adam`` adds weight decay to the gradient, ``adamw`` decouples it, ``sgd`` uses ``momentum``."""
    lr: float = 2e-3
    """Highest learning rate of the schedule."""
    layer_lr_decay: float = 1.0
    """Learning rate of each depth group, as a share of that of the group above it; the head has the full rate."""
    unfreeze: float | None = None
    """Epochs from one unfreezing to the next: the head trains alone at first, then one more depth group each time, from
    the top; null trains all from the start."""
    weight_decay: float = 0.0
    """Weight decay; applies only to parameters with two or more dimensions."""
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    """Decay rates of Adam's two running means."""
    momentum: float = 0.9
    """Momentum of ``optimizer: sgd``."""
    schedule: Schedule = Schedule.linear
    """``constant``; ``linear`` or ``cosine`` fall to ``lr * final_lr_fraction`` at the last step; ``one_cycle``."""
    warmup_steps: int = 100
    """Steps over which the learning rate rises linearly from 0, at most a quarter of the run; ``one_cycle`` uses
    ``warmup_fraction`` instead."""
    warmup_fraction: float = 0.3
    """Share of all steps during which the learning rate of ``one_cycle`` rises."""
    final_lr_fraction: float = 0.0
    """Learning rate at the last step, as a share of ``lr``."""
    max_grad_norm: float | None = 1.0
    """Gradients with a larger norm are scaled down to this norm; null does not clip."""
    average: Average = Average.none
    """Weights to evaluate and save: ``none`` (the current ones), ``ema`` (their exponential moving average), or
    ``nt_asgd`` (their mean since validation stopped improving)."""
    ema_decay: float = 0.999
    """Decay per step of ``average: ema``."""
    nonmonotone_interval: int = 5
    """For ``average: nt_asgd``. Averaging starts at the first evaluation that is worse than the best score from more
    than this many evaluations earlier."""
    accumulate: int = 1
    """Batches per step; their gradients are accumulated, as if they were one batch."""
    precision: Precision = option(Precision.fp32, Affects.arithmetic)
    """``bf16`` runs the forward pass under autocast; weights and updates stay in fp32."""
    eval_every: int | None = None
    """Steps between evaluations on validation; null takes ``evaluations`` or, without it, the end of each epoch."""
    evaluations: int | None = None
    """Number of evaluations on validation, at equal distances, if ``eval_every`` is null."""
    patience: int | None = option(None, Affects.length)
    """Stop after this many evaluations in a row without a new best score; null never stops early."""
    checkpoint_seconds: float | None = option(60.0, Affects.speed)
    """Seconds between checkpoints. They are saved less often if saving takes more than 2 % of the time; null saves at
    evaluations only."""
    deterministic: bool = False
    """Refuse operations whose result depends on the order of threads; slower on a GPU. On a CPU, runs with the same
    number of threads are bitwise equal either way."""
    log_every: int = option(20, Affects.shown)
    """Steps between two entries of training loss and speed in the logs."""
    baselines: bool = option(True, Affects.shown)
    """Fit the task's baselines on train and show their scores beside the model's."""
    probe: bool = option(True, Affects.shown)
    """Measure the health panel at evaluations: memory, gates, attention and updates, on a few fixed rows."""
    figures: bool = option(True, Affects.shown)
    """Draw figures for TensorBoard at each evaluation and, at the end, write tables, curves and embeddings for it."""
    histograms: bool = option(False, Affects.shown)
    """Write histograms of weights and gradients for TensorBoard at each evaluation."""

    def check(self, key: str) -> None:
        names = ("epochs", "max_steps", "min_steps", "accumulate", "eval_every", "evaluations", "patience", "log_every")
        for name in (*names, "min_epochs", "nonmonotone_interval"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"{key}.{name}", value, "at least 1")
        seconds = self.checkpoint_seconds
        require(seconds is None or seconds >= 0, f"{key}.checkpoint_seconds", seconds, "at least 0, or null")
        for name in ("weight_decay", "warmup_steps"):
            require(getattr(self, name) >= 0, f"{key}.{name}", getattr(self, name), "at least 0")
        for name in ("momentum", "final_lr_fraction", "warmup_fraction", "ema_decay"):
            require_fraction(getattr(self, name), f"{key}.{name}")
        require(0 < self.layer_lr_decay <= 1, f"{key}.layer_lr_decay", self.layer_lr_decay, "above 0, and at most 1")
        require(self.unfreeze is None or 0 < self.unfreeze < math.inf, f"{key}.unfreeze", self.unfreeze,
                "above 0 (epochs), or null")  # fmt: skip
        require(self.lr > 0, f"{key}.lr", self.lr, "above 0")
        require(len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas), f"{key}.betas", self.betas,
                "two numbers in [0, 1)")  # fmt: skip
        require(self.max_grad_norm is None or self.max_grad_norm > 0, f"{key}.max_grad_norm", self.max_grad_norm,
                "above 0, or null")  # fmt: skip
