"""The whole configuration of a run."""

from dataclasses import dataclass, field
from enum import Enum

from seqtrain.config.base import DataConfig, ModelConfig, TaskConfig
from seqtrain.config.debug import DebugConfig
from seqtrain.config.options import Affects, option
from seqtrain.config.sweep import BudgetConfig, SweepConfig
from seqtrain.config.trainer import TrainerConfig


class InitTakes(Enum):
    """What a run takes of the run that it starts from."""

    all = "all"
    encoder = "encoder"
    embedding = "embedding"


@dataclass
class Config:
    """The configuration of a run: a dataset, a task, a model, a trainer and the options around them."""

    data: DataConfig = field(default_factory=DataConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    size: str | None = option(None, Affects.found)
    """The dial that was chosen as ``size=``, which has set width, dropout, learning rate and epochs; null for none."""
    sweep: SweepConfig = field(default_factory=SweepConfig, metadata={"affects": Affects.speed})
    debug: DebugConfig = field(default_factory=DebugConfig)
    init: str | None = None
    """Directory of a finished run whose best weights this run starts from; null starts from random ones."""
    init_backward: str | None = None
    """Directory of a finished language model on ``data.reverse=true``, which fills the backward direction of a
    bidirectional recurrent model."""
    init_takes: InitTakes = InitTakes.all
    """What is taken of ``init``: ``all`` that means the same in both runs, a head of the same classes included; the
    ``encoder``, which is the embedding and the recurrent or attention layers; or the ``embedding`` alone."""
    seed: int = 0
    """Seed of the initial weights, the order of the batches, and dropout."""
    device: str = option("auto", Affects.speed)
    """``auto`` (a GPU if there is one), or any torch device: cpu, cuda:1, mps."""
