"""Reading of run directories for a comparison: finished, unfinished and damaged runs."""

import struct
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import yaml
from omegaconf import MISSING

from seqtrain.config import registry
from seqtrain.config.debug import DebugMode
from seqtrain.config.loading import GROUPS, flatten
from seqtrain.config.migrations import flat_keys, format_of, upgraded
from seqtrain.config.options import incidental
from seqtrain.config.plain_yaml import LOADER, plain_yaml
from seqtrain.config.root import Config
from seqtrain.data.description import DataDescription
from seqtrain.errors import ConfigError, RunError
from seqtrain.paths import expanded
from seqtrain.printable import escaped, escaped_within
from seqtrain.regular import open_regular
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.ensemble import Ensemble
from seqtrain.runs.json_files import LARGEST_INTEGER, WORDS, read_record
from seqtrain.runs.locks import is_locked
from seqtrain.runs.metrics import entries
from seqtrain.runs.records import Environment, Initial, Results
from seqtrain.runs.records import Scores as StoredScores

Scores = dict[str, dict[str, float]]
"""Split -> metric -> value."""

MOST_BYTES_A_ROW = 1 << 20
"""Of stored outputs: 1 MiB for each row of the split."""


KEPT = frozenset({"seed", *(f"{group}.name" for group in GROUPS)})
"""Options that a run has even if it is an ensemble of runs that differ in them."""


@dataclass(frozen=True)
class Run:
    """A finished run."""

    path: Path
    options: dict[str, Any]
    """Its whole configuration: dotted key -> value."""
    incidental: Collection[str]
    """Those of its options that make no other configuration."""
    data: DataDescription
    scores: Scores
    """Scores of the best checkpoint."""
    baselines: dict[str, Scores]
    parameters: int
    seconds: float | None
    """Training time."""
    started: str
    monitor: str | None
    """Metric that chose the checkpoint."""
    maximize: bool | None
    """Whether more of the monitored metric is better; None if the run does not tell."""
    shown: list[str]
    """Its metrics, the most informative first."""
    environment: Environment
    is_ensemble: bool = False

    @property
    def spec(self) -> dict[str, Any]:
        """The DataSpec by its keys, for statistics of tasks."""
        return vars(self.data.spec)

    @property
    def seed(self) -> int:
        return self.options["seed"]

    @property
    def fold(self) -> int | None:
        """Which fold of train is its validation; None without ``data.folds``, and of an ensemble."""
        folds, fold = self.options.get("data.folds"), self.options.get("data.fold")
        if not self.data.folds_of or self.is_ensemble:
            return None
        return fold if type(folds) is int and type(fold) is int else None

    @property
    def task(self) -> str:
        """Kind of its task."""
        return self.options["task.kind"]

    @contextmanager
    def predictions(self, split: str) -> Iterator[Mapping[str, np.ndarray]]:
        """Its stored outputs on test or validation; each array is read on access.

        Raises:
            RunError: if the file or an array is missing or cannot be read or used; also raised inside the ``with``
                block.
        """
        path = RunDirectory(self.path).predictions_of(split)
        try:
            with open_regular(path, MOST_BYTES_A_ROW * max(self.data.sizes.get(split, 0), 1)) as file:
                refuse_compressed(file)
                with np.load(file, allow_pickle=False) as outputs, np.errstate(all="ignore"):
                    yield Numbers(outputs)
        except FileNotFoundError as error:
            raise RunError(f"{path}: no such file") from error
        except KeyError as error:
            raise RunError(f"{path}: {error.args[0]}") from error
        except (OSError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, RuntimeError, MemoryError,
                zipfile.BadZipFile, struct.error) as error:  # fmt: skip
            raise RunError(f"{path}: cannot be read ({str(error).partition(chr(10))[0]})") from error

    def curve(self, tag: str) -> dict[int, float]:
        """Values of a tag of metrics.jsonl by step; damaged lines are skipped."""
        found = ((step, values.get(tag)) for step, values in entries(RunDirectory(self.path).metrics_path, tag))
        return {step: float(value) for step, value in found if value is not None}


@dataclass(frozen=True)
class Numbers(Mapping[str, np.ndarray]):
    """Arrays of numbers or truth values, each read on access; raises ValueError for one of anything else."""

    arrays: Mapping[str, np.ndarray]

    def __getitem__(self, name: str) -> np.ndarray:
        array = self.arrays[name]
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{name} are no numbers")
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)


@dataclass(frozen=True)
class UnfinishedRun:
    """A run without final scores."""

    path: Path
    state: str
    reason: str


def refuse_compressed(file: BinaryIO) -> None:
    """Raise ValueError unless the arrays of an npz file are as ``np.savez`` writes them: none larger than the file."""
    with zipfile.ZipFile(file) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("its arrays are compressed, as seqtrain writes none")
    file.seek(0)


def read_runs(directories: Sequence[str]) -> tuple[list[Run], list[UnfinishedRun], list[str]]:
    """Read all runs in the given directories.

    Args:
        directories: runs, or folders with runs one or two levels below.

    Returns:
        The finished runs, the unfinished ones, and a note for each damaged run.

    Raises:
        ConfigError: if a directory does not exist.
        RunError: if a directory contains no run.
    """
    finished, unfinished, damaged = [], [], []
    known = set()
    for directory in directories:
        for path in find_runs(directory):
            if path.resolve() in known:
                continue
            known.add(path.resolve())
            try:
                run = read_run(path)
            except RunError as error:
                damaged.append(f"{error}; this run is ignored")
                continue
            if isinstance(run, Run):
                finished.append(run)
            else:
                unfinished.append(run)
    return finished, unfinished, damaged


