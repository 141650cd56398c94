"""Running text from a dataset on the hub."""

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from seqtrain.config.corpus import PublicCorpusConfig
from seqtrain.data.corpus.reading import ROWS, check_column, checked_texts, row_chunks
from seqtrain.data.corpus.stream import Chunk, Stream
from seqtrain.data.hub import load_from_hub
from seqtrain.data.locate import SPLITS
from seqtrain.errors import DataError

if TYPE_CHECKING:
    import pyarrow


def fetch_corpus(config: PublicCorpusConfig) -> dict[str, Stream]:
    """Fetch a text from the hub, or from the copy of it that `datasets` keeps on this machine.

    Raises:
        DataError: if the text is in neither place (see ``load_from_hub``), or has no train.
    """
    loaded = load_from_hub(config)
    if "train" not in loaded:
        raise DataError(f"{config.hub}: has no split 'train'; its splits: {', '.join(loaded)}")
    return {
        split: partial(read_table, loaded[split].data.table, f"{config.hub}, split {split}", config)
        for split in SPLITS
        if split in loaded
    }


def read_table(table: "pyarrow.Table", where: str, config: PublicCorpusConfig) -> Iterator[Chunk]:
    """The text column of a table as chunks."""
    column = config.text_column
    check_column(where, column, table.column_names)
    batches = table.select([column]).to_batches(max_chunksize=ROWS)
    values = chain.from_iterable(batch.column(0).to_pylist() for batch in batches)
    return row_chunks(checked_texts(values, where, column), config.rows_are_lines, first=True)
