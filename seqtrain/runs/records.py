"""What the JSON files of a run hold."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqtrain.errors import RunError
from seqtrain.runs.json_files import as_record, read_json, read_record

Scores = dict[str, dict[str, float | None]]
"""Split -> metric -> value; None where it is not finite."""


@dataclass(frozen=True)
class Status:
    """status.json: how a run stands."""

    id: str
    """Identity of the run, also stored in its checkpoints."""
    state: str
    """starting, running, finished, interrupted, pruned or failed."""
    pid: int | None = None
    """The process that wrote to the run last."""
    started: str = ""
    finished: str | None = None
    error: str | None = None
    format: int = 1
    """Format of the run directory, see ``config.migrations``."""
    monitor: str | None = None
    """Tag of the monitored metric, such as ``val/accuracy``."""
    maximize: bool | None = None
    total_steps: int | None = None
    best: dict[str, float | None] = field(default_factory=dict)
    """The best value of the monitored metric by its tag, and its ``step``."""
    seconds: float | None = None
    """Training time."""
    sitting: str | None = None
    """In a sweep: the invocation that ran the job last."""
    since: str | None = None
    """In a sweep: when the job was last started or resumed."""

    @property
    def best_score(self) -> tuple[str, float | None] | None:
        """Tag and best value of the monitored metric; None before training has ended."""
        return next(((key, value) for key, value in self.best.items() if key.startswith("val/")), None)


@dataclass(frozen=True)
class Results:
    """results.json: the final table, the model and the baselines on each split."""

    model: str
    """Name of the model, which is a key of ``scores``."""
    parameters: int
    scores: dict[str, Scores]
    """Of the model and each baseline, by name."""
    best_step: int | None = None
    monitor: str | None = None
    """The metric that chose the checkpoint."""
    maximize: bool | None = None
    """Whether more of it is better."""
    shown: list[str] = field(default_factory=list)
    """Metrics, the most informative first."""
    directions: dict[str, bool | None] = field(default_factory=dict)
    """Whether more is better, by metric; None where neither is."""
    scoring: str = ""
    """How scores are computed, if there is more than one way."""
    remarks: dict[str, str] = field(default_factory=dict)
    """Remarks of the task, by name."""
    against_baselines: dict[str, list[float]] = field(default_factory=dict)
    """Ends of the interval of how much better the model is on test than a baseline, by its name."""

    @classmethod
    def of(cls, content: Any, path: Path) -> "Results":
        """The results that a results.json holds.

        Raises:
            RunError: if the content is damaged.
        """
        if isinstance(content, dict) and isinstance(names := content.get("remarks"), list):
            content = content | {"remarks": {str(name): str(content.get(str(name))) for name in names}}
        results = as_record(cls, content, path)
        if results.model not in results.scores:
            raise RunError(f"{path}: scores: those of the model, {results.model!r}, are missing; train again")
        if any(len(ends) != 2 for ends in results.against_baselines.values()):
            raise RunError(f"{path}: against_baselines: expected two ends of each interval; train again")
        return results

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Read a results.json, with control characters escaped; raises RunError if it is missing or damaged."""
        return cls.of(read_json(path, shown=True), path)


@dataclass(frozen=True)
class HealthRecord:
    """health.json: the health panel of the best checkpoint, and what it shows."""

    step: int
    """Step of the checkpoint."""
    values: dict[str, float]
    """By tag, see ``seqtrain.probe.tags``; of updates the largest, of clipping the whole training."""
    findings: dict[str, str]
    """What is wrong and how to mend it, by rule, see ``seqtrain.probe.rules``; empty if nothing is."""
    gradient_by_lag: list[float | None] = field(default_factory=list)
    """Norm of the gradient of a prediction with respect to the input of each step back; empty if there is none."""

    @property
    def words(self) -> str:
        """All findings in one line."""
        return "; ".join(self.findings.values()) or "nothing unusual"


@dataclass(frozen=True)
class Origin:
    """A run that another one started from."""

    option: str
    """The option that named it: ``init`` or ``init_backward``."""
    id: str
    path: str
    """Its directory at that time."""
    data: str
    task: str
    model: str
    """Names of its data, task and model."""
    fingerprint: str
    """Digest of its data."""
    step: int
    """Step of the checkpoint whose weights were taken."""
    weights: str
    """Digest of these weights."""
    runs: list["Origin"] = field(default_factory=list)
    """The runs that it started from itself."""

    def __str__(self) -> str:
        before = f", which started from {' and '.join(map(str, self.runs))}" if self.runs else ""
        return f"{self.model} on {self.data} ({self.path}, {self.id[:8]}){before}"


@dataclass(frozen=True)
class Initial:
    """init.json: the runs that a run started from, and what it took of them."""

    runs: list[Origin]
    taken: int
    """Number of parameters that started from their weights."""
    parameters: int
    """Number of all parameters."""
    fresh: list[str] = field(default_factory=list)
    """Modules that started from random weights."""
    seen: dict[str, int] = field(default_factory=dict)
    """Rows of a held-out split, by its name, that the weights were trained on; empty if it is not known."""

    def names(self) -> tuple[str | None, str | None]:
        """The run of ``init`` and that of ``init_backward``, by folder and identity."""
        named = {run.option: f"{Path(run.path).name}:{run.id[:8]}" for run in self.runs}
        return named.get("init"), named.get("init_backward")


@dataclass(frozen=True)
class Environment:
    """environment.json, as far as runs are compared and shown by it."""

    command: list[str] = field(default_factory=list)
    """The command that made the run, as ``sys.argv``."""
    git_commit: str | None = None
    platform: str | None = None
    cpus: int | None = None
    packages: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Environment":
        """Read an environment.json; one without entries if it is missing or damaged."""
        try:
            return read_record(cls, path)
        except RunError:
            return cls()

    @property
    def command_line(self) -> str:
        """The command as it is written in a shell; empty if it is not known."""
        return shlex.join(["seqtrain", *self.command[1:]]) if self.command else ""