def find_runs(directory: str) -> list[Path]:
    """Run directories: the directory itself, or those one or two levels below it, sorted by name."""
    root = expanded(directory)
    if not root.is_dir():
        what = "is a file" if root.exists() else "no such directory"
        raise ConfigError(f"{directory}: {what}; give runs, or folders of runs")
    names = ("status.json", "config.yaml")  # a damaged run may lack one of them
    if any((root / name).is_file() for name in names):
        return [root]
    found = {path.parent for level in ("*", "*/*") for name in names for path in root.glob(f"{level}/{name}")}
    runs = sorted(path for path in found if not path.name.startswith("."))
    if not runs:
        raise RunError(f"{directory}: contains no run (no status.json in it, nor one or two levels below)")
    return runs


def read_run(path: Path) -> Run | UnfinishedRun:
    """Read the files of a run; raises RunError if one of them is missing or damaged."""
    directory = RunDirectory(path)
    status = directory.status
    if status.state in ("starting", "running") and not is_locked(path):
        return UnfinishedRun(path, "killed", "no process is writing to it")
    if status.state != "finished":
        return UnfinishedRun(path, status.state, " ".join((status.error or "").split()))
    options, unlike = read_options(directory.config_path)
    if options["debug.mode"] != DebugMode.none.name:
        return UnfinishedRun(path, status.state, f"debug={options['debug.mode']}: a debugging run has no scores")
    # The path says where that run lay, and not which run it was. An ensemble keeps no record of its own.
    if options["init"] is not None and directory.init_path.is_file():
        options["init"], options["init_backward"] = read_record(Initial, directory.init_path, shown=True).names()
    results, data = Results.read(directory.results_path), DataDescription.read(directory.data_path)
    scores = dict(results.scores)
    own = scores.pop(results.model)
    if directory.is_ensemble:
        options = of_ensemble(options, Ensemble.read(directory))
    return Run(
        path=path,
        options=options,
        incidental=unlike,
        data=replace(
            data,
            fingerprint=escaped(data.fingerprint),
            folds_of=escaped(data.folds_of),
            scoring=escaped(data.scoring),
        ),
        scores=non_null(own),
        baselines={who.removesuffix(" (baseline)"): non_null(splits) for who, splits in scores.items()},
        parameters=results.parameters,
        seconds=status.seconds,
        started=status.started,
        monitor=results.monitor or (status.best_score[0].removeprefix("val/") if status.best_score else None),
        maximize=results.maximize,
        shown=results.shown or list(dict.fromkeys(metric for values in own.values() for metric in values)),
        environment=Environment.read(path / "environment.json"),
        is_ensemble=directory.is_ensemble,
    )


def of_ensemble(options: dict[str, Any], ensemble: Ensemble) -> dict[str, Any]:
    """The options of an ensemble: those that its members share, and what the members are."""
    members = sorted({member.label for member in ensemble.members})
    shared = {key: value for key, value in options.items() if key not in {*ensemble.differing} - KEPT}
    return shared | {"model.members": members}


def non_null(scores: StoredScores) -> Scores:
    """Scores without those that are null because they were not finite."""
    return {
        split: {metric: value for metric, value in values.items() if value is not None}
        for split, values in scores.items()
    }


def read_options(path: Path) -> tuple[dict[str, Any], Collection[str]]:
    """A saved configuration as dotted keys, and those of them that make no other configuration.

    Keys that did not exist when the run was made get today's default, so that runs of different versions can be
    compared. Control characters in texts are escaped.

    Raises:
        RunError: if the file is missing or is not a configuration.
    """
    try:
        saved = yaml.load(plain_yaml(path), Loader=LOADER)
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, OverflowError, yaml.YAMLError) as error:
        raise RunError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error
    if not isinstance(saved, dict) or not all(isinstance(saved.get(group), dict) for group in GROUPS):
        raise RunError(f"{path}: is not the configuration of a run")
    named, unlike = defaults(tuple(str(saved[group].get("kind")) for group in GROUPS))
    own = {str(key): value for key, value in flat_keys(upgraded(saved, format_of(path.parent), named)).items()}
    options = escaped_within({key: value for key, value in (named | own).items() if value != MISSING})
    check_options(path, options)
    return options, unlike


@cache
def defaults(kinds: tuple[str, ...]) -> tuple[dict[str, Any], frozenset[str]]:
    """The default configuration of the given kinds as dotted keys, and those of them that make no other one."""
    nodes: dict[str, Any] = {}
    for group, kind in zip(GROUPS, kinds, strict=True):
        with suppress(ConfigError):  # from a plugin that is not installed
            nodes[group] = registry.find(group, kind).schema()
    config = replace(Config(), **nodes)
    named = {key: value.name if isinstance(value, Enum) else value for key, value in flatten(config)}
    return named, frozenset(incidental(config))


def check_options(path: Path, options: dict[str, Any]) -> None:
    """Raise RunError if a value is of a type that no option has."""
    kinds: dict[str, type] = {"seed": int, "task.kind": str} | {f"{group}.name": str for group in GROUPS}
    for key, kind in kinds.items():
        if type(options.get(key)) is not kind:
            raise RunError(f"{path}: {key}: expected {WORDS[kind]}, is {options.get(key)!r:.40}")
    below = tuple(f"{key}." for key in kinds)
    for key, value in options.items():
        if not is_option(value) or key.startswith(below):
            raise RunError(f"{path}: {key}: is no value of an option")


def is_option(value: Any) -> bool:
    """Whether a value of YAML is a truth value, a text, a number that a float can hold, null or a list of these."""
    if isinstance(value, list | dict):
        return all(map(is_option, value)) and (isinstance(value, list) or not value)
    if isinstance(value, int):
        return abs(value) < LARGEST_INTEGER
    return value is None or isinstance(value, str | float)
