"""Parts of datasets: few batches of a split with their rows, and one batch again and again."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtrain.commands.build import build_data, build_model
from seqtrain.config.root import Config
from seqtrain.data.base import Dataset
from seqtrain.data.corpus.dataset import SegmentBatch
from seqtrain.data.subset import few_batches, one_batch, scored_rows
from seqtrain.training.evaluation import evaluate

Compose = Callable[..., Config]


@pytest.fixture(params=["texts", "running text", "running text, attention", "series", "labels", "numbers"])
def config(request: pytest.FixtureRequest, small: Compose, composed: Compose, tmp_path: Path) -> Config:
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat and the dog ate the rest of it.\n" * 600)
    tiny = ["model.hidden_size=6", "model.embedding.embed_dim=4", "device=cpu"]
    corpus = [
        "data=text_corpus",
        f"data.path={text}",
        "data.tokenizer=char",
        "data.batch_size=4",
        "data.bptt_len=8",
        "data.eval_batch_size=2",
    ]
    match request.param:
        case "texts":
            return small("model=gru", "data.eval_batch_tokens=400")
        case "running text":
            return composed(*corpus, *tiny, "model=gru")
        case "running text, attention":  # whose first batches in evaluation are there to be read only
            return composed(*corpus, *tiny, "model=gru_attn", "model.context_length=300")
        case "series":
            sizes = ["data.length=500", "data.lookback=24", "data.horizon=6", "data.eval_batch_size=16"]
            return composed("data=sine", "model=gru", *sizes, *tiny)
        case "labels":
            return composed("data=copy_memory", "model=gru", *tiny, "data.length=5", "data.num_eval=200")
    return composed("data=adding", "model=gru", *tiny, "data.length=8", "data.num_eval=200")


@pytest.mark.parametrize("count", [1, 2])
def test_the_rows_are_those_of_the_outputs(config: Config, count: int) -> None:
    data = build_data(config)
    few = few_batches(data, count)
    assert type(few) is type(data) and few.sizes == data.sizes and few_batches(data, None) is data
    batches = list(few.eval_batches("validation"))
    assert sum(batch.num_tokens > 0 for batch in batches) == count
    built = build_model(config, data.spec)

    def outputs(data: Dataset) -> dict[str, np.ndarray]:
        batches = data.eval_batches("validation")
        evaluation = evaluate(built.model, built.head, built.task, batches, built.device, config.trainer.precision)
        return {name: value for name, value in evaluation.outputs.items() if name != "lengths"}

    rows, part, whole = few.source_rows("validation"), outputs(few), outputs(data)
    everywhere = data.source_rows("validation").tolist()
    assert 0 < len(rows) < len(everywhere)
    places = [everywhere.index(row) for row in rows.tolist()]
    for name, values in part.items():
        steps = len(whole[name]) // len(everywhere)  # outputs of a row: more than one where steps are labelled
        expected = whole[name].reshape(len(everywhere), steps, *whole[name].shape[1:])[places]
        np.testing.assert_allclose(values.reshape(expected.shape), expected, atol=1e-5)
    assert few.scoring.endswith(f"of the first {count} batches of each split alone")
    assert len(np.concatenate([scored_rows(batch) for batch in batches])) == len(rows)


def test_one_batch_is_always_the_same(config: Config) -> None:
    data = build_data(config)
    one = one_batch(data, rows=3)
    (first,), (second,) = one.train_batches(0), one.train_batches(7)
    assert one.num_batches(0) == one.num_batches(7) == 1 and not list(one.train_batches(2, start=1))
    assert first is second
    assert 1 <= len(first.rows) <= 3
    whole = next(data.train_batches(0))
    assert first.num_tokens == int(first.lengths.sum()) and len(
        next(one_batch(data, None).train_batches(0)).rows
    ) == len(whole.rows)
    if isinstance(first, SegmentBatch):
        assert first.restarts is not None and first.restarts[:, 0].all()
        assert torch.equal(first.inputs, whole.inputs[:: -(-len(whole.rows) // 3)])
