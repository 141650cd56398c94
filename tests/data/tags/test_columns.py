"""Files of columns: what is a token, what is not, and that nothing is left out unsaid."""

import gzip
from pathlib import Path

import pytest

from seqtrain.config.data import TaggingFilesConfig
from seqtrain.data.tags.columns import Rows
from seqtrain.data.tags.formats import read_sentences, read_tokens
from seqtrain.errors import DataError


def config(token: int = 0, tag: int = -1) -> TaggingFilesConfig:
    return TaggingFilesConfig(token_column=token, tag_column=tag)


def read(path: Path, text: str, options: TaggingFilesConfig | None = None) -> tuple[Rows, Rows, list[str]]:
    """Tokens and tags of a file with this text, and the notes without its name; prediction reads the same tokens."""
    path.write_bytes(gzip.compress(text.encode()) if path.suffix.lower() == ".gz" else text.encode())
    notes: list[str] = []
    found = read_sentences([path], options or config(), notes)
    table, tokens = read_tokens(path, options or config())
    assert tokens == found.tokens
    assert "tags" not in table.names or table.values("tags") == found.tags
    said = [note.removeprefix(f"{path}: ") for note in notes]
    same = [note.replace(" and data.tag_column=1", "") for note in notes if "that is on no other line" not in note]
    assert table.notes[:-1] == same
    return found.tokens, found.tags, said


def refusal(path: Path, text: str, options: TaggingFilesConfig | None = None) -> str:
    """The error of a file with this text, without the name of the file."""
    path.write_text(text)
    with pytest.raises(DataError) as error:
        read_sentences([path], options or config(), [])
    return str(error.value).removeprefix(f"{path}: ")


COMMENTS = "lines that begin with '#', as comments do, without the columns or tag of a token, left out (the first: line"


@pytest.mark.parametrize("suffix", [".conll", ".TXT", ".tsv", ".conll.gz", ".Tsv.GZ"])
def test_tabs_keep_blanks_in_a_column(tmp_path: Path, suffix: str) -> None:
    text = "New York\tB-LOC\nis\tO\n\n10 000\tO\n Anna \tB-PER\n\t\n#\tO\n"
    tokens, tags, notes = read(tmp_path / f"a{suffix}", text)
    assert tokens == [["New York", "is"], ["10 000", "Anna"], ["#"]]
    assert tags == [["B-LOC", "O"], ["O", "B-PER"], ["O"]] and notes == []


def test_empty_columns_stay(tmp_path: Path) -> None:
    text = "Anna\t\tB-PER\nmet\tV\tO\n\t\tO\n"
    tokens, tags, notes = read(tmp_path / "a.conll", text)
    assert tokens == [["Anna", "met", ""]] and tags == [["B-PER", "O", "O"]]
    assert notes == ["1 tokens are empty; they count as a word without letters"]
    assert refusal(tmp_path / "a.conll", text, config(0, 1)).startswith("line 1 has an empty tag (data.tag_column=1)")


def test_blanks_and_tabs_mixed(tmp_path: Path) -> None:
    # Every line has three columns if blanks and tabs separate alike.
    tokens, tags, _ = read(tmp_path / "a.conll", "Anna N B-PER\nmet  V\tO\n\nOslo\tN\tB-LOC\n")
    assert tokens == [["Anna", "met"], ["Oslo"]] and tags == [["B-PER", "O"], ["B-LOC"]]
    mixed = "New York\tB-LOC\nis\tO\nbig O\n"
    assert refusal(tmp_path / "a.conll", mixed).startswith(
        "line 3 has 1 columns, separated by tabs, but most lines have 2, such as line 1"
    )
    mixed = "is O\nNew York\tB-LOC\nbig O\n"
    for options in (config(), config(0, 1)):  # else York would be a tag
        assert refusal(tmp_path / "a.conll", mixed, options).startswith(
            "line 2 has 3 columns, separated by blanks, but most lines have 2, such as line 1"
        )


