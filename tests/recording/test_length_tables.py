"""scripts/benchmark-attention-length: the table that it makes of finished runs, its picture, and its options."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from seqtrain.config.root import Config
from seqtrain.tasks.translation.statistics import bleu_of


@pytest.fixture
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("benchmark-attention-length")


def counts_of(right: float, rows: int, seed: int) -> np.ndarray:
    """Counts of texts of 8 words, of which about so many are right."""
    whole = np.tile([8, 7, 6, 5], (rows, 1))
    hits = np.random.default_rng(seed).binomial(whole, right)
    return np.concatenate([np.full((rows, 2), 8), hits, whole], axis=1)


def test_the_table_and_the_picture(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths, counts = np.repeat([4, 9, 12], 20), [counts_of(right, 60, seed) for seed, right in ((0, 0.7), (1, 0.4))]
    for score, each in zip(script.SCORES.values(), counts, strict=True):
        folder = tmp_path / score / "predictions"
        folder.mkdir(parents=True)
        np.savez(folder / "test.npz", source_lengths=lengths, bleu_counts=each)
    header, _, *rows = script.lines(tmp_path)
    assert header == "| tokens of the source | pairs | with attention | without attention | difference |"
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[:2] for row in cells] == [["4", "20"], ["9", "20"], ["12", "20"], ["all", "60"]]
    for row, chosen in zip(cells, (*(lengths == length for length in (4, 9, 12)), lengths > 0), strict=True):
        one, other = (float(bleu_of(each[chosen].sum(0).astype(float))) for each in counts)
        assert row[2:4] == [f"{one:.1f}", f"{other:.1f}"]
        difference, ends = row[4].split(" ", 1)
        low, high = map(float, ends.strip("[]").split(","))
        assert low < float(difference) < high and float(difference) == pytest.approx(one - other, abs=0.051)
    monkeypatch.setattr(script, "PICTURE", tmp_path / "picture.png")
    script.draw(tmp_path)
    assert 5_000 < (tmp_path / "picture.png").stat().st_size < 200_000


def test_its_options_exist(script: ModuleType, composed: Callable[..., Config]) -> None:
    for score in script.SCORES.values():
        assert composed(*script.OPTIONS, f"model.attention.score={score}").task.kind == "translation"
    page = script.PAGE.read_text(encoding="utf-8")
    assert page.index(script.START) < page.index(script.END)
