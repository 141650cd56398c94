"""Write a page on the errors of a run, or of two runs on the same rows."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqtrain.atomic import replacing
from seqtrain.commands.build import build_task
from seqtrain.commands.candidates import check_alike, labels
from seqtrain.commands.evaluate import check_choice
from seqtrain.commands.inspection_page import errors_page
from seqtrain.commands.members import STEP, LoadedMember, open_members
from seqtrain.commands.predict import trained
from seqtrain.comparison.runs import Run, UnfinishedRun, read_run
from seqtrain.config import registry
from seqtrain.config.loading import from_yaml, to_config
from seqtrain.config.root import Config
from seqtrain.data.base import Dataset
from seqtrain.errors import ConfigError, RunError, UserError
from seqtrain.paths import expanded
from seqtrain.printable import escaped_lines
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.records import Results
from seqtrain.tasks.base import Task
from seqtrain.tasks.inspecting.material import Material, Rival
from seqtrain.tasks.statistics import Outputs

log = logging.getLogger(__name__)

SPLITS = ("test", "validation")


def inspect(directories: Sequence[str], *, split: str | None = None, output: str | None = None) -> Path:
    """Write a page on the errors of a run, and return its path.

    Args:
        directories: a run, and perhaps a second one on the same data.
        split: test or validation; None takes test if there is one.
        output: HTML file; None: ``errors-<split>.html`` in the first run's directory, with a second run
            ``errors-<split>-<name of the second>.html``.

    Raises:
        ConfigError: for a split or an output that cannot be used.
        RunError: if a directory is no finished run, its task has no such page, or the runs have other data.
    """
    runs = [open_run(directory) for directory in directories]
    first = runs[0]
    inspector = inspector_of(first)
    if split is not None:
        check_choice("split", split, SPLITS)
    split = split or ("test" if "test" in first.data.sizes else "validation")
    if split not in first.data.sizes:
        raise ConfigError(f"split={split}: {first.path} has no such split; use validation")
    path = target(runs, split, output)
    check_alike(runs)
    material = gather(runs, split)
    sections = registry.load_object(inspector)(material)
    text = errors_page(runs, split, sections, material.missing, path.parent)
    with replacing(path) as temporary:
        temporary.write_text(escaped_lines(text), encoding="utf-8", errors="backslashreplace")
    log.info("%s: written", path)
    return path


def open_run(directory: str) -> Run:
    """A finished run; raises RunError if it is not one."""
    RunDirectory.open(directory, key="", ensembles=True)
    run = read_run(expanded(directory))
    if isinstance(run, UnfinishedRun):
        raise RunError(f"{run.path}: is {run.state}, not finished ({run.reason or 'no scores'}); continue it by "
                       f"resume={run.path}")  # fmt: skip
    return run


def inspector_of(run: Run) -> str:
    """The inspector of a run's task; raises RunError, which names the tasks that have one, if there is none."""
    found: str | None = getattr(registry.find("task", run.task).load(), "inspector", None)
    if found is None:
        tasks = [kind for kind, known in registry.REGISTRY["task"].items() if getattr(known.load(), "inspector", None)]
        raise RunError(
            f"{run.path}: inspect has no page for task {run.task}; it has one for {', '.join(sorted(tasks))}"
        )
    return found


def target(runs: Sequence[Run], split: str, output: str | None) -> Path:
    """The file to write; raises ConfigError if it cannot be written."""
    if output is None:
        against = "".join(f"-{run.path.resolve().name}" for run in runs[1:])
        path = runs[0].path / f"errors-{split}{against}.html"
        if not os.access(path.parent, os.W_OK):
            raise ConfigError(f"{path.parent}: cannot be written; give output=<file>")
        return path
    path = expanded(output, "output")
    if path.suffix not in (".html", ".htm"):
        raise ConfigError(f"output={output}: must end in .html")
    if path.is_dir() or not path.parent.is_dir():
        raise ConfigError(f"output={output}: {'is a folder' if path.is_dir() else 'its folder does not exist'}")
    return path


def gather(runs: Sequence[Run], split: str) -> Material:
    """What the sections are made of: stored outputs, and the data if its source is as it was."""
    first, directory = runs[0], RunDirectory(runs[0].path)
    config = to_config(from_yaml(directory.config_path))
    missing: list[str] = []
    member = member_of(first, config)
    data = unchanged_data(first, member, missing)
    outputs = [outputs_of(run, split, member if run is first else None, data) for run in runs]
    if data is not None and not np.array_equal(data.source_rows(split), outputs[0]["rows"]):
        missing.append(
            f"{first.path}: its {split} split has other rows than the source now has; the source is not read"
        )
        data = None
    if len(outputs) > 1 and not np.array_equal(outputs[0]["rows"], outputs[1]["rows"]):
        raise RunError(f"{runs[1].path}: its {split} split has other rows than that of {first.path}")
    names = labels(runs, repeated=True) if len(runs) > 1 else [config.model.name]
    if len(set(names)) < len(names):
        names = [str(run.path) for run in runs]
    return Material(
        label=names[0],
        split=split,
        spec=first.data.spec,
        task=ready_task(first, missing),
        outputs=outputs[0],
        data=data,
        trained=None if data is None or first.is_ensemble else lambda: trained(config, directory, "best", data.spec)[0],
        rival=Rival(names[1], ready_task(runs[1], missing), outputs[1]) if len(runs) > 1 else None,
        missing=missing,
    )


def member_of(run: Run, config: Config) -> LoadedMember:
    """The run, or the first member of an ensemble, whose data is that of all."""
    directory = RunDirectory(run.path)
    return open_members(config, config, directory)[0] if run.is_ensemble else LoadedMember(config, directory, None)


def unchanged_data(run: Run, member: LoadedMember, missing: list[str]) -> Dataset | None:
    """The data of a run; None, with a line in ``missing``, if its source cannot be read or has changed."""
    try:
        data = member.data
    except UserError as error:
        missing.append(f"the source of the data cannot be read: {error}")
        return None
    if data.fingerprint != run.data.fingerprint:
        missing.append("the source of the data has changed since the run, and is not read")
        return None
    return data


def outputs_of(run: Run, split: str, member: LoadedMember | None, data: Dataset | None) -> Outputs:
    """The stored outputs of a run on a split; where they are not stored, those of its best checkpoint, computed again.

    Args:
        run: the run.
        split: the split.
        member: the run with its model; None: it is not evaluated again.
        data: its data; None if the source cannot be used.

    Raises:
        RunError: if they are not stored, and cannot be computed.
    """
    try:
        with run.predictions(split) as stored:
            found = dict(stored)
        return found if "rows" in found else found | {"rows": np.arange(run.data.sizes[split])}
    except RunError as error:
        if member is None or data is None or run.is_ensemble:
            raise RunError(f"{error}; seqtrain resume={run.path} makes it again, if the source is there") from error
    log.info("%s: its outputs on %s are not stored; evaluating it ...", run.path, split)
    return member.evaluated(split)


def ready_task(run: Run, missing: list[str]) -> Task:
    """The task of a run, with what was fitted on validation if that can be read; else with a line in ``missing``."""
    directory = RunDirectory(run.path)
    task = build_task(to_config(from_yaml(directory.config_path)), run.data.spec)
    step = STEP if run.is_ensemble else Results.read(directory.results_path).best_step
    try:
        task.load_artifacts(directory, "best", step or 0)
    except RunError as error:
        missing.append(str(error))
    return task
