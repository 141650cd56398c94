"""A finished run that another run starts from: its configuration, its data and its best weights."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from torch import Tensor

from seqtrain.commands.build import check_model_kept
from seqtrain.config.loading import from_yaml, to_config
from seqtrain.config.root import Config
from seqtrain.data.description import DataDescription, checksum
from seqtrain.errors import RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_record
from seqtrain.runs.records import Initial, Origin
from seqtrain.training.checkpoint import load_checkpoint


@dataclass(frozen=True)
class Source:
    """A finished run, and the weights of its best checkpoint."""

    option: str
    """The option that names it."""
    run: RunDirectory
    config: Config
    described: DataDescription
    model: dict[str, Tensor]
    head: dict[str, Tensor]
    step: int

    def __str__(self) -> str:
        return f"{self.option}={self.run.path}"

    def origin(self) -> Origin:
        """What a new run records of it."""
        config, before = self.config, self.run.init_path
        return Origin(
            option=self.option,
            id=self.run.id,
            path=str(self.run.path),
            data=config.data.name,
            task=config.task.name,
            model=config.model.name,
            fingerprint=self.described.fingerprint,
            step=self.step,
            weights=f"{checksum(self.run.checkpoint_path('best')) or 0:08x}",
            runs=read_record(Initial, before).runs if config.init is not None else [],
        )


def open_source(config: Config, option: str) -> Source:
    """Open the run that an option names, and read its weights."""
    path = getattr(config, option)
    run = RunDirectory.open(path, option)
    if (state := run.status.state) != "finished":
        raise RunError(f"{option}={path}: is {state}, not finished; continue it by resume={path}, or take another run")
    saved = to_config(from_yaml(run.config_path))
    check_model_kept(saved, run)
    described = DataDescription.read(run.data_path)
    content = load_checkpoint(run.checkpoint_path("best"), run.id)
    return Source(option, run, saved, described, content["model"], content["head"], content["step"])


def as_typed(value: Any) -> str:
    """The value of an option as users write it."""
    return str(value.value if isinstance(value, Enum) else "null" if value is None else value).lower().replace(" ", "")