def test_other_numbers_of_columns(tmp_path: Path) -> None:
    text = "sees X\nold X\n\nboat X O\nLima X B-LOC\nBonn X B-LOC\n"
    message = (
        "line 1 has 2 columns, separated by blanks, but most lines have 3, such as line 4; data.token_column=0 and"
    )
    assert refusal(tmp_path / "a.conll", text).startswith(message)
    assert refusal(tmp_path / "a.conll", text, config(-3, 1)).startswith(message.split(";")[0])
    tabbed = text.replace("sees X\n", "sees X y z\n").replace(" ", "\t")
    tokens, tags, notes = read(tmp_path / "a.conll", tabbed, config(0, 1))
    assert tags == [["X", "X"], ["X", "X", "X"]]
    assert notes == [
        "2 lines do not have 3 columns, as most have, but those of data.token_column=0 and data.tag_column=1 "
        "(the first: line 1)"
    ]
    assert refusal(tmp_path / "a.conll", text, config(0, 2)).startswith("line 1 has too few columns (2, separated by")


def test_hash_is_a_token_where_it_has_columns_and_tag(tmp_path: Path) -> None:
    text = "# O\nOslo B-LOC\nnow O\n\n# O\n\nBo B-PER\n# O\n#tag O\n"
    tokens, tags, notes = read(tmp_path / "a.conll", text)
    assert tokens == [["#", "Oslo", "now"], ["#"], ["Bo", "#", "#tag"]] and notes == []
    comments = (
        "# sent_id = 1\n# text = Oslo now\n# note\n#\nOslo B-LOC\n# O\nnow O\n\n# sent_id = 2\n\n# id\n#id = 3\nBo O\n"
    )
    tokens, _, notes = read(tmp_path / "a.conll", comments)
    assert tokens == [["Oslo", "#", "now"], ["Bo"]] and notes == [f"7 {COMMENTS} 1)"]
    tokens, _, notes = read(tmp_path / "a.conll", "#newdoc\n# text = a\n# 1\tO\n#\tX\n# 2\tY\nBo\tO\nYe\tP\n")
    assert tokens == [["# 1", "#", "Bo", "Ye"]] and notes == [f"3 {COMMENTS} 1)"]
    tokens, _, notes = read(tmp_path / "a.conll", "#begin document (a); part 000\nBo O\nYe P\n\n#end document\n")
    assert tokens == [["Bo", "Ye"]] and notes == [f"2 {COMMENTS} 1)"]
    assert refusal(tmp_path / "a.conll", "Bo O\n#tag\nYe O\n").startswith("line 2 has 1 columns")


def test_document_lines_are_counted(tmp_path: Path) -> None:
    tokens, _, notes = read(tmp_path / "a.conll", "-DOCSTART- -X- O\n\nBo N O\n-DOCSTART-\nYe N P\n")
    assert tokens == [["Bo"], ["Ye"]] and notes == ["2 -DOCSTART- lines left out"]


@pytest.mark.parametrize("header", ["token\ttag", "# Words\tNER-tags", "FORM\tUPOS", "Word\tLabel\n"])
def test_header_lines_are_no_tokens(tmp_path: Path, header: str) -> None:
    tokens, tags, notes = read(tmp_path / "a.conll", f"{header}\nBo\tB-PER\nis\tO\n\n{header}\nYe\tB-PER\n")
    assert tokens == [["Bo", "is"], ["Ye"]] and tags == [["B-PER", "O"], ["B-PER"]]
    assert len(notes) == 1 and notes[0].startswith("2 lines ") and notes[0].endswith("left out (the first: line 1)")


def test_lines_that_may_be_headers(tmp_path: Path) -> None:
    tokens, _, notes = read(tmp_path / "a.conll", "mot classe\nBo B-PER\nYe B-PER\n")
    assert tokens == [["mot", "Bo", "Ye"]]
    assert notes == [
        "line 1, the first, has a tag that is on no other line (classe); if the line names the columns, remove it"
    ]
    # A word as any other, if its tag occurs on other lines.
    tokens, _, notes = read(tmp_path / "a.conll", "word tag\nBo tag\nYe O\n")
    assert tokens == [["word", "Bo", "Ye"]] and notes == []


