"""Run directories as a comparison reads them: the finished ones, the unfinished ones, and those that are damaged."""

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
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError, RunError
from seqtrain.run_directory import RunDirectory, is_locked, read_json, read_json_if_valid

Scores = dict[str, dict[str, float]]
"""Split -> metric -> value."""

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times as fast


@dataclass(frozen=True)
class Run:
    """A finished run."""

    path: Path
    options: dict[str, Any]
    """Its whole configuration: dotted key -> value."""
    data: dict[str, Any]
    """Fingerprint, spec, sizes and scoring of its data.json."""
    scores: Scores
    """Of the best checkpoint."""
    baselines: dict[str, Scores]
    parameters: int
    seconds: float | None
    """Of training."""
    started: str
    monitor: str | None
    """Metric that chose the checkpoint."""
    maximize: bool | None
    """Whether more of it is better, where the run says so."""
    shown: list[str]
    """Its metrics, the most telling ones first."""
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
        """Its stored outputs on test, each read when it is asked for.

        Raises:
            RunError: if there are none, one is missing, or they cannot be read; from within the block too.
        """
        path = RunDirectory(self.path).predictions_path
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as outputs:
                yield outputs
        except FileNotFoundError as error:
            raise RunError(f"{path}: there is no such file") from error
        except KeyError as error:
            raise RunError(f"{path}: {error.args[0]}") from error
        except (OSError, ValueError, IndexError, EOFError, zipfile.BadZipFile) as error:
            raise RunError(f"{path}: cannot be read ({error})") from error

    def curve(self, tag: str) -> dict[int, float]:
        """Values of a tag of metrics.jsonl by step; lines that are damaged are left out."""
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
    """A run that has no final scores."""

    path: Path
    state: str
    reason: str


def read_runs(directories: Sequence[str]) -> tuple[list[Run], list[UnfinishedRun], list[str]]:
    """All runs in directories that people name.

    Args:
        directories: each a run, or a folder whose runs lie one or two levels below.

    Returns:
        The finished runs, the unfinished ones, and a line for each that is damaged.

    Raises:
        ConfigError: if a directory does not exist.
        RunError: if one holds no run.
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
                damaged.append(f"{error}; this run is left out")
                continue
            if isinstance(run, Run):
                finished.append(run)
            else:
                unfinished.append(run)
    return finished, unfinished, damaged


def find_runs(directory: str) -> list[Path]:
    """Run directories: this one, or those one or two levels below it, by name."""
    root = Path(directory).expanduser()
    if not root.is_dir():
        what = "is a file" if root.exists() else "no such directory"
        raise ConfigError(f"{directory}: {what}; give runs, or folders of runs")
    names = ("status.json", "config.yaml")  # a damaged run may have lost one of them
    if any((root / name).is_file() for name in names):
        return [root]
    found = {path.parent for level in ("*", "*/*") for name in names for path in root.glob(f"{level}/{name}")}
    runs = sorted(path for path in found if not path.name.startswith("."))
    if not runs:
        raise RunError(f"{directory}: holds no run (no status.json in it, nor one or two levels below)")
    return runs


def read_run(path: Path) -> Run | UnfinishedRun:
    """Read the files of a run; raises RunError where one of them is missing or damaged."""
    directory = RunDirectory(path)
    status = read_json(directory.status_path)
    try:
        state = str(status["state"])
        if state in ("starting", "running") and not is_locked(path):
            return UnfinishedRun(path, "killed", "no process is writing to it")
        if state != "finished":
            return UnfinishedRun(path, state, " ".join(str(status.get("error") or "").split()))
        options = read_options(directory.config_path)
        if options["debug.mode"] != DebugMode.none.name:
            return UnfinishedRun(path, state, f"debug={options['debug.mode']}: looks for faults, and has no scores")
        results, data = read_json(directory.results_path), read_json(directory.data_path)
        scores = dict(results["scores"])
        own = scores.pop(results["model"])
        monitored = [key.removeprefix("val/") for key in status.get("best", {}) if key.startswith("val/")]
        run = Run(
            path=path,
            options=options,
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
    """Metrics whose values are numbers; one that was not finite may be null."""
    return {metric: float(value) for metric, value in values.items() if value is not None}


def read_options(path: Path) -> dict[str, Any]:
    """A saved configuration as dotted keys.

    A key that did not exist when the run was made has today's default, so that runs of different versions compare.

    Raises:
        RunError: if the file is missing or is no configuration.
    """
    try:
        saved = yaml.load(path.read_text(), Loader=LOADER)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RunError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error
    if not isinstance(saved, dict):
        raise RunError(f"{path}: is not the configuration of a run")
    nodes: dict[str, Any] = {}
    for group in GROUPS:
        with suppress(ConfigError, TypeError, KeyError):  # a kind of a plugin that is not installed
            nodes[group] = registry.find(group, saved[group]["kind"]).schema()
    defaults = flatten(replace(Config(), **nodes))
    named = {key: value.name if isinstance(value, Enum) else value for key, value in defaults}
    return {key: value for key, value in (named | dict(flatten_nested(saved))).items() if value != MISSING}


def flatten_nested(node: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested dicts."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from flatten_nested(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
