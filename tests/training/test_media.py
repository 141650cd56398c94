"""Curves and histograms in event files, and the files of the projector."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import precision_score, recall_score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from seqtrain.training.events import TensorBoard, write_final_events
from seqtrain.training.media import Media, parameter_values
from seqtrain.training.projector import MOST_BYTES, write_projector


def test_a_curve_has_the_precision_and_recall_of_each_threshold(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    true = rng.random(500) < 0.3
    probabilities = np.clip(0.3 * true + 0.7 * rng.random(500), 0, 1)
    media = Media(curves={"test/precision_recall/yes": (probabilities, true)}, texts={"test/scores_by_class": "| a |"})
    write_final_events(tmp_path, {}, {}, 9, media, 4)
    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0}).Reload()
    (event,) = events.Tensors("5_test/precision_recall/yes")
    assert event.step == 4
    rows = np.array(event.tensor_proto.float_val).reshape(6, 127)
    for place in (0, 40, 90):
        chosen = probabilities >= place / 126
        assert rows[4, place] == pytest.approx(precision_score(true, chosen), rel=1e-6)
        assert rows[5, place] == pytest.approx(recall_score(true, chosen), rel=1e-6)
    metadata = events.summary_metadata["5_test/precision_recall/yes"]
    assert metadata.plugin_data.plugin_name == "pr_curves" and metadata.plugin_data.content
    assert metadata.summary_description.startswith("Precision against recall")
    (text,) = events.Tensors("5_test/scores_by_class/text_summary")
    assert text.tensor_proto.string_val == [b"| a |"]


def test_histograms_are_of_all_values_of_weights_and_gradients(tmp_path: Path) -> None:
    model, head = nn.Linear(3, 4), nn.Linear(4, 2)
    head.bias.requires_grad_(False)
    head(model(torch.randn(5, 3))).square().sum().backward()
    values = parameter_values({"model": model, "head": head})
    names = ["model.weight", "model.bias", "head.weight", "head.bias"]
    assert [tag for tag in values if tag.startswith("weights/")] == [f"weights/{name}" for name in names]
    assert [tag for tag in values if tag.startswith("gradients/")] == [f"gradients/{name}" for name in names[:3]]
    assert model.weight.grad is not None
    assert (values["gradients/model.weight"] == model.weight.grad.numpy()).all()
    board = TensorBoard(tmp_path)
    board.histograms(3, values)
    board.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    (event,) = events.Histograms("weights/model.weight")
    assert (event.step, event.histogram_value.num) == (3, 12)
    assert event.histogram_value.max == pytest.approx(model.weight.max().item())
    assert sum(event.histogram_value.bucket) == 12 and len(event.histogram_value.bucket) <= 66


def test_the_projector_gets_the_most_frequent_tokens(tmp_path: Path) -> None:
    vectors = np.arange(12, dtype=np.float32).reshape(4, 3)
    write_projector(tmp_path, ["<pad>", "a\tb", "c", "d"], np.array([0, 5, 9, 5]), vectors)
    config = (tmp_path / "projector_config.pbtxt").read_text()
    for line in ('metadata_path: "projector/tokens.tsv"', 'tensor_path: "projector/vectors.bytes"',
                 "tensor_shape: 3\n  tensor_shape: 3"):  # fmt: skip
        assert line in config
    assert (tmp_path / "projector/tokens.tsv").read_text() == "token\tcount\nc\t9\na b\t5\nd\t5\n"
    found = np.fromfile(tmp_path / "projector/vectors.bytes", "<f4").reshape(3, 3)
    assert found.tolist() == vectors[[2, 1, 3]].tolist()


def test_the_files_of_the_projector_are_small(tmp_path: Path) -> None:
    V, D = 5000, 300
    write_projector(tmp_path, [str(i) for i in range(V)], np.ones(V, int), np.zeros((V, D), np.float32))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 2e6
    assert (tmp_path / "projector/vectors.bytes").stat().st_size == MOST_BYTES // (4 * D) * 4 * D


def test_without_a_token_that_occurs_nothing_is_written(tmp_path: Path) -> None:
    write_projector(tmp_path, ["a"], np.zeros(1, int), np.zeros((1, 2), np.float32))
    assert not list(tmp_path.iterdir())
