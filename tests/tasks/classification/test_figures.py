import io
import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seqtrain.tasks.classification.figures import (
    attention_figure,
    attention_text,
    confusion_figure,
    heaviest_window,
    reliability_figure,
)

ODD_WORDS = ["$x$", "$", "\x96", "語", "\n", "", "a_b", "\\frac", "w" * 90]


def draw(figure: Figure) -> None:
    """Draw in full; pytest turns every warning, such as a missing glyph, into an error."""
    file = io.BytesIO()
    figure.savefig(file, dpi=40)
    assert file.getvalue().startswith(b"\x89PNG")


def texts_of(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_confusion_figure_shows_counts_and_shares_per_true_class() -> None:
    targets, predictions = np.array([0, 0, 0, 0, 1, 1], np.uint8), np.array([0, 0, 0, 2, 1, 0], np.uint8)
    figure = confusion_figure(predictions, targets, ["bad", "fair", "good"])
    axes: Any = figure.axes[0]
    assert texts_of(axes) == ["3", "1", "1", "1"]  # no zeros
    assert [text.get_position() for text in axes.texts] == [(0, 0), (2, 0), (0, 1), (1, 1)]
    assert axes.images[0].get_array().tolist() == [[0.75, 0, 0.25], [0.5, 0.5, 0], [0, 0, 0]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert axes.get_title() == "counts, of 6; colour: share of the row"
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == ["bad", "fair", "good"]
    draw(figure)


@pytest.mark.parametrize("num_classes, num_texts, num_ticks", [(1, 1, 1), (20, 20, 20), (28, 0, 28), (250, 0, 28)])
def test_confusion_figure_of_many_classes(num_classes: int, num_texts: int, num_ticks: int) -> None:
    classes = np.arange(num_classes).astype(np.uint8)
    figure = confusion_figure(classes, classes, [f"a rather long class name {label}" for label in classes])
    axes: Any = figure.axes[0]
    assert len(axes.texts) == num_texts
    assert len(axes.get_xticks()) == len(axes.get_yticks()) == num_ticks
    assert np.array_equal(axes.images[0].get_array(), np.eye(num_classes))
    if num_classes > 1:
        every = -(-num_classes // 30)
        assert [label.get_text() for label in axes.get_xticklabels()][:2] == ["1", str(1 + every)]
        assert axes.get_yticklabels()[1].get_text() == f"a rather long…  {1 + every}"
    assert figure.get_size_inches()[0] == 6.4 and figure.get_size_inches()[1] < 7.5
    draw(figure)


def test_counts_that_are_too_long_are_per_cent() -> None:
    targets = np.repeat(np.arange(15), 20_000)
    predictions = np.where(np.arange(len(targets)) % 1000 < 996, targets, 3)  # 0.4 % are taken for class 3
    predictions[:800] = 7
    axes: Any = confusion_figure(predictions, targets, [str(label) for label in range(15)]).axes[0]
    assert axes.get_title() == "% of the row, 300,000 in all"
    assert texts_of(axes) == ["96", "4", *["100"] * 14]


def test_tick_labels_do_not_overlap() -> None:
    for num_classes in (2, 4, 28, 150):
        names = [f"class name {label}" for label in range(num_classes)]
        figure = confusion_figure(np.zeros(1, int), np.zeros(1, int), names)
        FigureCanvasAgg(figure).draw()
        across = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
        down = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
        assert all(left.x1 < right.x0 for left, right in pairwise(across))
        assert all(upper.y0 > lower.y1 for upper, lower in pairwise(down))


def test_reliability_figure_shows_accuracy_and_count_per_bin() -> None:
    confidence = np.array([0.94, 0.96, 0.61, 0.62, 0.63])
    targets = np.array([0, 1, 0, 0, 1])
    figure = reliability_figure(np.stack([confidence, 1 - confidence], axis=1), targets)
    upper: Any
    lower: Any
    upper, lower = figure.axes
    heights = np.zeros(15)
    heights[[9, 14]] = 2 / 3, 1 / 2
    assert [bar.get_height() for bar in upper.patches] == pytest.approx(heights)
    assert [bar.get_height() for bar in lower.patches] == [0] * 9 + [3] + [0] * 4 + [2]
    assert texts_of(lower) == [""] * 9 + ["3"] + [""] * 4 + ["2"]
    assert upper.get_title() == "calibration error 0.208"
    assert upper.lines[0].get_xydata().tolist() == [[0, 0], [1, 1]]
    draw(figure)


def test_bins_of_few_rows_are_pale() -> None:
    confidence = np.array([0.94] * 200 + [0.61])
    figure = reliability_figure(np.stack([confidence, 1 - confidence], axis=1), np.zeros(201, int))
    axes: Any = figure.axes[0]
    alphas = [bar.get_facecolor()[3] for bar in axes.patches]
    assert alphas[14] == 1 and alphas[9] < 0.5


def test_attention_figure_colours_each_word_by_its_weight() -> None:
    words, weights = ["a", "fine", "film"], np.array([0.1, 0.4, 0.2], np.float32)
    figure = attention_figure(words, weights, "row 7")
    axes: Any = figure.axes[0]
    assert texts_of(axes) == words
    assert axes.texts[0].get_fontsize() > 25  # a short text is no postage stamp
    assert figure.get_size_inches()[1] >= 2.4
    assert [patch.get_alpha() for patch in axes.patches] == pytest.approx([0.25, 1, 0.5])
    assert axes.get_title(loc="left") == "row 7"
    draw(figure)


def test_attention_figure_wraps_lines_and_words_do_not_overlap() -> None:
    words = [f"word{number}" * (1 + number % 3) for number in range(60)]
    figure = attention_figure(words, np.ones(60), "a title that is long " * 12)
    axes: Any = figure.axes[0]
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [text.get_window_extent() for text in axes.texts]
    inside = figure.bbox
    assert all(text.get_fontsize() * 100 / 72 * 300 / inside.width > 8 for text in axes.texts)  # of a thumbnail
    assert all(inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 <= box.y1 for box in boxes)
    assert axes.title.get_window_extent().y1 <= inside.y1
    next_line = [right.y1 < left.y0 for left, right in pairwise(boxes)]
    assert 8 < sum(next_line) < 20
    assert all(below or left.x1 < right.x0 for below, (left, right) in zip(next_line, pairwise(boxes), strict=True))
    for box, patch in zip(boxes, axes.patches, strict=True):
        background = patch.get_window_extent()
        assert background.x0 < box.x0 and box.x1 < background.x1


def test_attention_figure_of_a_long_text_shows_the_words_with_most_weight() -> None:
    words = [f"w{number}" for number in range(500)]
    weights = np.zeros(500)
    weights[[0, 250, 449]] = 1.0, 0.9, 0.9
    figure = attention_figure(words, weights, "long")
    axes: Any = figure.axes[0]
    assert texts_of(axes) == words[250:450]
    assert axes.get_title(loc="left") == "long (300 of 500 words left out: 250 before, 50 after)"
    assert axes.patches[0].get_alpha() == pytest.approx(0.9)  # the largest weight is elsewhere


def test_heaviest_window_equals_a_search() -> None:
    weights = np.random.default_rng(0).random(50)
    sums = [weights[start : start + 7].sum() for start in range(44)]
    assert heaviest_window(weights, 7) == int(np.argmax(sums))
    assert heaviest_window(weights, 50) == heaviest_window(weights[:0], 7) == 0


@pytest.mark.parametrize("words", [[], ["one"], ODD_WORDS])
def test_odd_words_and_zero_weights_are_drawn(words: list[str]) -> None:
    figure = attention_figure(words, np.zeros(len(words)), "cost: $5 語 \x96")
    assert len(figure.axes[0].texts) == len(words)
    draw(figure)
    attention_text(words, np.zeros(len(words)), "title")


def test_odd_class_names_are_drawn() -> None:
    classes = np.arange(len(ODD_WORDS))
    draw(confusion_figure(classes, classes, ODD_WORDS))


@pytest.mark.parametrize("render", [attention_figure, attention_text])
def test_words_and_weights_must_match(render: Any) -> None:
    with pytest.raises(ValueError):
        render(["a", "b"], np.ones(3), "title")


def test_attention_text_marks_a_tenth_and_lists_ten() -> None:
    words = [f"w{number}" for number in range(20)]
    weights = np.zeros(20)
    weights[[4, 7, 2]] = 0.5, 0.3, 0.2
    lines = attention_text(words, weights, "row 7").split("\n")
    marked = ["**w4**" if word == "w4" else "**w7**" if word == "w7" else word for word in words]
    assert lines[:3] == ["### row 7", "", " ".join(marked)]
    assert lines[4:6] == ["| word | weight |", "| --- | ---: |"]
    assert lines[6:9] == ["| w4 | 0.5000 |", "| w7 | 0.3000 |", "| w2 | 0.2000 |"]
    assert lines[9:] == [f"| w{number} | 0.0000 |" for number in (0, 1, 3, 5, 6, 8, 9)]


def test_attention_text_escapes_what_markdown_and_html_would_take() -> None:
    words = ["*", "_i_", "<b>", "|", "`", "[a](b)", "&amp;", "#", "don't"]
    text = attention_text(words, np.linspace(0.1, 0, len(words)), "<script>_")
    title, _, body, _, _, _, *rows = text.split("\n")
    assert title == "### &#60;script&#62;&#95;"
    assert body == "**&#42;** &#95;i&#95; &#60;b&#62; &#124; &#96; &#91;a&#93;&#40;b&#41; &#38;amp; &#35; don't"
    assert len(rows) == len(words)
    assert all(row.count("|") == 3 for row in rows)


def test_figures_leave_pyplot_alone() -> None:
    code = (
        "import sys, numpy as np; from seqtrain.tasks.classification import figures; "
        "figures.confusion_figure(np.zeros(2, int), np.zeros(2, int), ['a', 'b']).savefig(sys.stdout.buffer); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
