import pytest

from seqtrain.data.corpus.stream import Chunk, cut_end, end_lines


def test_documents_end_with_a_line_end() -> None:
    chunks = [Chunk("a\nb", True), Chunk(" c", False), Chunk("d\n", True), Chunk("e", True)]
    assert "|".join(chunk.text for chunk in end_lines(lambda: iter(chunks))) == "a\nb| c|\n|d\n|e|\n"
    assert not any(chunk.starts_document for chunk in end_lines(lambda: iter(chunks)) if chunk.text == "\n")


@pytest.mark.parametrize("size", [7, 1000])
def test_words_are_not_cut_where_lines_have_no_end(size: int) -> None:
    text = "word " * 100
    chunks = [Chunk(text[i : i + size], i == 0) for i in range(0, len(text), size)]
    parts = cut_end(lambda: iter(chunks), {"validation": 0.111, "test": 0.2}, words=True)
    read = {split: list(stream()) for split, stream in parts.items()}
    joined = {split: "".join(chunk.text for chunk in part) for split, part in read.items()}
    assert all(set(part.split()) == {"word"} for part in joined.values()) and "".join(joined.values()) == text
    assert {split: len(part) for split, part in joined.items()} == {"train": 344, "validation": 60, "test": 96}
    assert all(chunk.text for part in read.values() for chunk in part)
    assert all(part[0].starts_document for part in read.values())