def conllu(*rows: str) -> str:
    """Lines of CoNLL-U from number, form and UPOS."""
    return "".join("\t".join([*row.split(), *"_" * 6, "SpaceAfter=No"]).replace(" ", "\t", 1) + "\n" for row in rows)


WORDS = ["1 Vamos lemma VERB", "2-3 al _ _", "2 a lemma ADP", "3 el lemma DET", "3.1 sea _ VERB", "4 mar lemma NOUN"]


@pytest.mark.parametrize("name", ["a.conllu", "a.conll", "a.CONLLU.gz", "a.txt"])
def test_conllu(tmp_path: Path, name: str) -> None:
    text = "# sent_id = 1\n# text = Vamos al mar\n" + conllu(*WORDS) + "\n# sent_id = 2\n" + conllu("1 No _ INTJ")
    tokens, tags, notes = read(tmp_path / name, text, config(1, 3))
    assert tokens == [["Vamos", "a", "el", "mar"], ["No"]]
    assert tags == [["VERB", "ADP", "DET", "NOUN"], ["INTJ"]]
    assert notes == [
        f"3 {COMMENTS} 1)",
        "1 ranges of words, such as 1-2 in CoNLL-U, left out (the first: line 4)",
        "1 empty nodes, such as 8.1 in CoNLL-U, left out (the first: line 7)",
    ]


def test_conllu_with_the_wrong_columns_or_numbers(tmp_path: Path) -> None:
    text = conllu(*WORDS)
    for name in ("a.conllu", "a.conll"):
        message = "column 0 (data.token_column) holds the numbers of words (CoNLL-U); set data.token_column=1, and"
        assert refusal(tmp_path / name, text).startswith(message)
        assert refusal(tmp_path / name, text.replace("4\tmar", "x\tmar"), config(1, 3)).startswith(
            "line 6: its first column, 'x', is not the number of a word"
        )
    # Numbers as tokens are not taken for numbers of words.
    tokens, _, notes = read(tmp_path / "b.conll", "1 NUM\n2-3 NUM\n8.1 NUM\n2 NUM\n4 X\n")
    assert tokens == [["1", "2-3", "8.1", "2", "4"]] and notes == []


def test_files_of_tokens_alone_are_predicted(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("# a comment\nBo\n#\n\n# 2\nYe\n")
    table, tokens = read_tokens(path, config())
    assert tokens == [["Bo", "#"], ["Ye"]] and table.names == ["tokens"]
    assert [note.removeprefix(f"{path}: ") for note in table.notes] == [
        f"2 {COMMENTS} 1)",
        "1 columns separated by blanks (tokens in column 0)",
    ]
    path.write_text("token\nBo\n")
    table, tokens = read_tokens(path, config())
    assert tokens == [["token", "Bo"]] and table.notes[0] == (
        f"{path}: line 1, the first, may be the name of a column (token); if the line names the columns, remove it"
    )
    path.write_text("New York\nis\n\nYe\n")  # one token each, or are some of them tags?
    with pytest.raises(DataError, match=r"line 1 has 2 columns, separated by blanks, but most lines have 1, such as"):
        read_tokens(path, config())
    path.write_text("Bo\tO\nmet\n\nYe\tP\nAnn\tO\n")  # the tags of a part of the tokens are not carried through
    table, tokens = read_tokens(path, config())
    assert tokens == [["Bo", "met"], ["Ye", "Ann"]] and table.names == ["tokens"]
    assert table.notes[0] == (
        f"{path}: 1 lines do not have 2 columns, as most have, but those of data.token_column=0 (the first: line 2)"
    )
    with pytest.raises(DataError, match=r"line 2 has 1 columns, .* but most lines have 2, such as line 1; data.token"):
        read_tokens(path, config(-2, -1))
