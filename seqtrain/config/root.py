"""The whole configuration of a run."""

from dataclasses import dataclass, field

from seqtrain.config.base import DataConfig, ModelConfig, TaskConfig
from seqtrain.config.debug import DebugConfig
from seqtrain.config.options import Affects, option
from seqtrain.config.sweep import BudgetConfig, SweepConfig
from seqtrain.config.trainer import TrainerConfig


@dataclass
class Config:
    """The configuration of a run: a dataset, a task, a model, a trainer and the options around them."""

    data: DataConfig = field(default_factory=DataConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    sweep: SweepConfig = field(default_factory=SweepConfig, metadata={"affects": Affects.speed})
    debug: DebugConfig = field(default_factory=DebugConfig)
    seed: int = 0
    """Seed of the initial weights, the order of the batches, and dropout."""
    device: str = option("auto", Affects.speed)
    """``auto`` (a GPU if there is one), or any torch device: cpu, cuda:1, mps."""
