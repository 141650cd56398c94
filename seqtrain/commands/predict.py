"""Predict with a run's model, from the shell or from Python."""

import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from seqtrain.commands.build import Built, load_trained
from seqtrain.commands.evaluate import check_changes, check_choice
from seqtrain.config.loading import from_yaml, to_config
from seqtrain.config.root import Config
from seqtrain.data.files import SUFFIXES, read_table
from seqtrain.data.text_classification import text_batches
from seqtrain.errors import ConfigError, DataError, RunError
from seqtrain.run_directory import RunDirectory
from seqtrain.tasks.classification import Classification
from seqtrain.training.evaluation import evaluate

if TYPE_CHECKING:
    import pyarrow
    from tokenizers import Tokenizer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prediction:
    """The class of a text."""

    label: str
    probabilities: dict[str, float]
    """Of each class."""


@dataclass
class TrainedModel:
    """A run's model, ready for new texts."""

    config: Config
    built: Built
    tokenizer: "Tokenizer"
    class_names: list[str]

    @classmethod
    def load(cls, run: str | Path, checkpoint: str = "best", device: str = "auto") -> "TrainedModel":
        """Load from a run directory; raises RunError where that cannot be done."""
        directory = RunDirectory.open(Path(run))
        config = to_config(from_yaml(directory.config_path))
        config.device = device
        return cls.from_config(config, directory, checkpoint)

    @classmethod
    def from_config(cls, config: Config, run: RunDirectory, checkpoint: str) -> "TrainedModel":
        """Load with a configuration that may differ from the run's in device and batch sizes."""
        from tokenizers import Tokenizer

        built, _ = load_trained(config, run, checkpoint)
        if not isinstance(built.task, Classification):
            raise RunError(f"run={run.path}: predict is for classifiers, and its task is {config.task.name}")
        return cls(config, built, Tokenizer.from_file(str(run.tokenizer_path)), built.task.class_names)

    def predict_probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Probability of each class for each text, (N, C); a text's own do not depend on the others."""
        if not texts:
            return np.zeros((0, len(self.class_names)))
        batches = text_batches(self.config.data, self.tokenizer, texts)  # type: ignore[arg-type]
        built = self.built
        precision = self.config.trainer.precision
        return evaluate(built.model, built.head, built.task, batches, built.device, precision).outputs["probabilities"]

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Class and probabilities of each text."""
        return [
            Prediction(self.class_names[row.argmax()], dict(zip(self.class_names, row.tolist(), strict=True)))
            for row in self.predict_probabilities(texts)
        ]


def predict(
    saved: Config, config: Config, run: RunDirectory, source: str, output: str, *, checkpoint: str = "best"
) -> None:
    """Add a prediction and a probability per class to the rows of a file.

    Args:
        saved: the run's configuration.
        config: the same with changes, of ``data.text_column`` or the device, say.
        run: the run's directory.
        source: csv, tsv, jsonl, parquet or txt file, or - for lines from stdin.
        output: csv, tsv, jsonl or parquet file, replaced only once it is complete, or - for jsonl to stdout.
        checkpoint: ``best`` or ``last``.

    Raises:
        ConfigError: if the output cannot be written (found out before anything else is done).
        DataError: if the input cannot be used.
    """
    check_choice("checkpoint", checkpoint, ("best", "last"))
    check_changes(saved, config)
    check_output(output)
    table = read_lines() if source == "-" else read_table(Path(source).expanduser())
    name = "text" if source == "-" or source.endswith(".txt") else config.data.text_column  # type: ignore[attr-defined]
    if name not in table.column_names:
        raise DataError(
            f"{source}: has no column {name!r}; its columns: {', '.join(table.column_names)}; "
            "name the one with the text, as data.text_column=..."
        )
    trained = TrainedModel.from_config(config, run, checkpoint)
    added = add_predictions(table, name, trained, source)
    write_table(added, output)
    if output != "-":
        log.info("%s: %d rows", output, added.num_rows)


def add_predictions(table: "pyarrow.Table", name: str, trained: TrainedModel, source: str) -> "pyarrow.Table":
    """The table with ``prediction`` and ``p_<class>``; null where the text is blank."""
    import pyarrow as pa

    columns = ["prediction", *(f"p_{class_name}" for class_name in trained.class_names)]
    taken = [column for column in columns if column in table.column_names]
    if taken:
        raise DataError(f"{source}: already has a column {taken[0]!r}; rename it first")
    texts = ["" if value is None else str(value) for value in table.column(name).to_pylist()]
    filled = np.array([text.strip() != "" for text in texts], dtype=bool)
    if not filled.all():
        log.info("%s: %d rows with empty text have no prediction", source, np.sum(~filled))
    probabilities = np.full((len(texts), len(trained.class_names)), np.nan)
    probabilities[filled] = trained.predict_probabilities([texts[i] for i in np.flatnonzero(filled)])
    labels = [trained.class_names[i] for i in np.nan_to_num(probabilities).argmax(1)]
    values = [pa.array(labels, mask=~filled), *(pa.array(p, mask=~filled) for p in probabilities.T)]
    for column, value in zip(columns, values, strict=True):
        table = table.append_column(column, value)
    return table


def read_lines() -> "pyarrow.Table":
    """Lines of stdin as the column ``text``."""
    import pyarrow as pa

    try:
        return pa.table({"text": pa.array(sys.stdin.buffer.read().decode("utf-8").splitlines(), type=pa.string())})
    except UnicodeDecodeError as error:
        raise DataError(f"input=-: byte {error.start} is not UTF-8 ({error.reason})") from error


def check_output(output: str) -> None:
    """Raise ConfigError unless the output's type is known and its folder can be written."""
    if output == "-":
        return
    path = Path(output).expanduser()
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"output={output}: must end in {', '.join(SUFFIXES)}, or be -")
    try:
        if path.is_dir():
            raise IsADirectoryError(None, "is a folder")
        partial(path).touch()
        partial(path).unlink()
    except OSError as error:
        raise ConfigError(f"output={output}: cannot be written ({error.strerror}); choose another path") from error


def partial(path: Path) -> Path:
    """Where an output grows until it is complete."""
    return path.with_name(f".{path.name}.{os.getpid()}")


def write_table(table: "pyarrow.Table", output: str) -> None:
    """Write a table in the format of the output's name."""
    if output == "-":
        write_json_lines(table, sys.stdout.buffer)
        sys.stdout.flush()
        return
    path = Path(output).expanduser()
    try:
        with partial(path).open("wb") as file:
            if path.suffix == ".jsonl":
                write_json_lines(table, file)
            elif path.suffix == ".parquet":
                from pyarrow import parquet

                parquet.write_table(table, file)
            else:
                from pyarrow import csv

                csv.write_csv(table, file, csv.WriteOptions(delimiter="\t" if path.suffix == ".tsv" else ","))
        partial(path).replace(path)
    finally:
        partial(path).unlink(missing_ok=True)


def write_json_lines(table: "pyarrow.Table", file: BinaryIO) -> None:
    """One JSON object a row; what JSON does not know (dates, say) as text."""
    for batch in table.to_batches(max_chunksize=1000):
        for row in batch.to_pylist():
            file.write((json.dumps(row, ensure_ascii=False, default=str) + "\n").encode())
