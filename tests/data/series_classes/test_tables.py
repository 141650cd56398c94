"""Series in csv, jsonl and parquet, in wide and long form."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seqtrain.config.root import Config
from seqtrain.config.series_classes import SeriesClassesConfig
from seqtrain.data.series_classes.files import read_file
from seqtrain.data.series_classes.raw import RawSeries
from seqtrain.errors import ConfigError, DataError

Compose = Callable[..., Config]
Read = Callable[..., tuple[RawSeries, list[str]]]

LONG = "id,t,x,y,label\nb,2,3,30,up\na,10,1,10,down\nb,1,4,,up\na,9,2,20,\n"
WIDE = "label,s1,s2,s3\nup,1,2,3\ndown,4,,\nup,,5,6\n"


@pytest.fixture
def read(composed: Compose, tmp_path: Path) -> Read:
    def read_text(
        text: str, *overrides: str, name: str = "a.csv", each_step: bool = False
    ) -> tuple[RawSeries, list[str]]:
        path = tmp_path / name
        path.write_text(text)
        config = composed("data=series_classes", *overrides).data
        assert isinstance(config, SeriesClassesConfig)
        notes: list[str] = []
        return read_file(path, config, notes, each_step), notes

    return read_text


def test_wide_form_ends_a_series_where_values_are_missing_to_the_end(
    read: Read,
) -> None:
    raw, notes = read(WIDE)
    np.testing.assert_equal([s[:, 0].tolist() for s in raw.values], [[1, 2, 3], [4], [np.nan, 5, 6]])
    assert raw.labels == ["up", "down", "up"] and raw.place(1).endswith("a.csv: line 3")
    assert len(notes) == 1 and "1 of 3 series end before the last of 3 steps" in notes[0]


def test_the_tsv_files_of_the_archive_have_no_header(read: Read) -> None:
    raw, _ = read("1\t0.5\t-1\n2\t3\tNaN\n", "data.header=false", "data.label_column='0'", name="a.tsv")
    assert [s[:, 0].tolist() for s in raw.values] == [[0.5, -1], [3]] and raw.labels == ["1", "2"]


def test_long_form_in_order_of_time(read: Read) -> None:
    raw, notes = read(LONG, "data.id_column=id", "data.time_column=t")
    assert raw.names == ["x", "y"]
    np.testing.assert_equal(raw.values[0], [[4, np.nan], [3, 30]])  # b comes first in the file; times are numbers
    np.testing.assert_equal(raw.values[1], [[2, 20], [1, 10]])
    assert raw.labels == ["up", "down"] and "not in order of 't'" in notes[0]
    raw, notes = read(LONG, "data.id_column=id", "data.features=[x]", "data.time_column=t")
    assert [s[:, 0].tolist() for s in raw.values] == [[4, 3], [2, 1]]
    raw, notes = read(LONG.replace(",t,", ",x0,"), "data.id_column=id")  # the order of the file, a feature more
    assert raw.names == ["x0", "x", "y"] and raw.values[1][:, 1].tolist() == [1, 2] and not notes
    dates = (
        LONG.replace("b,2", "b,2024-01-02")
        .replace("b,1", "b,2024-01-01T12:00")
        .replace("a,10", "a,2024-03-01")
        .replace("a,9", "a,2024-02-01")
    )
    np.testing.assert_equal(read(dates, "data.id_column=id", "data.time_column=t")[0].values[0], [[4, np.nan], [3, 30]])


def test_a_label_for_each_step(read: Read) -> None:
    raw, _ = read("id,x,label\na,1,u\nb,5,v\na,2,v\n", "data.id_column=id", each_step=True)
    assert raw.labels == [["u", "v"], ["v"]]
    with pytest.raises(DataError, match="in wide form a series has one label"):
        read(WIDE, each_step=True)


def test_parquet_and_decimal_commas(read: Read, composed: Compose, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame({"id": [7, 7, 8], "x": [1.5, None, 2.5], "label": [True, True, False]}).to_parquet(path)
    config = composed("data=series_classes", "data.id_column=id").data
    assert isinstance(config, SeriesClassesConfig)
    raw = read_file(path, config, [])
    np.testing.assert_equal([s[:, 0].tolist() for s in raw.values], [[1.5, np.nan], [2.5]])
    assert raw.labels == [True, False]
    raw, _ = read("label;s1;s2\na;1,5;2\n", "data.separator=semicolon", "data.decimal=comma")
    assert raw.values[0][:, 0].tolist() == [1.5, 2]


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        (WIDE, ["data.label_column=class"], "has no column 'class' (data.label_column); its columns: label, s1"),
        ("label\na\n", [], "has no columns of values besides label"),
        (WIDE.replace("5", "five"), [], "a.csv: line 4: column 's2': 'five' is not a finite number"),
        (LONG, ["data.id_column=name"], "has no column 'name' (data.id_column)"),
        (LONG, ["data.id_column=id", "data.features=[z]"], "has no column 'z' (data.features)"),
        (LONG.replace("a,9", ",9"), ["data.id_column=id"], "a.csv: line 5: column 'id' (data.id_column): is empty"),
        (LONG.replace("a,9", "a,10"), ["data.id_column=id", "data.time_column=t"],
         "line 5: column 't' (data.time_column): has the time of the same series at line 3"),
        (LONG.replace("a,9", "a,soon"), ["data.id_column=id", "data.time_column=t"],
         "line 5: column 't' (data.time_column): 'soon' is no"),
        (LONG.replace("4,,up", "4,,down"), ["data.id_column=id"],
         "line 4: label 'down', and the same series has 'up' at line 2"),
    ],
)  # fmt: skip
def test_errors(read: Read, text: str, overrides: list[str], message: str) -> None:
    with pytest.raises(DataError) as error:
        read(text, *overrides)
    assert message in str(error.value)


def test_options_that_contradict_each_other(composed: Compose) -> None:
    for overrides, message in (
        (["data.time_column=t"], "null without data.id_column"),
        (["data.id_column=label"], "must be different"),
        (["data.batch_share=0"], "above 0, and at most 1"),
        (["data.features=[]"], "null or not empty"),
        (["data.max_length=0"], "at least 1"),
        (["data.fold=2"], "data.folds"),
    ):
        with pytest.raises(ConfigError, match=message):
            composed("data=series_classes", *overrides)
