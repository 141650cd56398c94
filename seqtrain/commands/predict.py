"""Predict with a run's model, from the shell or from Python."""

import json
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from seqtrain.atomic import replacing
from seqtrain.commands.build import Built, load_trained
from seqtrain.commands.evaluate import check_changes, check_choice
from seqtrain.commands.forecast import forecast_table
from seqtrain.commands.language import token_table
from seqtrain.config.corpus import CorpusConfig
from seqtrain.config.data import TextClassificationConfig
from seqtrain.config.loading import from_yaml, to_config
from seqtrain.config.root import Config
from seqtrain.config.series import SeriesConfig
from seqtrain.data.tables import SUFFIXES, read_table, text_lines
from seqtrain.data.text.classification import text_batches
from seqtrain.data.text.columns import column
from seqtrain.errors import ConfigError, DataError, RunError
from seqtrain.run_directory import RunDirectory
from seqtrain.tasks.classification.task import Classification
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
        directory = RunDirectory.open(str(run))
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
        try:
            tokenizer = Tokenizer.from_file(str(run.tokenizer_path))
        except Exception as error:  # the library raises no narrower kind
            raise RunError(f"{run.tokenizer_path}: cannot be read ({error}); restore it, or train again") from error
        return cls(config, built, tokenizer, built.task.class_names)

    def predict_probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Probability of each class for each text, (N, C); a text's own do not depend on the others."""
        if isinstance(texts, str):
            raise TypeError("predict takes a list of texts; for a single one, give [text]")
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

    Of a language model see ``token_table``, of a forecaster ``forecast_table``.

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
    if isinstance(config.data, CorpusConfig):
        check_output(output)
        write_table(token_table(config, run, source, checkpoint), output)
        return
    if isinstance(config.data, SeriesConfig):
        check_output(output)
        write_table(forecast_table(config, run, source, checkpoint), output)
        return
    if not isinstance(config.data, TextClassificationConfig):
        raise RunError(
            f"run={run.path}: predict is for text classifiers, language models and forecasters, and its data is "
            f"{config.data.name}"
        )
    check_output(output)
    table = read_lines() if source == "-" else read_table(Path(source).expanduser())
    name = "text" if source == "-" or source.endswith(".txt") else config.data.text_column
    texts = column(table, name, "data.text_column", source)
    check_types(table, output)
    trained = TrainedModel.from_config(config, run, checkpoint)
    added = add_predictions(table, texts, trained, source)
    write_table(added, output)
    if output != "-":
        log.info("%s: %d rows", output, added.num_rows)


def add_predictions(table: "pyarrow.Table", values: list[Any], trained: TrainedModel, source: str) -> "pyarrow.Table":
    """The table with ``prediction`` and ``p_<class>``; null where the text is blank."""
    import pyarrow as pa

    columns = ["prediction", *(f"p_{class_name}" for class_name in trained.class_names)]
    taken = [title for title in columns if title in table.column_names]
    if taken:
        raise DataError(f"{source}: already has a column {taken[0]!r}; rename it first")
    texts = ["" if value is None else str(value) for value in values]
    filled = np.array([text.strip() != "" for text in texts], dtype=bool)
    if not filled.all():
        log.info("%s: %d rows with empty text have no prediction", source, np.sum(~filled))
    probabilities = np.full((len(texts), len(trained.class_names)), np.nan)
    probabilities[filled] = trained.predict_probabilities([texts[i] for i in np.flatnonzero(filled)])
    labels = [trained.class_names[i] for i in np.nan_to_num(probabilities).argmax(1)]
    added = [pa.array(labels, type=pa.string(), mask=~filled), *(pa.array(p, mask=~filled) for p in probabilities.T)]
    for title, value in zip(columns, added, strict=True):
        table = table.append_column(title, value)
    return table


def read_lines() -> "pyarrow.Table":
    """Lines of stdin as the column ``text``."""
    import pyarrow as pa

    try:
        return pa.table({"text": pa.array(text_lines(sys.stdin.buffer.read()), type=pa.string())})
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
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ConfigError(f"output={output}: cannot be written ({error.strerror}); choose another path") from error


def check_types(table: "pyarrow.Table", output: str) -> None:
    """Raise DataError for a column that the output's format cannot hold."""
    if output.endswith((".csv", ".tsv")):
        for field in table.schema:
            if field.type.num_fields:
                raise DataError(
                    f"output={output}: column {field.name!r} holds lists or objects; write .jsonl or .parquet"
                )


def write_table(table: "pyarrow.Table", output: str) -> None:
    """Write a table in the format of the output's name."""
    if output == "-":
        write_json_lines(table, sys.stdout.buffer)
        sys.stdout.flush()
    else:
        write_tables(iter([table]), output)


def write_tables(tables: Iterator["pyarrow.Table"], output: str) -> None:
    """Write tables of the same columns, at least one, below each other, each as it comes."""
    path = Path(output).expanduser()
    first = next(tables)
    tables = chain([first], tables)
    with replacing(path) as temporary, temporary.open("wb") as file:
        if path.suffix == ".jsonl":
            for table in tables:
                write_json_lines(table, file)
        elif path.suffix == ".parquet":
            from pyarrow import parquet

            with parquet.ParquetWriter(file, first.schema) as writer:
                for table in tables:
                    writer.write_table(table)
        else:
            from pyarrow import csv

            options = csv.WriteOptions(delimiter="\t" if path.suffix == ".tsv" else ",")
            with csv.CSVWriter(file, first.schema, write_options=options) as writer:
                for table in tables:
                    writer.write_table(table)


def write_json_lines(table: "pyarrow.Table", file: BinaryIO) -> None:
    """One JSON object a row; what JSON does not know (dates, say) as text."""
    for batch in table.to_batches(max_chunksize=1000):
        for row in batch.to_pylist():
            file.write((json.dumps(row, ensure_ascii=False, default=str) + "\n").encode())
