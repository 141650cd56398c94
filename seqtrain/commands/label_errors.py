"""List the rows whose given label is unlikely, by runs that were not trained on them."""

import logging
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqtrain.alignment import align_columns
from seqtrain.commands.build import build_task
from seqtrain.commands.candidates import Candidate, read_candidates
from seqtrain.commands.members import averaged_parts, rows_of
from seqtrain.commands.output import check_output, write_table
from seqtrain.data.text.classification import TextClassification
from seqtrain.errors import DataError, RunError
from seqtrain.tasks.averages import joined
from seqtrain.tasks.classification.label_noise import Suspect, suspects

if TYPE_CHECKING:
    import pyarrow

log = logging.getLogger(__name__)

SHOWN = 20
TEXT_WIDTH = 60  # letters of a text on the terminal
KINDS = ("classification", "multilabel")


def label_errors(directories: Sequence[str], *, output: str | None = None) -> "pyarrow.Table":
    """Find the rows whose given label is unlikely, print the first ones, and write all to a file.

    Args:
        directories: runs, or folders of runs: those of the folds of one experiment, or others with the same data.
        output: csv, tsv, jsonl or parquet file; None writes none.

    Returns:
        A row for each one found, the least likely label first: ``row``, its number in the source from 0; ``label`` and
        ``likely_label``, for sets of labels ``yes`` or ``no`` beside ``class``; their probabilities, ``p_label`` and
        ``p_likely``; and, if the source is still there, ``place``, its file and line, and ``text``.

    Raises:
        ConfigError: for a directory that does not exist, or an output that cannot be written.
        RunError: if the runs do not classify texts, or do not fit together.
    """
    if output is not None:
        check_output(output)
    candidates = read_candidates(directories, least=1)
    first = candidates[0]
    if first.run.task not in KINDS:
        raise RunError(f"{first.run.path}: label-errors is for {' and '.join(KINDS)}, and its task is {first.run.task}")
    task = build_task(first.member.config, first.run.data.spec)
    of_member = {id(each.member): each for each in candidates}
    parts = averaged_parts(
        task,
        [each.member for each in candidates],
        "validation",
        lambda member: of_member[id(member)].outputs("validation", list(task.averages)),
    )
    outputs, rows = joined([outputs for outputs, _ in parts]), rows_of(parts)
    found = suspects(outputs["probabilities"], outputs["targets"])
    table = table_of(found, rows, first.run.data.spec.class_names, outputs["targets"], first)
    print("\n".join(report(table, len(rows), judged(candidates))))
    if output is not None:
        write_table(table, output)
        log.info("%s: %d rows", output, table.num_rows)
    return table


def judged(candidates: Sequence[Candidate]) -> str:
    """Which rows the runs judge, in words."""
    folds = {each.run.fold for each in candidates if each.run.fold is not None}
    if not folds:
        return "validation"
    wanted = candidates[0].run.options["data.folds"]
    if len(folds) == wanted:
        return f"train, out of {wanted} folds"
    return f"train that are in fold {', '.join(map(str, sorted(folds)))} of {wanted}"


def table_of(
    found: Sequence[Suspect], rows: np.ndarray, names: Sequence[str], targets: np.ndarray, first: Candidate
) -> "pyarrow.Table":
    """The table that ``label_errors`` returns."""
    import pyarrow as pa

    numbers = np.array([rows[each.place] for each in found], dtype=np.int64)
    columns: dict[str, Any] = {"row": pa.array(numbers)}
    if targets.ndim == 1:
        given, likely = [names[each.given] for each in found], [names[each.likely] for each in found]
    else:
        applies = [bool(targets[each.place, each.given]) for each in found]
        columns["class"] = pa.array([names[each.given] for each in found], type=pa.string())
        given, likely = [yes_no(each) for each in applies], [yes_no(not each) for each in applies]
    columns |= {"label": pa.array(given, type=pa.string()), "likely_label": pa.array(likely, type=pa.string())}
    columns["p_label"] = pa.array([each.given_probability for each in found], type=pa.float64())
    columns["p_likely"] = pa.array([each.likely_probability for each in found], type=pa.float64())
    return pa.table(columns | source_columns(first, numbers))


def yes_no(value: bool) -> str:
    """Whether a class applies, in a word."""
    return "yes" if value else "no"


def source_columns(first: Candidate, numbers: np.ndarray) -> dict[str, Any]:
    """The place and the text of rows, read from the source again; none, with a note, where it is not as it was."""
    import pyarrow as pa

    try:
        data = first.member.data
        if not isinstance(data, TextClassification):
            log.info("data=%s has no texts, so that rows are named by their number", first.member.config.data.name)
            return {}
        if data.fingerprint != first.run.data.fingerprint:
            raise DataError("its contents have changed since the run")
        texts, places = data.texts_at(numbers)
    except DataError as error:
        log.warning("the texts of the rows cannot be read from the source, and are left out: %s", error)
        return {}
    return {"place": pa.array(places, type=pa.string()), "text": pa.array(texts, type=pa.string())}


def report(table: "pyarrow.Table", count: int, where: str) -> list[str]:
    """What the terminal shows of the table."""
    share = f"{100 * table.num_rows / count:.1f} %"
    lines = [f"{table.num_rows:,} unlikely labels among {count:,} rows of {where} ({share})"]
    if not table.num_rows:
        return lines
    shown = table.slice(0, SHOWN).to_pylist()
    cells = [[str(name) for name in table.column_names]]
    for row in shown:
        cells.append([shortened(value) for value in row.values()])
    left = [
        i for i, name in enumerate(table.column_names) if name in ("class", "label", "likely_label", "place", "text")
    ]
    lines += ["", *align_columns(cells, left=left)]
    if table.num_rows > SHOWN:
        lines.append(f"... and {table.num_rows - SHOWN:,} more; output=<file> gets all of them")
    return lines


def shortened(value: Any) -> str:
    """A value for the terminal."""
    if isinstance(value, float):
        return f"{value:.4f}"
    return textwrap.shorten(str(value), TEXT_WIDTH, placeholder=" ...")
