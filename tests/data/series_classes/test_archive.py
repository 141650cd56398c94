"""Reading .ts files: every form of the archive, and every way in which a file is not one."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from seqtrain.data.series_classes.archive import read_archive
from seqtrain.errors import DataError
from tests.archives import waves, write_archive


def read(path: Path, text: str) -> tuple[list[list[list[float]]], list[object], list[str]]:
    path.write_bytes(text.encode())
    notes: list[str] = []
    raw = read_archive(path, notes)
    return [series.tolist() for series in raw.values], raw.labels, notes


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.ts"


def test_univariate_with_comments_blank_lines_and_any_case(file: Path) -> None:
    header = "#c\n\n@PROBLEMNAME a b\n@Univariate TRUE\n@classlabel True 1 2\n@DATA\n"
    text = f"{header}1, 2.5,-3e1:2\n\n4,5,6:1\n".replace("\n", "\r\n")
    assert read(file, text) == ([[[1], [2.5], [-30]], [[4], [5], [6]]], ["2", "1"], [])


def test_multivariate_of_unequal_lengths_with_missing_values(file: Path) -> None:
    values, labels, notes = read(file, "@classLabel true a b\n@data\n1,?,NaN:4,5,6:a\n7:nan:b\n")
    np.testing.assert_equal(values[0], [[1, 4], [np.nan, 5], [np.nan, 6]])
    np.testing.assert_equal(values[1], [[7, np.nan]])
    assert labels == ["a", "b"] and not notes


def test_numbers_no_labels_and_labels_that_are_missing(file: Path) -> None:
    assert read(file, "@targetLabel true\n@data\n1,2:0.5\n")[1] == ["0.5"]
    assert read(file, "@classLabel false\n@data\n1,2\n3,4\n")[:2] == ([[[1], [2]], [[3], [4]]], [None, None])
    assert read(file, "@classLabel true a b\n@data\n1,2:?\n3,4:b\n")[1] == [None, "b"]
    assert read(file, "@classLabel true 1 2\n@data\n1,2:1.0\n")[1] == ["1.0"]


def test_a_written_archive_is_read_back(tmp_path: Path) -> None:
    series = waves(7, features=3, unequal=True)
    path = write_archive(tmp_path / "w.ts", series)
    raw = read_archive(path, [])
    for found, (values, _) in zip(raw.values, series, strict=True):
        np.testing.assert_array_equal(found, values)
    assert raw.labels == [label for _, label in series] and raw.names == ["dimension 1", "dimension 2", "dimension 3"]
    assert raw.place(2) == f"{path}: line 10"
    packed = tmp_path / "p.ts.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_archive(packed, []).labels == raw.labels


def test_comments_need_not_be_utf8(file: Path) -> None:
    file.write_bytes(b"# \x93quoted\x94\n@classLabel true a\n@data\n1,2:a\n")
    assert read_archive(file, []).labels == ["a"]


def test_where_the_header_is_wrong_the_data_count(file: Path) -> None:
    header = "@dimensions 3\n@seriesLength 9\n@equalLength true\n@missing false\n@frequency 10\n@classLabel true a\n"
    text = f"{header}@data\n1,?:a\n3:a\n"
    values, _, notes = read(file, text)
    assert len(values) == 2
    said = "\n".join(notes)
    for part in (
        "line 5: @frequency is no key",
        "@dimensions 3, and series have 1",
        "@seriesLength 9, and series have 1 to 2",
        "@equalLength true, and",
        "@missing false, and values are missing",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("@classLabel true a\n", "line 1: the file ends without @data"),
        ("@classLabel true a\n@data\n", "has no series after @data"),
        ("1,2,3:a\n", "line 1: '1,2,3:a' stands before @data"),
        ("@timeStamps true\n@data\n", "line 1: @timeStamps true: values with time stamps are not read"),
        ("@classLabel true a\n@data\n(0,1),(1,2):a\n", "line 3: dimension 1 has time stamps"),
        ("@univariate maybe\n@data\n1\n", "line 1: @univariate maybe: must be true or false"),
        ("@seriesLength x\n@data\n1\n", "line 1: @serieslength x: must be a whole number"),
        ("@univariate true\n@classLabel true a\n@data\n1:2:a\n", "line 4: has 2 features, and the header"),
        ("@classLabel true a b\n@data\n1:a\n2:c\n", "line 4: label 'c' is not one of the header's @classLabel (a, b)"),
        ("@classLabel true a\n@data\n1,2\n", "line 3: has no label after a colon"),
        ("@classLabel true a\n@data\n1,2:3:a\n", "line 3: dimension 2 has 1 values, and dimension 1 has 2"),
        ("@classLabel true a\n@data\n1:2:a\n1:a\n", "line 4 has 1 features, and line 3 has 2"),
        ("@classLabel true a\n@data\n1,x2,?:a\n", "line 3: dimension 1, value 2: 'x2' is not a number"),
        ("@classLabel true a\n@data\n1,2:1,inf:a\n", "line 3: dimension 2, value 2: inf is beyond the numbers"),
        ("@classLabel true a\n@targetLabel true\n@data\n1:a\n", "line 2: @targetlabel true: a series has one label"),
    ],
)  # fmt: skip
def test_what_is_no_archive(file: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as error:
        read(file, text)
    assert str(error.value).startswith(f"{file}") and message in str(error.value) and "\n" not in str(error.value)
