import re

import numpy as np
import pytest

from seqtrain.data.tags.entities import EntityTags, describe_scheme

Spans = list[tuple[int, int, str]]


def spans(names: list[str], rows: list[str]) -> Spans:
    """First token, last token and type of each entity of rows of tags, counted over all rows."""
    tags = EntityTags.of(names)
    assert tags is not None
    labels = np.array([names.index(tag) for row in rows for tag in row.split()])
    found = tags.find(labels, np.array([len(row.split()) for row in rows]))
    return [(int(i), int(found.ends[i]) - 1, tags.type_names[found.types[i]]) for i in np.flatnonzero(found.starts)]


TWO = [(1, 2, "PER"), (3, 3, "PER"), (4, 4, "LOC")]


@pytest.mark.parametrize(
    ("scheme", "row", "expected"),
    [
        ("IOB1", "O I-PER I-PER B-PER I-LOC O", TWO),
        ("IOB2", "O B-PER I-PER B-PER B-LOC O", TWO),
        ("IOE1", "O I-PER E-PER I-PER I-LOC O", TWO),
        ("IOE2", "O I-PER E-PER E-PER E-LOC O", TWO),
        ("BIOES", "O B-PER E-PER S-PER S-LOC O", TWO),
        ("BILOU", "O B-PER L-PER U-PER U-LOC O", TWO),
        ("BMES", "O B-PER E-PER S-PER S-LOC B-PER M-PER E-PER", [*TWO, (5, 7, "PER")]),
        ("IOB2", "O B I B O", [(1, 2, ""), (3, 3, "")]),
        ("BIOES", "B E S O B I E", [(0, 1, ""), (2, 2, ""), (4, 6, "")]),
    ],
)
def test_the_same_entities_in_every_scheme(scheme: str, row: str, expected: Spans) -> None:
    names = sorted(set(row.split()))
    assert spans(names, [row]) == expected
    labels = np.array([names.index(tag) for tag in row.split()])
    kinds = sorted({kind for *_, kind in expected} - {""})
    types = f"{len(kinds)} types of entities ({', '.join(kinds)})" if kinds else "entities without types"
    assert describe_scheme(names, labels, np.array([len(labels)])) == f"tags: {scheme}, {types}"


def test_tags_that_break_their_scheme() -> None:
    names = ["B-LOC", "B-PER", "E-PER", "I-PER", "O", "S-PER"]
    # I- and E- begin an entity where none of their type is open; an entity ends where the next tag does not go on.
    assert spans(names, ["B-PER B-LOC E-PER", "I-PER E-PER E-PER", "S-PER I-PER O", "E-PER"]) == [
        (0, 0, "PER"), (1, 1, "LOC"), (2, 2, "PER"), (3, 4, "PER"), (5, 5, "PER"), (6, 6, "PER"), (7, 7, "PER"),
        (9, 9, "PER"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "rows", "note"),
    [
        # Two of three entities begin with B-, one with I-.
        (["B-X", "I-X", "O"], ["B-X O", "B-X O I-X"], "IOB2, .*; 1 entities .* at 'I-X', token 3 of sentence 2"),
        # Entities of two sentences do not touch.
        (["B-X", "I-X", "O"], ["O I-X", "I-X B-X", "I-X"], r"IOB1, 1 types of entities \(X\)$"),
        (
            ["E-X", "I-X", "O"],
            ["E-X", "I-X E-X", "E-X I-X O"],
            "IOE2, .*; 1 entities .* at 'I-X', token 2 of sentence 3",
        ),
        (["B-X", "E-X", "I-X", "S-X"], ["B-X E-X", "B-X I-X"], "BIOES, .*; 1 entities .* token 1 of sentence 2"),
    ],
)
def test_entities_that_break_the_scheme_are_counted(names: list[str], rows: list[str], note: str) -> None:
    labels = np.array([names.index(tag) for row in rows for tag in row.split()])
    found = describe_scheme(names, labels, np.array([len(row.split()) for row in rows]))
    assert found is not None
    assert re.match(f"tags: {note}", found), found


@pytest.mark.parametrize(
    ("names", "scheme"),
    [
        (["B-PER", "I-PER", "O"], "IOB"),
        (["B-PER", "B-LOC"], "IOB"),
        (["I-PER", "O"], "IOB"),
        (["B-", "O"], "IOB"),
        (["B-PER", "S-PER", "O"], "BIOES"),
        (["O", "U-PER"], "BILOU"),
        (["B", "I", "O"], "IOB"),
        (["B", "E", "M", "S"], "BMES"),
        (["NOUN", "VERB"], None),
        (["O", "S", "V"], None),
        (["O", "S"], None),
        (["E", "I"], None),
        (["O"], None),
        (["0", "1"], None),
    ],
)
def test_which_tags_mark_entities(names: list[str], scheme: str | None) -> None:
    tags = EntityTags.of(names)
    assert (tags and tags.scheme) == scheme
    if scheme is None:
        assert describe_scheme(names, np.arange(len(names)), np.array([len(names)])) is None


@pytest.mark.parametrize(
    ("names", "odd"),
    [
        (["B-PER", "I-PER", "O", "X"], "X"),
        (["B-PER", "I-PER", "o"], "o"),
        (["B-PER", "E-PER", "L-PER", "O"], "L-PER"),
        (["B", "B-PER", "O"], "B"),
        (["B_PER", "I_PER", "O"], "B_PER"),
        (["O", "PER-B", "PER-I"], "PER-B"),
        (["B", "I", "N", "O"], "N"),
    ],
)
def test_tags_that_are_nearly_a_scheme_get_a_note(names: list[str], odd: str) -> None:
    assert EntityTags.of(names) is None
    note = describe_scheme(names, np.arange(len(names)), np.array([len(names)]))
    assert note is not None and note.startswith(f"tags: entities are not scored, since the tag {odd!r} is of no scheme")
