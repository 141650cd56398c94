"""The page on a translator's translations, against the stored predictions, the pairs and sacrebleu."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sacrebleu.metrics import BLEU

from seqtrain.commands.inspect import inspect
from seqtrain.commands.train import train
from seqtrain.config.root import Config
from seqtrain.config.translation import TranslationConfig
from seqtrain.errors import RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.tasks.translation.cards import alignment_table
from seqtrain.tasks.translation.errors import Translated, repeats, sentence_bleu, unlike, unusual_table
from seqtrain.tasks.translation.scores import counts_of
from seqtrain.tasks.translation.written import as_outputs, texts_of
from tests.html_page import Page, stands_alone
from tests.outputs import stored_outputs
from tests.pairs import OPTIONS, SMALL, pairs, write_splits

Compose = Callable[..., Config]

TEXTS = [
    ("the owl sat on the old tree .", "The owl sat in the old tree."),
    ("a moon", "a moon over the pond"),
    ("", "nothing at all"),
    ("moon", "moon"),
    ("two words", "other text entirely here"),
]


@pytest.fixture(scope="module")
def folder(composed: Compose, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of a few steps on the same pairs, of which the first ten of a split are translated."""
    folder = tmp_path_factory.mktemp("translations")
    path = write_splits(folder / "pairs")
    for name in ("gru", "lstm"):
        short = [
            "task.translated_rows=10",
            "trainer.max_steps=3",
            "trainer.figures=false",
            "trainer.baselines=false",
            "trainer.probe=false",
        ]
        run = RunDirectory.claim(folder / name, exact=True)
        with run.recording_outcome():
            train(composed(*OPTIONS, *SMALL, *short, f"data.path={path}", f"model={name}_translator"), run)
    return folder


def page_of(path: Path) -> Page:
    text = path.read_text(encoding="utf-8")
    assert stands_alone(text)
    return Page.of(text)


def test_page(folder: Path) -> None:
    page = page_of(inspect([str(folder / "gru")]))
    outputs = stored_outputs(folder / "gru/predictions/test.npz")
    texts, written = pairs(14, 2), texts_of(outputs)
    assert written is not None and len(written) == 14
    assert (outputs["translation_lengths"] > 0).tolist() == [True] * 10 + [False] * 4
    counts = counts_of(TranslationConfig(), written[:10], [target for _, target in texts[:10]])
    np.testing.assert_array_equal(counts["bleu_counts"], outputs["bleu_counts"][:10])
    found = Translated.of(outputs)
    assert found is not None
    assert "10 of 14 pairs of test were translated: BLEU " in page.text
    worst = int(found.chrf.argmin())
    first = page.cards["Lowest chrF"][0]
    assert first.startswith(f"chrF {found.chrf[worst]:.1f}, BLEU ")
    assert f"row {outputs['rows'][worst]}" in first
    for part in (*texts[worst], " ".join(written[worst].split())):
        assert part in " ".join(first.split())
    assert len(page.cards["Lowest chrF"]) == 10 and len(page.cards["References with the largest loss"]) == 5
    table = {row[0]: int(row[1]) for row in page.table("Unusual translations")}
    assert table["repeat a few words three times or more"] == sum(map(repeats, written[:10]))
    by_length = page.table("By length of the source")
    assert sum(int(row[1]) for row in by_length) == 10
    assert len(page.tables["Alignments"]) == 4
    (rarest, *_) = page.table("By the rarest token of the source")
    assert rarest[0] in ("10 to 99", "100 to 999")


def test_two_runs(folder: Path) -> None:
    page = page_of(inspect([str(folder / name) for name in ("gru", "lstm")], output=str(folder / "two.html")))
    ours, theirs = (stored_outputs(folder / name / "predictions/test.npz") for name in ("gru", "lstm"))
    first, second = (Translated.of(outputs) for outputs in (ours, theirs))
    assert first is not None and second is not None
    better = [float(np.mean(sign * (first.chrf - second.chrf) > 0)) for sign in (1, -1)]
    for name, share in zip(("gru_translator", "lstm_translator"), better, strict=True):
        assert f"{name} has the higher chrF in {100 * share:.1f} % of 10 pairs" in page.text
        for card in page.cards.get(f"Translated better by {name}", []):
            scores = dict(re.findall(r"((?:gru|lstm)_translator), chrF ([\d.]+)", card))
            assert max(scores, key=lambda each: float(scores[each])) == name


