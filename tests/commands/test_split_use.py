"""Test data is read once, at the end."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seqtrain.commands.final_scores import score
from seqtrain.commands.session import start
from seqtrain.config.root import Config
from seqtrain.data.base import Batch
from seqtrain.runs.directory import RunDirectory
from seqtrain.training.ranks import SOLO

SMALL = {
    "texts": ["model.kernel=torch"],
    "series": ["data=sine", "data.length=800", "data.lookback=48", "data.horizon=12", "model=nlinear"],
}


@pytest.mark.parametrize("options", SMALL.values(), ids=SMALL)
def test_test_is_not_read_before_the_end(
    composed: Callable[..., Config], small: Callable[..., Config], tmp_path: Path, options: list[str]
) -> None:
    """Figures included, which look at a few rows."""
    compose = small if "model.kernel=torch" in options else composed
    config = compose(*options, "trainer.max_steps=4", "trainer.eval_every=2", "trainer.figures=true", "device=cpu")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    session = start(config, run, SOLO)
    data, read, drawn = session.data, list[str](), list[str]()
    eval_batches, examples = data.eval_batches, data.examples

    def recorded_batches(split: str) -> Iterator[Batch]:
        read.append(split)
        yield from eval_batches(split)

    def recorded_examples(split: str, count: int) -> tuple[Batch, list[list[str]]]:
        drawn.append(split)
        return examples(split, count)

    vars(data).update(eval_batches=recorded_batches, examples=recorded_examples)
    session.trainer.fit()
    assert read == ["validation", "validation"] and set(drawn) <= {"validation", "train"}
    scores = score(session)
    assert read == ["validation", "validation", "validation", "test"] and set(scores) == {"validation", "test"}
