"""The page on a language model's losses: by the command, against the stored predictions and the text itself."""

import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seqtrain.commands.inspect import inspect
from seqtrain.commands.train import train
from seqtrain.config.root import Config
from seqtrain.data.corpus.dataset import RunningText
from seqtrain.runs.directory import RunDirectory
from seqtrain.tasks.language.heat_map import heat_map, loss_text, readable, token_texts
from seqtrain.tasks.language.losses import Pieces, Stream, half_of
from tests.html_page import Page, stands_alone
from tests.outputs import stored_outputs

Compose = Callable[..., Config]

SMALL = ["data=text_corpus", "model.hidden_size=8", "model.embedding.embed_dim=6", "model.kernel=torch", "device=cpu",
         "data.batch_size=2", "data.bptt_len=8", "trainer.max_steps=8", "trainer.warmup_steps=1",
         "trainer.figures=false", "trainer.probe=false", "trainer.baselines=false"]  # fmt: skip


def text_of(split: str) -> str:
    """Two documents of 60 lines; letters with two bytes, and what HTML would read as markup."""
    first = 100 * ("train", "validation", "test").index(split)
    lines = [f"line <b>grün</b> &amp; {first + number}\n" for number in range(60)]
    return "".join(["= one =\n", *lines, "= two =\n", *lines])


