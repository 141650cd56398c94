"""Explanations of the class of a series: what a removed step is, and that padding and batches do not count."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtrain.commands.build import build_data
from seqtrain.config.root import Config
from seqtrain.runs.json_files import write_json
from seqtrain.tasks.classification.explain_series import SeriesSubject
from seqtrain.tasks.explaining.methods import METHODS, attributions, completeness_errors
from tests.archives import waves, write_archive, write_pair
from tests.tasks.explaining.test_explaining import rows_of, subject_of


@pytest.fixture(scope="module")
def subject(composed: Callable[..., Config], tmp_path_factory: pytest.TempPathFactory) -> SeriesSubject:
    folder = tmp_path_factory.mktemp("waves")
    write_pair(folder / "Waves", 24, features=2, unequal=True, length=12)
    config = composed(
        "data=series_classes", f"data.path={folder / 'Waves'}", "model=gru_attn", "model.kernel=torch", "device=cpu",
        "model.hidden_size=8", "model.embedding.embed_dim=4",
    )  # fmt: skip
    found = subject_of(config, folder, None)
    write_json(folder / "data.json", build_data(config).describe())
    assert isinstance(found, SeriesSubject)
    return found


def test_a_removed_step_has_the_mean_of_its_series(subject: SeriesSubject) -> None:
    batch = rows_of(subject, 12)
    kept = torch.ones(batch.inputs.shape[:2], dtype=torch.bool)
    kept[:, 2] = False
    left = subject.without(batch, kept).inputs
    assert torch.equal(left[kept], batch.inputs[kept])
    for row, length in enumerate(batch.lengths.tolist()):
        torch.testing.assert_close(left[row, 2], batch.inputs[row, :length].mean(0))
    nothing = subject.without(batch, torch.zeros_like(kept)).inputs
    torch.testing.assert_close(nothing, subject.baseline(batch))


def test_attributions_are_complete_and_those_of_each_series_alone(subject: SeriesSubject) -> None:
    batch = rows_of(subject, 12)
    assert len(set(batch.lengths.tolist())) > 1
    choice, data = subject.choose(batch), build_data(subject.trained.config)
    for method in METHODS:
        whole = attributions(subject, batch, choice, method)
        assert whole.abs().sum() > 0
        for row, length in ((0, batch.lengths[0]), (7, batch.lengths[7])):
            alone = next(iter(subject.batches(data, "test", batch.rows[row : row + 1])))
            own = attributions(subject, alone, choice[row : row + 1], method)
            torch.testing.assert_close(whole[row, :length], own[0], atol=1e-5, rtol=1e-4)
            assert (whole[row, length:] == 0).all()
        if method == "integrated_gradients":
            assert completeness_errors(subject, batch, choice, whole).max() < 1e-4


def test_series_of_a_file(subject: SeriesSubject, tmp_path: Path) -> None:
    path = write_archive(tmp_path / "new.ts", waves(5, 3, features=2, unequal=True, length=12))
    batches = list(subject.new_batches(str(path)))
    assert sorted(np.concatenate([batch.rows for batch in batches]).tolist()) == [0, 1, 2, 3, 4]
    table = subject.columns(batches, [subject.choose(batch) for batch in batches])
    assert len(table["prediction"]) == 5
