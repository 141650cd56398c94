"""Explain the predictions of a run's model, and measure how faithful the explanations are."""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from seqtrain.commands.evaluate import check_changes, check_choice, data_to_score, describe_data
from seqtrain.commands.explanation import RANDOM, as_lines, explanation, figures
from seqtrain.commands.output import check_output, write_table
from seqtrain.commands.predict import trained
from seqtrain.config import registry
from seqtrain.config.base import require, suggest
from seqtrain.config.root import Config
from seqtrain.data.base import Batch, Dataset
from seqtrain.data.description import DataDescription
from seqtrain.errors import ConfigError, RunError
from seqtrain.runs.directory import RunDirectory, writing
from seqtrain.runs.explanation import Explanation
from seqtrain.runs.json_files import write_json
from seqtrain.tasks.explaining.curves import Curves, curves, random_curves
from seqtrain.tasks.explaining.methods import METHODS, attributions, completeness_errors
from seqtrain.tasks.explaining.subject import Subject, evenly
from seqtrain.training.event_files import EXPLANATION
from seqtrain.training.events import write_final_events
from seqtrain.training.media import Media

if TYPE_CHECKING:
    import pyarrow

log = logging.getLogger(__name__)

ROWS = 200
"""Number of rows of a split that are explained, if the user names none."""
EVERY = 30
"""Seconds between two lines that say how many rows are explained."""


@dataclass
class Explained:
    """What was found of rows, batch by batch."""

    batches: list[Batch] = field(default_factory=list)
    choices: list[Tensor] = field(default_factory=list)
    whole: list[np.ndarray] = field(default_factory=list)
    attributions: dict[str, list[np.ndarray]] = field(default_factory=dict)
    """Method -> (B, T) of each batch."""
    curves: dict[str, list[Curves]] = field(default_factory=dict)
    errors: list[np.ndarray] = field(default_factory=list)
    """Completeness errors of integrated gradients."""

    @property
    def order(self) -> np.ndarray:
        """Places of the rows, in the order of their numbers."""
        return np.argsort(np.concatenate([batch.rows for batch in self.batches]), kind="stable")


def explain(
    saved: Config,
    config: Config,
    run: RunDirectory,
    *,
    source: str | None = None,
    split: str | None = None,
    methods: str | None = None,
    removal: str | None = None,
    rows: int | None = None,
    output: str | None = None,
    checkpoint: str = "best",
    other_data: bool = False,
) -> Explanation:
    """Attribute predictions to the steps of their rows, score the attributions, and print the scores.

    Of the best checkpoint of a finished run and its own data, they are also written to explanation.json and as a figure
    for TensorBoard.

    Args:
        saved: the run's configuration.
        config: the same with changes of the data source or the device.
        run: the run's directory.
        source: a file, whose rows are explained; None takes rows of a split.
        split: train, validation or test; None takes test if there is one, else validation.
        methods: names from ``METHODS``, separated by commas; None takes all that say something of the model.
        removal: how steps are removed; None takes the usual way of the task.
        rows: number of rows, taken at equal distances; None takes ``ROWS`` of a split and all of a file.
        output: csv, tsv, jsonl or parquet file for the attributions of each row, or - for jsonl to stdout.
        checkpoint: ``best`` or ``last``.
        other_data: whether the user gave another ``data.path``.

    Raises:
        ConfigError: for an option that cannot be used; checked first.
        RunError: if predictions of the run cannot be explained.
        DataError: if the data or the file cannot be used.
    """
    check_choice("checkpoint", checkpoint, ("best", "last"))
    if source is not None and split is not None:
        raise ConfigError(f"split={split}: is of the run's own data; leave it out, or input={source}")
    require(rows is None or rows >= 1, "rows", rows, "at least 1")
    asked = None if methods is None else checked_methods(methods)
    if output is not None:
        check_lists(output)
    check_changes(saved, config)
    kind = subject_class(config)
    check_choice("removal", removal or kind.removals[0], kind.removals)
    data = None if source is not None else data_to_score(config, run, other_data)
    if data is not None:
        split = split or ("test" if "test" in data.sizes else "validation")
        check_choice("split", split, tuple(data.sizes))
        describe_data(data, run)
    kept = keeps(run, data, checkpoint)
    loaded, step = trained(config, run, checkpoint, None if data is None else data.spec)
    subject = kind(loaded, removal)
    chosen = usable_methods(subject, asked, str(run.path))
    found = explained(subject, chosen_batches(subject, data, split, source, rows), chosen)
    overlap = 1 if data is None else subject.overlap
    about = {"step": step, "split": split or str(source), "removal": subject.removal, "score": subject.score_name}
    result = scores_of(found, overlap, about)
    if output is not None:
        write_table(table_of(found, subject), output)
        log.info("%s: %d rows", output, len(found.order))
    if output != "-":
        print("\n".join(as_lines(result)))
    if kept:
        write(result, run)
    return result


def keeps(run: RunDirectory, data: Dataset | None, checkpoint: str) -> bool:
    """Whether an explanation is kept in the run: that of its best checkpoint, once it is final, on its own data.

    Raises:
        RunError: if it is to be kept, and the run cannot be written to.
    """
    if data is None or checkpoint != "best" or run.status.state != "finished":
        return False
    if data.fingerprint != DataDescription.read(run.data_path).fingerprint:
        return False
    with run.locked():
        return True


