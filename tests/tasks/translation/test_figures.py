"""What is drawn of translations: alignments as the search saw them, and BLEU by length."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sacrebleu.metrics import BLEU

from seqtrain.commands.build import build_data, build_model
from seqtrain.config.root import Config
from seqtrain.config.translation import TranslationConfig
from seqtrain.data.pairs.dataset import PairData
from seqtrain.data.pairs.vocabularies import Vocabularies
from seqtrain.layers.attention import recorded_weights
from seqtrain.tasks.base import Evaluation
from seqtrain.tasks.translation.figures import alignment_figure, bleu_by_length_figure
from seqtrain.tasks.translation.illustration import alignments
from seqtrain.tasks.translation.scores import counts_of
from seqtrain.tasks.translation.search import search
from seqtrain.training.device import seed_everything
from tests.pairs import OPTIONS, SMALL, write_splits

Compose = Callable[..., Config]


def draw(figure: Figure) -> None:
    """Draw in full; pytest turns every warning, such as a missing glyph, into an error."""
    figure.set_dpi(40)
    FigureCanvasAgg(figure).draw()


def names(axis: Any) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def test_an_alignment_names_the_tokens_of_both_sides() -> None:
    weights = np.array([[0.25, 0.75, 0], [0, 0, 1]])
    figure = alignment_figure(["$ein", "語", "<end>"], ["a" * 20, "<end>"], weights, "row 3")
    axes: Any = figure.axes[0]
    assert axes.images[0].get_array().tolist() == weights.tolist()
    assert names(axes.xaxis) == ["$ein", "□", "<end>"] and names(axes.yaxis) == ["a" * 13 + "…", "<end>"]
    assert axes.get_title() == "row 3"
    draw(figure)
    long = alignment_figure(["a"] * 90, ["b"] * 50, np.full((50, 90), 1 / 90), "row 4")
    assert long.axes[0].get_title() == "row 4; the first 40 of 50 and 40 of 90 tokens"
    draw(long)


def test_bleu_by_length_is_that_of_each_bins_pairs() -> None:
    rng = np.random.default_rng(0)
    references = [" ".join(rng.choice(list("abc"), 8)) for _ in range(24)]
    texts = [" ".join(rng.choice(list("abc"), 8)) for _ in range(24)]
    lengths = np.repeat([3, 9, 5, 20], 6)
    counts, copies = (counts_of(TranslationConfig(), each, references)["bleu_counts"] for each in (texts, references))
    counts[:2] = copies[:2] = 0  # not translated
    figure = bleu_by_length_figure(lengths, counts, {"copy": copies})
    axes: Any = figure.axes[0]
    expected = []
    for length in (3, 5, 9, 20):
        rows = [i for i in range(2, 24) if lengths[i] == length]
        expected.append(BLEU(force=True).corpus_score([texts[i] for i in rows], [[references[i] for i in rows]]).score)
    assert axes.lines[0].get_ydata() == pytest.approx(expected)
    assert axes.lines[1].get_ydata() == pytest.approx([100] * 4)
    assert names(axes.xaxis) == ["3\n(4)", "5\n(6)", "9\n(6)", "20\n(6)"]
    draw(figure)
    nothing = bleu_by_length_figure(lengths, np.zeros_like(counts), {})
    assert nothing.axes[0].get_title() == "no pair was translated"


@pytest.mark.parametrize("feeding", [True, False])
def test_alignments_are_the_weights_of_the_search(composed: Compose, tmp_path: Path, feeding: bool) -> None:
    path = write_splits(tmp_path / "pairs")
    model_options = ["model=gru_translator", f"model.input_feeding={feeding}"]
    config = composed(*OPTIONS, *SMALL, f"data.path={path}", *model_options, "task.length_limit=1")
    data = build_data(config)
    assert isinstance(data, PairData) and isinstance(config.task, TranslationConfig)
    seed_everything(0)
    built = build_model(config, data.spec)
    for parameter in built.model.parameters():  # so that weights differ from step to step
        parameter.data *= 3
    built.model.eval(), built.head.eval()
    batch, _ = data.examples("validation", 3)
    written, seen = [], []
    for row in range(3):  # one by one, since a source that is finished leaves the search of a batch
        with recorded_weights(built.model) as recorded:
            ((best, *_),) = search(built.model, built.head, batch.chosen(torch.tensor([row])), config.task)
        written.append(best.tokens)
        seen.append(torch.cat(recorded["output_attention.attention"], dim=1)[0].numpy())
    found = alignments(built.model, batch, written, torch.device("cpu"))
    for row, weights in enumerate(found):
        assert weights.shape == (len(written[row]), batch.lengths[row])
        np.testing.assert_allclose(weights, seen[row][:, : weights.shape[1]], atol=1e-4)
        np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-4)
    figures, texts = built.task.illustrate(built.model, built.head, data, built.device)
    assert set(figures) == {f"alignment/{i}" for i in range(4)} and len(texts) == 4


def test_a_model_without_attention_has_no_alignment(composed: Compose, tmp_path: Path) -> None:
    path = write_splits(tmp_path / "pairs")
    plain = ["model=gru_translator", "model.attention.score=none", "model.input_feeding=false"]
    config = composed(*OPTIONS, *SMALL, f"data.path={path}", *plain)
    data = build_data(config)
    built = build_model(config, data.spec)
    evaluation = Evaluation(
        {"bleu": 0.0}, {"source_lengths": np.array([3, 4]), "bleu_counts": np.ones((2, 10), dtype=np.int64)}
    )
    baseline = {"copy": {"validation": evaluation}}
    arguments = (built.model.eval(), built.head.eval(), data, built.device, {"validation": evaluation}, baseline)
    (tag, figure), *others = built.task.final_figures(*arguments).items()
    assert tag == "best/bleu_by_length" and not others
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["model", "copy"]


def test_names_of_tokens_are_letters_not_bytes(composed: Compose, tmp_path: Path) -> None:
    path = write_splits(tmp_path / "pairs")
    for side in ("de", "en"):
        (path / f"train.{side}").write_text("größer Bäume\n" * 8, encoding="utf-8")
    data = build_data(composed(*OPTIONS, f"data.path={path}"))
    assert isinstance(data, PairData)
    known: Vocabularies = data.vocabularies
    assert known.names("source", known.source.encode("größer").ids) == ["größer"]
    part = known.names("target", known.target.encode("語").ids)
    assert len(part) == 4 and "\ufffd" not in "".join(part)  # bytes of a letter that train lacks
