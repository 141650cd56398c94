"""What float32 windows cannot tell apart is named, and what they can is not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seqtrain.config.series import ScaleBy, Scaler, SeriesFilesConfig
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.errors import DataError


def notes(folder: Path, columns: dict[str, np.ndarray], **changes: object) -> list[str]:
    """Remarks on float32 for two series ``a`` and ``b``, one after the other."""
    options: dict[str, object] = {"lookback": 7, "horizon": 3, "season": 7, "id_column": "id"}
    count = len(columns["id"]) // 2
    days = np.tile(pd.date_range("2020-01-01", periods=count, freq="D"), 2)
    pd.DataFrame({"date": days, **columns}).to_parquet(folder / "t.parquet")
    config = SeriesFilesConfig(name="t", path=str(folder / "t.parquet"), **(options | changes))  # type: ignore[arg-type]
    return [
        note for note in ForecastingData(config, 0).notes if "float32" in note and "data.missing_values" not in note
    ]


def panel(level: float, size: float) -> dict[str, np.ndarray]:
    """Series ``a`` of ``level`` with a deviation of a fifth, and ``b`` around 0.5 with one of ``size``."""
    random = np.random.default_rng(0)
    values = [level * (1 + random.normal(size=80) / 5), 0.5 + size * random.normal(size=80)]
    return {"id": np.repeat(["a", "b"], 80), "y": np.concatenate(values)}


def test_a_small_series_beside_a_large_one(tmp_path: Path) -> None:
    """Its share is the distance of float32 numbers at its scaled level, of its naive error."""
    columns = panel(1e8, 0.3)
    (note,) = notes(tmp_path, columns, scale_by=ScaleBy.all)
    train = np.concatenate([columns["y"][:56], columns["y"][80:136]])
    b = columns["y"][80:136]
    level = np.float32(abs((b - train.mean()) / train.std()).mean())
    naive = min(abs(np.diff(b)).mean(), abs(b[7:] - b[:-7]).mean())
    share = np.spacing(level) * train.std() / naive
    assert share > 1 and f"'y' of series 'b' ({100 * share:.2g} %): " in note and "use data.scale_by=series" in note
    assert notes(tmp_path, columns) == [] and notes(tmp_path, panel(1e3, 0.3), scale_by=ScaleBy.all) == []


def test_a_large_level_that_is_not_taken_out(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    columns = {"id": np.repeat(["a", "b"], 80), "y": 1e9 + random.integers(-4, 5, 160), "z": random.normal(size=160)}
    (note,) = notes(tmp_path, columns, scaler=Scaler.none)
    assert "'y' of series 'a'" in note and "'y' of series 'b'" in note and "'z'" not in note
    assert note.endswith("use data.scaler=standard") and notes(tmp_path, columns) == []


def test_no_scaling_would_help(tmp_path: Path) -> None:
    """Of a series that repeats itself but for its last digits."""
    week = 100 + np.sin(np.arange(160) * 2 * np.pi / 7) + np.random.default_rng(0).normal(size=160) * 1e-9
    assert notes(tmp_path, {"id": np.repeat(["a", "b"], 80), "y": week}) == []
    assert "'y'" in notes(tmp_path, {"id": np.repeat(["a", "b"], 80), "y": 1e4 * week}, scaler=Scaler.none)[0]


def test_a_value_beyond_float32(tmp_path: Path) -> None:
    columns = panel(1.0, 0.3)
    columns["y"][70] = 1e40
    assert notes(tmp_path, columns | {"y": columns["y"].clip(max=1e30)}) == []
    with pytest.raises(DataError, match=r"t\.parquet: row 71: column 'y': 1e\+40 is beyond 3"):
        notes(tmp_path, columns)