def checked_methods(names: str) -> list[str]:
    """The methods that the user names; raises ConfigError for one that does not exist."""
    asked = [name.strip() for name in names.split(",")]
    for name in asked:
        if name not in METHODS:
            raise ConfigError(f"methods={names}: {name!r} is no method; {suggest(name, METHODS)}")
    return list(dict.fromkeys(asked))


def check_lists(output: str) -> None:
    """Raise ConfigError if an output cannot be written, or is of a type that has no lists."""
    check_output(output)
    if output.lower().endswith((".csv", ".tsv")):
        raise ConfigError(f"output={output}: attributions are lists; write .jsonl or .parquet")


def subject_class(config: Config) -> type[Subject]:
    """The subject of a configuration's task; raises RunError if its predictions are not explained."""
    task = registry.find("task", config.task.kind).load()
    target = task.subject
    if target is None:
        instead = "" if task.inspector is None else "; seqtrain inspect shows its errors"
        raise RunError(
            f"explain: task={config.task.name} is not explained; classification, multilabel and forecasting "
            f"are{instead}"
        )
    found: type[Subject] = registry.load_object(target)
    return found.of_data(config.data)


def usable_methods(subject: Subject, asked: Sequence[str] | None, run: str) -> list[str]:
    """The methods to use.

    Raises:
        ConfigError: if the user asked for one that says nothing of the model.
    """
    chosen = []
    for name in asked or METHODS:
        if (reason := subject.lacks(name)) is None:
            chosen.append(name)
        elif asked:
            raise ConfigError(f"methods={name}: {run}: {reason}; choose from the other methods")
        else:
            log.info("%s is left out: %s", name, reason)
    return chosen


def chosen_batches(
    subject: Subject, data: Dataset | None, split: str | None, source: str | None, rows: int | None
) -> Iterable[Batch]:
    """The rows to explain, at equal distances from the first to the last one."""
    if data is not None and split is not None:
        return subject.batches(data, split, evenly(data.sizes[split], rows or ROWS))
    return subject.new_batches(str(source), rows)


def explained(subject: Subject, batches: Iterable[Batch], methods: Sequence[str]) -> Explained:
    """Attributions and curves of all rows."""
    found, count, told = Explained(), 0, time.monotonic()
    for batch in batches:
        batch = batch.to(subject.trained.device)
        choice = subject.choose(batch)
        with torch.no_grad():
            found.whole.append(subject.shown(subject.score(batch, choice)).cpu().numpy())
        found.batches.append(batch)
        found.choices.append(choice)
        for method in methods:
            values = attributions(subject, batch, choice, method)
            found.attributions.setdefault(method, []).append(values.cpu().numpy())
            found.curves.setdefault(method, []).append(curves(subject, batch, choice, values))
            if method == "integrated_gradients":
                found.errors.append(completeness_errors(subject, batch, choice, values).cpu().numpy())
        found.curves.setdefault(RANDOM, []).append(random_curves(subject, batch, choice))
        count += len(batch.rows)
        if time.monotonic() - told >= EVERY:
            told = time.monotonic()
            log.info("%d rows explained", count)
    return found


def scores_of(found: Explained, overlap: int, about: dict[str, Any]) -> Explanation:
    """The scores of what was found.

    Args:
        found: attributions and curves.
        overlap: neighbouring rows of the split that depend on each other.
        about: see ``explanation``.
    """
    order = found.order
    joined = {name: Curves.joined(parts).rows(order) for name, parts in found.curves.items()}
    errors = {"integrated_gradients": float(np.concatenate(found.errors).mean())} if found.errors else {}
    numbers = np.concatenate([batch.rows for batch in found.batches])[order]
    if "attention" in found.attributions:
        weights = lists_of(found, "attention")
        about |= {"attention": [[float(f"{weight:.4g}") for weight in weights[place]] for place in order]}
        about |= {"numbers": numbers.tolist()}
    distance = max(1, int(np.diff(numbers).min())) if len(numbers) > 1 else 1
    return explanation(
        np.concatenate(found.whole)[order],
        joined,
        errors,
        -(-overlap // distance),
        **about,
    )


def table_of(found: Explained, subject: Subject) -> "pyarrow.Table":
    """A row for each one explained: its number, what the subject says of it, its score, and a list for each method."""
    import pyarrow as pa

    columns = {"row": pa.array(np.concatenate([batch.rows for batch in found.batches]))}
    columns |= subject.columns(found.batches, found.choices)
    columns["score"] = pa.array(np.concatenate(found.whole))
    for method in found.attributions:
        columns[method] = pa.array(lists_of(found, method), type=pa.list_(pa.float64()))
    return pa.table(columns).take(pa.array(found.order))


def lists_of(found: Explained, method: str) -> list[list[float]]:
    """The attribution of each real step of each row by a method, in the order of the batches."""
    return [
        row[:length].tolist()
        for batch, part in zip(found.batches, found.attributions[method], strict=True)
        for row, length in zip(part, batch.lengths.tolist(), strict=True)
    ]


def write(result: Explanation, run: RunDirectory) -> None:
    """Write explanation.json, and the figures for TensorBoard."""
    with run.locked():
        with writing(run.explanation_path, run.path):
            write_json(run.explanation_path, asdict(result))
        write_final_events(run.path, {}, {}, result.step, Media(figures(result)), result.step, EXPLANATION)
    log.info("%s: written", run.explanation_path)
