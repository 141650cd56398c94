"""Values of the columns of a file: how numbers are written, which are missing, and which columns are forecast."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seqtrain.config.series import Missing, SeriesFilesConfig
from seqtrain.data.series.reading import read_series
from seqtrain.data.series.table import SeriesTable
from seqtrain.errors import ConfigError, DataError

DAYS = [f"2021-01-{day:02}" for day in range(1, 31)]


def read(path: Path, content: str | None = None, **options: Any) -> SeriesTable:
    if content is not None:
        path.write_text(content)
    return read_series(SeriesFilesConfig(name="t", path=str(path), **options))


def column(values: list[str], name: str = "y", separator: str = ",") -> str:
    """A file of 30 days with a value each; the last one is repeated."""
    values = values + values[-1:] * (len(DAYS) - len(values))
    rows = (f"{day}{separator}{value}" for day, value in zip(DAYS, values, strict=True))
    return "\n".join([f"date{separator}{name}", *rows, ""])


def test_values_are_the_nearest_floats(tmp_path: Path) -> None:
    """To the last bit, as Python reads them."""
    random = np.random.default_rng(0)
    written = [repr(float(value)) for value in random.normal(size=20) * 10.0 ** random.integers(-300, 37, 20)]
    written += ["1e5", "+1.5", ".5", "5.", " 7 ", "0.1234567890123456789", "123456789012345678"]
    table = read(tmp_path / "a.csv", column(written))
    assert table.values[: len(written), 0].tolist() == [float(value) for value in written]


@pytest.mark.parametrize(
    ("options", "written", "values"),
    [
        ({"decimal": "comma"}, ["0,5", "-1,25e3", "3", ",5"], [0.5, -1250, 3, 0.5]),
        ({"decimal": ","}, ["0,5", "7"], [0.5, 7]),
        ({"thousands": "comma"}, ["1,234.5", "12", "-1,234,567"], [1234.5, 12, -1234567]),
        ({"decimal": "comma", "thousands": "point"}, ["1.234,5", "1.234"], [1234.5, 1234]),
        ({"thousands": "space"}, ["1 234.5", "1\u202f234", "1\xa0234"], [1234.5, 1234, 1234]),
        ({"thousands": "apostrophe"}, ["1'234"], [1234]),
    ],
)
def test_marks_in_numbers(tmp_path: Path, options: dict[str, Any], written: list[str], values: list[float]) -> None:
    content = column(written, separator=";")
    table = read(tmp_path / "a.csv", content, separator="semicolon", **options)
    assert table.values[: len(values), 0].tolist() == values


@pytest.mark.parametrize(
    ("options", "value", "remedy"),
    [
        ({}, "0,5", "set data.decimal=comma for a decimal comma"),
        ({}, "1,234", "set data.decimal=comma for a decimal comma, or data.thousands=comma for commas"),
        ({}, "1,234,567.5", "set data.thousands=comma"),
        ({}, "1.234,5", "set data.decimal=comma data.thousands=point"),
        ({"decimal": "comma"}, "1.5", "is not a finite number"),
        ({"thousands": "comma"}, "1,5", "is not a finite number"),
        ({"thousands": "comma"}, "12,34", "is not a finite number"),
    ],
)
def test_other_marks_are_refused(tmp_path: Path, options: dict[str, Any], value: str, remedy: str) -> None:
    content = column(["1", "2", value, "4"], separator=";")
    with pytest.raises(DataError, match=r"a\.csv: line 4: column 'y': .* is not a finite number \(1 in all\)") as error:
        read(tmp_path / "a.csv", content, separator="semicolon", **options)
    assert remedy in str(error.value)


def test_decimal_commas_between_semicolons_are_named_at_once(tmp_path: Path) -> None:
    content = column(["0,5"], separator=";")
    with pytest.raises(DataError, match=r"line 2 has 2 fields.*data\.separator=semicolon, and data\.decimal=comma"):
        read(tmp_path / "a.csv", content)
    with pytest.raises(DataError, match=r"no column of numbers to forecast.*; set data\.decimal=comma"):
        read(tmp_path / "a.csv", content, separator="semicolon")


def test_marks_that_are_none() -> None:
    for options, message in (
        ({"decimal": "x"}, r"data\.decimal='x': must be point or comma"),
        ({"thousands": "x"}, r"data\.thousands='x': must be null or one of point, comma, space, apostrophe"),
        ({"thousands": "point"}, r"data\.thousands='point': .* not the decimal mark"),
    ):
        with pytest.raises(ConfigError, match=message):
            SeriesFilesConfig(name="t", **options).check("data")  # type: ignore[arg-type]


def test_missing_values(tmp_path: Path) -> None:
    """Texts as they are written, and numbers by their value."""
    written = ["1", "NA", "", "?", "-9999", "-9999.0", "-9.999e3", "2"]
    content = column(written)
    with pytest.raises(
        DataError, match=r"line 5: column 'y': '\?' is not a finite number \(1 in all\).*data\.missing_v"
    ):
        read(tmp_path / "a.csv", content, missing=Missing.mask)
    table = read(tmp_path / "a.csv", None, missing=Missing.mask, missing_values=["?", "-9999"])
    assert np.isnan(table.values[:8, 0]).tolist() == [False, *[True] * 6, False] and table.missing == 6
    frame = pd.DataFrame({"date": pd.to_datetime(DAYS), "y": [1.0, -9999.0, *[2.0] * 28], "n": [-9999, *range(29)]})
    frame.to_parquet(tmp_path / "a.parquet")
    table = read(tmp_path / "a.parquet", None, missing=Missing.mask, missing_values=["-9999"])
    assert np.argwhere(np.isnan(table.values)).tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("value", ["1e300", "-1e39", "3.5e38"])
def test_values_beyond_float32(tmp_path: Path, value: str) -> None:
    path = tmp_path / "y.csv"
    text = column(["1", "2", value, "3.4e38"])
    with pytest.raises(DataError, match=r"y\.csv: line 4: column 'y': .* is beyond 3\.4e\+38.*\(1 in all\); correct"):
        read(path, text)
    assert np.isnan(read(path, text, missing_values=[value], missing=Missing.mask).values[2, 0])
    assert read(path, column(["1", "3.4e38"])).values[1, 0] == 3.4e38


def test_no_header_and_other_formats(tmp_path: Path) -> None:
    body = "".join(f"{day},{i},{-i}\n" for i, day in enumerate(DAYS))
    options: dict[str, Any] = {"header": False, "time_column": "0", "targets": ["2"]}
    table = read(tmp_path / "a.csv", body, **options)
    assert table.names == ["2"] and table.values[:, 0].tolist() == [-i for i in range(30)]
    whole = read(tmp_path / "b.csv", column([str(i) for i in range(30)]))
    (tmp_path / "B.TSV").write_text(column([str(i) for i in range(30)], separator="\t"))
    with gzip.open(tmp_path / "b.csv.gz", "wt") as file:
        file.write(column([str(i) for i in range(30)]))
    lines = [f'{{"date": "{day}", "y": {i if i % 2 else float(i)}}}\n' for i, day in enumerate(DAYS)]
    (tmp_path / "b.jsonl").write_text("".join(lines))
    for name in ("B.TSV", "b.csv.gz", "b.jsonl"):
        other = read(tmp_path / name)
        np.testing.assert_array_equal(other.values, whole.values)
        np.testing.assert_array_equal(other.times, whole.times)


def test_mixed_values_of_jsonl_are_read_each_as_written(tmp_path: Path) -> None:
    values = ["1", '"2"', "3.5", "null", '""', '"NA"']
    lines = [f'{{"date": "{day}", "y": {value}}}\n' for day, value in zip(DAYS, [*values, *["4"] * 24], strict=True)]
    table = read(tmp_path / "a.jsonl", "".join(lines), missing=Missing.mask)
    np.testing.assert_array_equal(table.values[:7, 0], [1, 2, 3.5, np.nan, np.nan, np.nan, 4])
    for wrong in ("true", "[1]", '"x"'):
        with pytest.raises(DataError, match=r"a\.jsonl: line 3: column 'y': .* is not a finite number \(1 in all\)"):
            read(
                tmp_path / "a.jsonl",
                "".join([*lines[:2], lines[2].replace("3.5", wrong), *lines[3:]]),
                missing=Missing.mask,
            )


def test_columns_that_are_no_numbers(tmp_path: Path) -> None:
    frame = pd.DataFrame({"y": np.arange(30.0), "open": [True, None, *[False] * 28], "when": pd.to_datetime(DAYS)})
    frame["took"] = pd.to_timedelta(range(30), unit="s")
    frame["kind"] = pd.Categorical(["a"] * 30)
    frame["size"] = pd.Categorical(range(30))
    frame.insert(0, "date", pd.to_datetime(DAYS))
    frame.to_parquet(tmp_path / "a.parquet")
    table = read(tmp_path / "a.parquet")
    assert table.names == ["y", "size"]
    assert table.notes == ["columns left out, since they are not numbers or have no name: open, when, took, kind"]
    with pytest.raises(
        DataError, match=r"a\.parquet: column 'took' holds values of type duration.*, which are not num"
    ):
        read(tmp_path / "a.parquet", None, targets=["y", "took"])
    frame.drop(columns="took").to_csv(tmp_path / "a.csv", index=False)
    assert read(tmp_path / "a.csv").names == ["y", "size"]
    shown = read(tmp_path / "a.csv", None, targets=["y"], past_covariates=["open"], missing=Missing.mask)
    np.testing.assert_array_equal(shown.values[:3, 1], [1, np.nan, 0])


def test_levels_of_an_index_are_columns(tmp_path: Path) -> None:
    index = pd.MultiIndex.from_product([["a", "b"], pd.to_datetime(DAYS)], names=["unique_id", "ds"])
    pd.DataFrame({"y": np.arange(60.0)}, index=index).to_parquet(tmp_path / "a.parquet")
    table = read(tmp_path / "a.parquet", None, id_column="unique_id", time_column="ds")
    assert table.ids == ["a", "b"] and table.names == ["y"] and table.offsets.tolist() == [0, 30, 60]


def test_files_that_are_damaged_in_usual_ways(tmp_path: Path) -> None:
    ends = "\n".join(["date,y", *(f"{day},{i}," for i, day in enumerate(DAYS)), ""])
    table = read(tmp_path / "a.csv", ends)
    assert table.names == ["y"] and "end in a separator more than the first line" in table.notes[0]
    with pytest.raises(DataError, match=r"line 1 begins with '#': if it is a comment, remove it"):
        read(tmp_path / "a.csv", "# source: meter\n" + column(["1"]))
    with pytest.raises(DataError, match=r"2 columns have the same name 'y'"):
        read(tmp_path / "a.csv", "date,y,y\n2021-01-01,1,2\n")
    (tmp_path / "only").mkdir()
    (tmp_path / "only/._a.csv").write_bytes(b"\0\1")
    read(tmp_path / "only/a.CSV", column(["1"]))
    assert read(tmp_path / "only").origin.endswith("a.CSV")


# --- values that may stand for a missing one


def found(folder: Path, values: list[float], **options: Any) -> list[str]:
    return read(folder / "a.csv", column([repr(float(value)) for value in values]), **options).notes


def test_a_value_far_outside_is_noted(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    usual = (0.5 + 0.003 * random.normal(size=30)).tolist()
    for value in (-9999.0, 1e12, 12345.0):
        (note,) = found(tmp_path, [*usual[:5], value, *usual[6:20], value, *usual[21:]])
        assert f"a.csv: line 7: 'y' is {value:.15g} (2 in all), far from all others (0.49" in note
        assert f"set data.missing_values=[{value:.15g}]" in note
    assert found(tmp_path, [-9999.0, *usual[1:]], missing_values=["-9999"], missing=Missing.mask) == []
    assert len(found(tmp_path, [-9999.0, *(20 + 8 * random.normal(size=29))])) == 1  # degrees
    assert len(found(tmp_path, [-9999.0, 1e12, *usual[2:]])) == 2


def test_ordinary_extremes_are_not_noted(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for values in (
        np.exp(2 * random.normal(size=30)),
        random.standard_cauchy(30),
        np.where(np.arange(30) == 7, 40.0, random.poisson(0.2, 30)),
        np.where(np.arange(30) == 7, 999.0, 500 + 300 * random.normal(size=30)),
        np.where(np.arange(30) == 7, 1.0, 0.0),
        np.arange(30) * 1e9,
    ):
        assert found(tmp_path, values.tolist()) == []


def test_a_sentinel_of_one_series_among_others_of_other_sizes(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    small = np.where(np.arange(30) == 3, -9999.0, random.normal(size=30))
    frame = pd.DataFrame({"date": DAYS * 2, "id": ["a"] * 30 + ["b"] * 30, "y": [*random.normal(1e8, 1e7, 30), *small]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    (note,) = read(tmp_path / "a.csv", None, id_column="id").notes
    assert "line 35, series 'b': 'y' is -9999 (1 in all)" in note
