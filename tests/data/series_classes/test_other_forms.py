"""The archives' other forms: .arff files, and files without a header; and which files of a folder are read."""

from pathlib import Path

import numpy as np
import pytest

from seqtrain.config.series_classes import SeriesClassesConfig
from seqtrain.data.series_classes.files import find_files, read_file
from seqtrain.data.series_classes.values import SeriesText, parsed, parsed_fast
from seqtrain.errors import DataError
from tests.archives import waves, write_archive

RELATIONAL = "@relation 'w'\n@attribute w relational\n@attribute a0 numeric\n@attribute 'a 1' numeric\n@end w\n"
COLUMNS = "% c\n@Relation w\n\n@attribute a0 numeric\n@ATTRIBUTE a1 REAL\n@attribute a2 real\n"


def read(path: Path, text: str) -> tuple[list[list[list[float]]], list[object], list[str]]:
    path.write_text(text)
    notes: list[str] = []
    raw = read_file(path, SeriesClassesConfig(), notes)
    return [series.tolist() for series in raw.values], raw.labels, notes


def test_arff_of_several_features(tmp_path: Path) -> None:
    text = f"{RELATIONAL}@attribute class {{a,'b c'}}\n@data\n'1,2,3\\n4,?,6',a\n\"1,2,?\\n3,4,?\",'b c'\n'1\\n2',?\n"
    values, labels, notes = read(tmp_path / "w.arff", text)
    np.testing.assert_equal(values[0], [[1, 4], [2, np.nan], [3, 6]])
    assert values[1:] == [[[1, 3], [2, 4]], [[1, 2]]] and labels == ["a", "b c", None]
    assert len(notes) == 1 and "1 of 3 series end before the last of 3 steps" in notes[0]


def test_arff_of_one_feature(tmp_path: Path) -> None:
    text = f"{COLUMNS}@attribute target {{0,1}}\n@data\n1,?,3,0\n% c\n\n4e-1, 5,6,1\n"
    values, labels, notes = read(tmp_path / "w.ARFF", text)
    np.testing.assert_equal(values, [[[1], [np.nan], [3]], [[0.4], [5], [6]]])
    assert labels == ["0", "1"] and not notes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{COLUMNS}@data\n", "line 7: the last attribute must be the label, with its classes: {calm, rough}"),
        (f"{COLUMNS}@attribute t {{a}}\n@data\n1,2:3,a\n", "line 9: dimension 1, value 2: '2:3' is not a number"),
        (f"{COLUMNS}@attribute t {{a}}\n@data\n{{0 1}},a\n", "line 9: must be values and a label"),
        (f"{COLUMNS}@attribute s string\n@attribute t {{a}}\n@data\n", "line 9: the attributes before the label must"),
        (f"{RELATIONAL}@attribute t {{a}}\n@data\n1,2,a\n", "line 8: must be a series in quotes, a comma and a label"),
        (f"{RELATIONAL}@attribute t {{a}}\n@data\n'1,2',a\n'1\\n2',a\n", "line 9: has 2 features, and the first"),
        (f"{COLUMNS}", "ends without @data"),
        (f"{COLUMNS}1,2\n", "line 7: '1,2' is no line of a header"),
        (f"{COLUMNS}@attribute t {{a}}\n@data\n", "has no series after @data"),
    ],
)
def test_what_is_no_arff_of_series(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as error:
        read(tmp_path / "w.arff", text)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_files_without_a_header_have_the_label_first(tmp_path: Path) -> None:
    expected = [[[0.5], [2.0]], [[3.0]]]
    for name, text in (("a.tsv", "-1\t0.5\t2\n1\t3\tNaN\n"), ("a.txt", "  -1.0e+00  5.0e-01  2.0\n  1.0  3.0  NaN\n")):
        values, labels, notes = read(tmp_path / name, text)
        assert values == expected and labels == ["-1", "1"]
        assert len(notes) == 2 and "has no header; the first of each line is read as the label" in notes[0]
    with pytest.raises(DataError, match="a.tsv: line 2 has 1 values after the label, and the first has 2"):
        read(tmp_path / "a.tsv", "1\t0.5\t2\n1\t3\n")
    header = "label\t0\t1\nx\t0.5\t2\n"
    assert read(tmp_path / "b.tsv", header)[:2] == ([[[0.5], [2.0]]], ["x"])


def test_a_folder_with_several_formats_and_names(tmp_path: Path) -> None:
    """The archives' folders have a set in all formats, also its features apart."""
    folder = tmp_path / "Waves"
    for name in ("Waves_TRAIN.ts", "Waves_TEST.ts", "WavesDimension1_TRAIN.ts", "Waves_eq_TRAIN.ts"):
        write_archive(folder / name, waves(6))
    for name in ("Waves_TRAIN.arff", "Waves_TEST.arff", "Waves_TRAIN.txt", "Waves_TRAIN.tsv", "Waves.txt"):
        (folder / name).write_text("not read\n")
    notes: list[str] = []
    files = find_files(SeriesClassesConfig(name="w", path=str(folder)), notes)
    assert {split: [path.name for path in paths] for split, paths in files.items()} == {
        "train": ["Waves_TRAIN.ts"], "test": ["Waves_TEST.ts"]}  # fmt: skip
    assert "files of no split, not read" in notes[0]
    (folder / "Waves_TEST.ts").unlink()
    files = find_files(SeriesClassesConfig(name="w", path=str(folder)), [])
    assert [paths[0].name for paths in files.values()] == ["Waves_TRAIN.arff", "Waves_TEST.arff"]


def test_numbers_that_pyarrow_does_not_read_are_read_by_python() -> None:
    assert parsed_fast("1,x") is None
    text = SeriesText(["1,+2, 3 ", " ? ,nAn,"], "a", "x")
    ((_, values),) = parsed([text])
    np.testing.assert_equal(values, [[1, np.nan], [2, np.nan], [3, np.nan]])
    with pytest.raises(DataError, match="x: dimension 1, value 2: '1_000' is not a number"):
        list(parsed([SeriesText(["1,1_000"], "a", "x")]))


def test_every_number_is_read_as_python_reads_it() -> None:
    rng = np.random.default_rng(0)
    texts = list(map(repr, (rng.normal(size=500) * 10.0 ** rng.integers(-30, 30, 500)).tolist()))
    assert parsed_fast(",".join(texts)).tolist() == [float(text) for text in texts]  # type: ignore[union-attr]
