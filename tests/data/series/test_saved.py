"""What a scaler.json may hold."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqtrain.config.series import SeriesFilesConfig
from seqtrain.data.series.saved import SavedSeries
from seqtrain.data.series.times import Clock
from seqtrain.errors import RunError

STATE: dict[str, Any] = {
    "num_targets": 1, "frequency": "h", "names": ["load", "heat"], "ids": ["a", "b"],
    "centre": [[0.0, 1.5], [1e-300, 2.0]], "scale": [[1.0, 2.0], [0.1, 3.0]], "mean": [[0.0, 0.0], [0.0, 0.0]],
}  # fmt: skip


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., SavedSeries]:
    def reading(**changes: Any) -> SavedSeries:
        (tmp_path / "scaler.json").write_text(json.dumps(STATE | changes))
        return SavedSeries.read(tmp_path / "scaler.json")

    return reading


def test_a_file_of_any_version(read: Callable[..., SavedSeries]) -> None:
    saved = read()
    assert saved.scaling.centre.tolist() == STATE["centre"] and saved.scaling.select(["b"]).scale.tolist() == [
        [0.1, 3.0]
    ]
    assert saved.times.clock is None and saved.untrained == set() and saved.season is None
    assert saved.as_trained(SeriesFilesConfig()).targets == ["load"]
    later = read(clock="utc", left_out=["c"], added=1)
    assert (
        later.times.clock is Clock.utc
        and later.untrained == {"c"}
        and read(left_out=["c"], ids=None, **ONE).untrained == set()
    )


ONE = {name: [[1.0, 1.0]] for name in ("centre", "scale", "mean")}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"scale": [[1.0, 0.0], [1.0, 1.0]]}, "scale of 'heat' of series 'a': must be a finite number above 0, is 0.0"),
        ({"scale": [[1.0, 1.0], [-1e-9, 1.0]]}, "scale of 'load' of series 'b': must be a finite number above 0"),
        (
            {"scale": [[1.0, 1.0], [float("inf"), 1.0]]},
            "scale of 'load' of series 'b': must be a finite number above 0",
        ),
        ({"centre": [[0.0, 1.0], [0.0, float("nan")]]}, "centre of 'heat' of series 'b': must be a finite number"),
        ({"ids": None} | ONE | {"mean": [[None, 0.0]]}, "mean of 'load': must be a finite number, is None"),
        ({"mean": [[0.0, 0.0]]}, "mean: expected 2 rows of 2 numbers"),
        ({"centre": [[0.0], [0.0, 1.0]]}, "centre: expected 2 rows of 2 numbers"),
        ({"centre": [[0.0, "1"], [0.0, 1.0]]}, r"centre\[0\]\[1\]: expected a finite number, is '1'"),
        ({"num_targets": 3}, "num_targets: 3 of 2 variables"),
        ({"clock": "sun"}, "clock: unknown, 'sun'"),
        ({"names": "ab"}, "names: expected a list"),
        ({"frequency": None}, "frequency: expected text"),
    ],
)
def test_what_cannot_be_used_is_named(read: Callable[..., SavedSeries], change: dict[str, Any], message: str) -> None:
    with pytest.raises(RunError, match=f"scaler.json: {message}"):
        read(**change)
