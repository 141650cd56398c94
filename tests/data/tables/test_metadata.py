"""Metadata of parquet files: those of the hub and of pandas, and marks of columns of JSON, whatever they hold."""

import json
import random
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from seqtrain.commands.build import build_data
from seqtrain.config.root import Config
from seqtrain.data.tables.reading import read_table
from seqtrain.data.tables.stored_names import stored_names
from seqtrain.data.tables.table import ENCODED
from seqtrain.errors import UserError
from tests.fuzzing.mutations import mutated

Compose = Callable[..., Config]
LABEL = {"names": ["neg", "pos"], "_type": "ClassLabel"}
HUB = {"info": {"features": {"text": {"dtype": "string", "_type": "Value"}, "label": LABEL}}}
TEXTS = pd.DataFrame({"text": [f"text {i} {'good' if i % 2 else 'bad'}" for i in range(40)], "label": [0, 1] * 20})
SERIES = pd.DataFrame(
    {"y": [i % 7 + 0.5 for i in range(60)]}, index=pd.date_range("2021-01-01", periods=60, name="date")
)
OTHER_SHAPES = [
    *(b"[]", b"1", b"null", b"{}", b"", b"\xff", b"[" * 100_000, b'{"info": null}', b'{"info": {"features": []}}'),
    *(b'{"info": {"features": {"label": %s}}}' % value for value in (b"null", b"[]", b"1", b'{"feature": null}')),
    b'{"info": {"features": {"missing": {"names": ["a"], "_type": "ClassLabel"}}}}',
    *(b'{"index_columns": ["missing"]}', b'{"index_columns": [{"kind": "range"}]}', b'{"index_columns": 5}'),
    b'{"index_columns": [], "columns": [{"name": "missing", "field_name": "missing"}], "column_indexes": [1]}',
]


@pytest.mark.parametrize("key", ["huggingface", "pandas"])
@pytest.mark.parametrize("kind", ["texts", "series"])
def test_no_metadata_end_in_a_traceback(composed: Compose, tmp_path: Path, kind: str, key: str) -> None:
    path = tmp_path / f"{kind}.parquet"
    options = {"texts": ["data=text_files", "data.min_count=1"], "series": ["data=series_files", "data.lookback=5"]}
    config = composed(*options[kind], f"data.path={path}", *(["data.horizon=2"] if kind == "series" else []))
    table = pa.Table.from_pandas(TEXTS if kind == "texts" else SERIES)
    whole = json.dumps(HUB).encode() if key == "huggingface" else table.schema.metadata[b"pandas"]
    rng = random.Random(0)
    for metadata in (*OTHER_SHAPES, *(mutated(whole, rng, rng.choice([1, 1, 4])) for _ in range(20))):
        parquet.write_table(table.replace_schema_metadata({key: metadata}), path)
        try:
            with warnings.catch_warnings(action="error"):
                assert build_data(config).sizes, metadata
        except UserError as error:
            assert "\n" not in str(error), metadata


def test_class_names_that_are_no_characters(tmp_path: Path) -> None:
    hub = json.dumps({"info": {"features": {"label": LABEL | {"names": ["\ud800", "pos"]}}}})
    table = pa.Table.from_pandas(TEXTS).replace_schema_metadata({"huggingface": hub})
    parquet.write_table(table, tmp_path / "a.parquet")
    notes: list[str] = []
    assert stored_names(read_table(tmp_path / "a.parquet"), "label", notes) is None
    assert "its metadata of the hub cannot be read and are ignored (UnicodeEncodeError" in notes[0]


@pytest.mark.parametrize("values", [["[1", "2"], [1, 2], [b"\xff", b"2"], ["[" * 100_000, None]])
def test_a_column_that_is_marked_as_json_and_is_not(tmp_path: Path, values: list[object]) -> None:
    array = pa.array(values)
    schema = pa.schema([pa.field("a", array.type, metadata=ENCODED), pa.field("b", pa.string(), metadata=ENCODED)])
    columns = pa.Table.from_arrays([array, pa.array(['[1, "x"]', None])], schema=schema)
    parquet.write_table(columns, tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet")
    assert table.values("a") == values
    assert table.values("b") == [[1, "x"], None]
    assert table.notes == [f"{tmp_path}/a.parquet: column 'a' is marked as JSON, but is not; it is read as it is"]