def test_what_is_left_without_source_or_translations(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "gru", tmp_path / "gru")
    (folder / "pairs").rename(folder / "elsewhere")
    try:
        page = page_of(inspect([str(tmp_path / "gru")]))
    finally:
        (folder / "elsewhere").rename(folder / "pairs")
    assert "the source of the data cannot be read" in page.text and "source" not in page.cards["Lowest chrF"][0]
    assert "By length of the source" in page.tables and "Alignments" not in page.tables
    path = tmp_path / "gru/predictions/test.npz"
    outputs = stored_outputs(path)
    np.savez(path, **{name: values for name, values in outputs.items() if not name.startswith("translation")})
    page = page_of(inspect([str(tmp_path / "gru")]))
    assert "the stored predictions have no translations" in page.text and "Lowest chrF" not in page.text
    np.savez(path, **outputs | {"translation_sizes": outputs["translation_sizes"] + 1})
    with pytest.raises(RunError, match="stored translations are damaged"):
        inspect([str(tmp_path / "gru")])


def test_stored_translations_are_read_as_they_were() -> None:
    texts = ["a <b>", "", "Grün 🙂", "\ud800"]
    assert texts_of(as_outputs(texts, [2, 0, 3, 1])) == ["a <b>", "", "Grün 🙂", "?"]
    assert texts_of({}) is None


def test_sentence_bleu_is_that_of_sacrebleu() -> None:
    counts = counts_of(TranslationConfig(), *(list(side) for side in zip(*TEXTS, strict=True)))["bleu_counts"]
    measure = BLEU(effective_order=True)
    expected = [measure.sentence_score(text, [reference]).score for text, reference in TEXTS]
    np.testing.assert_allclose(sentence_bleu(counts), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "repeated"),
    [("a man a man a man", True), ("no no no", True), ("the the", False), ("a b a c a b", False), ("", False),
     ("ha haha ha", False), ("so it is as it is as it is as", True)],
)  # fmt: skip
def test_repetitions(text: str, repeated: bool) -> None:
    assert repeats(text) is repeated


def test_unusual_translations_are_counted() -> None:
    texts = ["", "tree tree tree", "an owl", "a b c d e f g h i", "fine as it is"]
    references = ["a tree", "a tree here", "an owl sat by the old lake", "a b c d", "fine as it is"]
    counts = counts_of(TranslationConfig(), texts, references)
    rows = {"rows": np.arange(5), "nats": np.ones(5), "lengths": np.ones(5), "source_lengths": np.full(5, 2)}
    found = Translated.of(counts | rows | as_outputs(texts, [1, 4, 3, 10, 14]))
    assert found is not None
    which = {what: np.flatnonzero(flags).tolist() for what, flags in found.unusual(TranslationConfig()).items()}
    assert list(which.values()) == [[0], [1], [2], [3], [4]]
    lines = unusual_table(found, TranslationConfig()).split("\n")
    assert lines[2] == "| are empty | 1 | 20.0 % |" and lines[-1] == "Of 5 translations."


def test_words_without_a_partner() -> None:
    assert unlike(["a", "b", "c"], ["a", "c", "d"]) == ([False, True, False], [False, False, True])


def test_an_alignment_has_a_line_for_each_token() -> None:
    page = Page.of(alignment_table(["<s>", "b"], ["x", "y", "z"], np.array([[1, 0], [0.25, 0.75], [0, 1]])))
    (table,) = page.tables[""]
    assert table[0] == ["", "<s>", "b"] and [row[0] for row in table[1:]] == ["x", "y", "z"]
    wide = alignment_table(["a"] * 50, ["b"], np.full((1, 50), 0.02))
    assert "The first 40 tokens of each side." in wide and wide.count('scope="col"') == 40