@pytest.fixture(scope="module")
def folder(composed: Compose, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text in three files, and two runs on its characters."""
    folder = tmp_path_factory.mktemp("losses")
    (folder / "text").mkdir()
    for split in ("train", "validation", "test"):
        (folder / f"text/{split}.txt").write_text(text_of(split), encoding="utf-8")
    for name in ("lstm", "gru"):
        options = [f"data.path={folder}/text", "data.tokenizer=char", "data.document_start='= .* ='", f"model={name}"]
        run = RunDirectory.claim(folder / name, exact=True)
        with run.recording_outcome():
            train(composed(*SMALL, *options), run)
    return folder


def page_of(path: Path) -> Page:
    text = path.read_text(encoding="utf-8")
    assert stands_alone(text)
    return Page.of(text)


def losses_of(folder: Path, name: str) -> np.ndarray:
    return -stored_outputs(folder / name / "predictions/test.npz")["log_probabilities"].astype(np.float64)


def test_page(folder: Path) -> None:
    page, losses = page_of(inspect([str(folder / "lstm")])), losses_of(folder, "lstm")
    text, train_text = text_of("test"), Counter(text_of("train"))
    assert len(losses) == len(text) - 1
    assert f"{len(losses):,} tokens of test: loss {losses.mean():.4g} nats per token" in page.text
    half = next(k for k in range(len(text)) if np.sort(losses)[::-1][:k].sum() >= losses.sum() / 2)
    assert f"Half of the loss is in {half:,} tokens" in page.text
    cards = page.cards["Text with the largest loss"]
    found = re.match(r"tokens ([\d,]+) to ([\d,]+): mean loss ([\d.]+) nats", cards[0])
    assert len(cards) == 8 and found
    first, last = (int(part.replace(",", "")) for part in found.groups()[:2])
    assert losses[first - 1 : last].mean() == pytest.approx(float(found[3]), rel=1e-2)
    assert text[first : last + 1].replace("\n", "⏎\n") in cards[0]
    rows = page.table("Loss by frequency of the token")
    assert sum(int(row[1].replace(",", "")) for row in rows) == len(losses)
    often = np.array([train_text[letter] for letter in text[1:]])
    hundreds = (often >= 100) & (often < 1000)
    (row,) = [row for row in rows if row[0] == "100 to 999"]
    assert row[1] == f"{hundreds.sum():,}" and float(row[3]) == pytest.approx(losses[hundreds].mean(), abs=1e-3)
    sums = {letter: losses[[each == letter for each in text[1:]]].sum() for letter in set(text[1:])}
    most = max(sums, key=lambda letter: sums[letter])
    assert page.table("Tokens that cost the most")[0][:3] == [
        readable(most), f"{text[1:].count(most):,}", f"{train_text[most]:,}"
    ]  # fmt: skip
    starts = page.table("By place in the document")
    second = text.index("= two =")
    assert starts[0][:2] == ["1", "1"] and float(starts[0][3]) == pytest.approx(losses[second - 1], abs=1e-3)
    assert [row[0] for row in page.table("By step of the segment")] == ["1", "2 to 4", "5 to 16"]


def test_two_runs(folder: Path) -> None:
    page = page_of(inspect([str(folder / name) for name in ("lstm", "gru")]))
    ours, theirs = losses_of(folder, "lstm"), losses_of(folder, "gru")
    assert (
        f"gru has loss {theirs.mean():.4g}; lstm gives {100 * (ours < theirs).mean():.1f} % of the tokens" in page.text
    )
    for name, sign in (("lstm", -1), ("gru", 1)):
        for card in page.cards.get(f"Text that {name} predicts better", []):
            gap = re.search(r"difference of the mean losses (-?[\d.e-]+) nats", card)
            assert gap and sign * float(gap[1]) > 0
    assert page.tables["Loss by frequency of the token"][0][0][3:5] == ["mean loss, lstm", "mean loss, gru"]


def test_a_source_that_is_gone(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "lstm", tmp_path / "lstm")
    (folder / "text").rename(folder / "elsewhere")
    try:
        page = page_of(inspect([str(tmp_path / "lstm")]))
    finally:
        (folder / "elsewhere").rename(folder / "text")
    assert "the source of the data cannot be read" in page.text
    assert "perplexity" in page.text and "By step of the segment" in page.tables
    assert "Text with the largest loss" not in page.cards


@pytest.mark.parametrize("tokenizer", ["byte", "word", "bpe", "char"])
def test_heat_map_has_the_text(composed: Compose, folder: Path, tokenizer: str) -> None:
    options = [f"data.path={folder}/text", f"data.tokenizer={tokenizer}", "data.vocab_size=270", "model=gru"]
    data = RunningText(composed(*SMALL, *options).data, 0)  # type: ignore[arg-type]
    losses = np.linspace(-1.0, 1.0, data.sizes["test"] - 1)
    stream = Stream(data, "test", losses)
    start, stop = 20, 80
    parts = token_texts(stream, start, stop)
    assert "".join(text for text, _ in parts) == data.decode(stream.tokens[start:stop].tolist())
    assert sum(count for _, count in parts) == stop - start
    if tokenizer == "byte":
        assert ("ü", 2) in parts
    page = Page.of(f"<article>{heat_map(stream, losses, start, stop, 10, 1.0)}</article>")
    assert page.cards[""][0].replace("⏎", "") == data.decode(stream.tokens[start - 10 : stop].tolist())


def test_pieces_are_the_split_within_documents() -> None:
    documents, tokens = np.array([0, 3, 10]), 24
    pieces = Pieces.of(documents, tokens, 5)
    spans = list(zip(pieces.starts.tolist(), pieces.stops.tolist(), strict=True))
    assert spans == [(1, 3), (3, 8), (8, 10), (10, 15), (15, 20), (20, 24)]
    losses = np.arange(23.0)
    assert pieces.means(losses).tolist() == [losses[a - 1 : b - 1].mean() for a, b in spans]
    assert pieces.ranked(np.array([9.0, 1, 8, 3, 2, 4]), 16, 3) == [
        5,
        3,
        4,
    ]  # pieces of less than 4 tokens do not count
    assert pieces.ranked(np.array([9.0, 1, 8, 3, 2, 4]), 100, 2) == [0, 2]  # unless all are short


def test_the_text_page_marks_the_tokens_with_the_largest_losses() -> None:
    names, losses = [f"w{i}" for i in range(20)], np.arange(20.0)
    lines = loss_text("<eos>", names, losses).split("\n")
    assert lines[0] == "mean loss 9.500 nats"
    assert lines[2] == "&#60;eos&#62; " + " ".join(names[:18]) + " **w18** **w19**"
    assert lines[6:] == [f"| w{i} | {i:.3f} |" for i in range(19, 9, -1)]


def test_half_of_the_loss() -> None:
    assert half_of(np.array([1.0, 4.0, 1.0, 2.0])) == 1 and half_of(np.ones(4)) == 2
