"""Figures of a run's best checkpoint, for TensorBoard."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from seqtrain.commands.session import Session
from seqtrain.runs.directory import RunDirectory
from seqtrain.tasks.base import FINAL_GROUPS, Evaluation
from seqtrain.tasks.drawing import headed, heading

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def final_figures(
    session: Session, scores: Mapping[str, Evaluation], baselines: Mapping[str, Mapping[str, Evaluation]]
) -> dict[str, "Figure"]:
    """Figures of the best checkpoint, by tag, with a heading that names split, step and score.

    Args:
        session: the run, whose outputs are written; model and head have the weights of that checkpoint.
        scores: scores by split.
        baselines: evaluations of the baselines: method -> split -> evaluation.
    """
    data, built, step = session.data, session.built, session.trainer.progress.best_step
    with with_outputs(session.run, scores) as evaluations:
        figures = built.task.final_figures(built.model, built.head, data, built.device, evaluations, baselines)
    splits = {group: split for split, group in FINAL_GROUPS.items()}
    for tag, figure in figures.items():
        split = splits.get(tag.partition("/")[0], "")
        if split in scores:
            value = scores[split].metrics[built.task.monitor]
            headed({tag: figure}, heading(split, step, built.task.monitor, value, "the best"))
    return figures


@contextmanager
def with_outputs(run: RunDirectory, scores: Mapping[str, Evaluation]) -> Iterator[dict[str, Evaluation]]:
    """Evaluations with the outputs that were written; an array is read when it is used."""
    files = {split: np.load(run.predictions_of(split), allow_pickle=False) for split in scores}
    try:
        yield {split: replace(scores[split], outputs=file) for split, file in files.items()}
    finally:
        for file in files.values():
            file.close()
