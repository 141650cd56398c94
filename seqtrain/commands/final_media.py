"""What TensorBoard shows of a run's best checkpoint: figures, tables, curves, and its embedding."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from torch import nn

from seqtrain.commands.session import Session
from seqtrain.runs.directory import RunDirectory
from seqtrain.tasks.base import FINAL_GROUPS, Evaluation
from seqtrain.tasks.drawing import headed, heading
from seqtrain.training.media import Media
from seqtrain.training.projector import write_projector


def final_media(
    session: Session, scores: Mapping[str, Evaluation], baselines: Mapping[str, Mapping[str, Evaluation]]
) -> Media:
    """What is shown of the best checkpoint; its embedding is written for the projector.

    Args:
        session: the run, whose outputs are written; model and head have the weights of that checkpoint.
        scores: scores by split.
        baselines: evaluations of the baselines: method -> split -> evaluation.

    Returns:
        Figures with a heading that names split, step and score; tables; curves.
    """
    data, built, step = session.data, session.built, session.trainer.progress.best_step
    monitor, media = built.task.monitor, Media()
    with with_outputs(session.run, scores) as evaluations:
        drawn = built.task.final_figures(built.model, built.head, data, built.device, evaluations, baselines)
        for split, evaluation in evaluations.items():
            group = FINAL_GROUPS[split]
            of_split = {tag: figure for tag, figure in drawn.items() if tag.startswith(f"{group}/")}
            headed(of_split, heading(split, step, monitor, evaluation.metrics[monitor], "the best"))
            media.texts |= {f"{group}/{tag}": table for tag, table in built.task.tables(evaluation).items()}
            media.curves |= {f"{group}/{tag}": curve for tag, curve in built.task.curves(evaluation).items()}
    media.figures = drawn
    project_embedding(session)
    return media


def project_embedding(session: Session) -> None:
    """Write the vectors of the most frequent tokens for TensorBoard's Embedding Projector, if inputs are tokens."""
    embedding = dict(session.built.model.named_children()).get("embedding")
    names = session.data.token_names()
    if isinstance(embedding, nn.Embedding) and len(names) == embedding.num_embeddings:
        counts, vectors = session.data.token_counts(), embedding.weight.detach().float().cpu().numpy()
        write_projector(session.run.path, names, counts, vectors)


@contextmanager
def with_outputs(run: RunDirectory, scores: Mapping[str, Evaluation]) -> Iterator[dict[str, Evaluation]]:
    """Evaluations with the outputs that were written; an array is read when it is used."""
    files = {split: np.load(run.predictions_of(split), allow_pickle=False) for split in scores}
    try:
        yield {split: replace(scores[split], outputs=file) for split, file in files.items()}
    finally:
        for file in files.values():
            file.close()
