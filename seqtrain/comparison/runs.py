"""Reading of run directories for a comparison: finished, unfinished and damaged runs."""

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from omegaconf import MISSING

from seqtrain.config import registry
from seqtrain.config.debug import DebugMode
from seqtrain.config.loading import GROUPS, flatten
from seqtrain.config.migrations import flat_keys, format_of, upgraded
from seqtrain.config.options import incidental
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError, RunError
from seqtrain.paths import expanded
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json, read_json_if_valid
from seqtrain.runs.locks import is_locked

Scores = dict[str, dict[str, float]]
"""Split -> metric -> value."""

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader is ten times as fast


@dataclass(frozen=True)
class Run:
    """A finished run."""

    path: Path
    options: dict[str, Any]
    """Its whole configuration: dotted key -> value."""
    incidental: set[str]
    """Those of its options that make no other configuration."""
    data: dict[str, Any]
    """Fingerprint, spec, sizes and scoring from data.json."""
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
    environment: dict[str, Any]

    @property
    def seed(self) -> int:
        return self.options["seed"]

    @property
    def task(self) -> str:
        """Kind of its task."""
        return self.options["task.kind"]

    @contextmanager
    def predictions(self) -> Iterator[Mapping[str, np.ndarray]]:
        """Its stored outputs on test; each array is read on access.

        Raises:
            RunError: if the file or an array is missing or cannot be read; also raised inside the ``with`` block.
        """
        path = RunDirectory(self.path).predictions_path
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as outputs:
                yield outputs
        except FileNotFoundError as error:
            raise RunError(f"{path}: no such file") from error
        except KeyError as error:
            raise RunError(f"{path}: {error.args[0]}") from error
        except (OSError, ValueError, IndexError, EOFError, zipfile.BadZipFile) as error:
            raise RunError(f"{path}: cannot be read ({error})") from error

    def curve(self, tag: str) -> dict[int, float]:
        """Values of a tag of metrics.jsonl by step; damaged lines are skipped."""
        values = {}
        with suppress(OSError):
            for line in RunDirectory(self.path).metrics_path.read_text(errors="replace").splitlines():
                with suppress(ValueError, TypeError, KeyError):
                    entry = json.loads(line)
                    if entry.get(tag) is not None:
                        values[int(entry["step"])] = float(entry[tag])
        return values


@dataclass(frozen=True)
class UnfinishedRun:
    """A run without final scores."""

    path: Path
    state: str
    reason: str


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
    status = read_json(directory.status_path)
    try:
        state = str(status["state"])
        if state in ("starting", "running") and not is_locked(path):
            return UnfinishedRun(path, "killed", "no process is writing to it")
        if state != "finished":
            return UnfinishedRun(path, state, " ".join(str(status.get("error") or "").split()))
        options, unlike = read_options(directory.config_path)
        if options["debug.mode"] != DebugMode.none.name:
            return UnfinishedRun(path, state, f"debug={options['debug.mode']}: a debugging run has no scores")
        results, data = read_json(directory.results_path), read_json(directory.data_path)
        scores = dict(results["scores"])
        own = scores.pop(results["model"])
        monitored = [key.removeprefix("val/") for key in status.get("best", {}) if key.startswith("val/")]
        run = Run(
            path=path,
            options=options,
            incidental=unlike,
            data={
                "fingerprint": data["fingerprint"],
                "spec": dict(data["spec"]),
                "sizes": {split: int(size) for split, size in data["sizes"].items()},
                "scoring": data.get("scoring", ""),
            },
            scores={split: non_null_scores(values) for split, values in own.items()},
            baselines={
                who.removesuffix(" (baseline)"): {split: non_null_scores(values) for split, values in splits.items()}
                for who, splits in scores.items()
            },
            parameters=int(results["parameters"]),
            seconds=status.get("seconds"),
            started=str(status.get("started", "")),
            monitor=results.get("monitor") or next(iter(monitored), None),
            maximize=results.get("maximize"),
            shown=results.get("shown") or list(dict.fromkeys(m for values in own.values() for m in values)),
            environment=read_json_if_valid(path / "environment.json"),
        )
        for key in ("seed", "task.kind", "data.name", "model.name"):
            options[key]
        return run
    except KeyError as error:
        raise RunError(f"{path}: is damaged ({error.args[0]!r} is missing)") from error
    except (TypeError, AttributeError, ValueError) as error:
        raise RunError(f"{path}: is damaged ({error})") from error


def non_null_scores(values: dict[str, Any]) -> dict[str, float]:
    """Scores as floats, without those that are null because they were not finite."""
    return {metric: float(value) for metric, value in values.items() if value is not None}


def read_options(path: Path) -> tuple[dict[str, Any], set[str]]:
    """A saved configuration as dotted keys, and those of them that make no other configuration.

    Keys that did not exist when the run was made get today's default, so that runs of different versions can be
    compared.

    Raises:
        RunError: if the file is missing or is not a configuration.
    """
    try:
        saved = yaml.load(path.read_text(), Loader=LOADER)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RunError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error
    if not isinstance(saved, dict):
        raise RunError(f"{path}: is not the configuration of a run")
    nodes: dict[str, Any] = {}
    for group in GROUPS:
        with suppress(ConfigError, TypeError, KeyError):  # from a plugin that is not installed
            nodes[group] = registry.find(group, saved[group]["kind"]).schema()
    defaults = replace(Config(), **nodes)
    named = {key: value.name if isinstance(value, Enum) else value for key, value in flatten(defaults)}
    own = flat_keys(upgraded(saved, format_of(path.parent), named))
    options = {key: value for key, value in (named | own).items() if value != MISSING}
    return options, incidental(defaults)
