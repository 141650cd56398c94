"""The arithmetic of scripts/check-results, and what it makes of a record."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from recording.headers import TITLE, with_scores
from recording.page import page
from recording.record import Baseline, Mean, Measured, Published, Recipe, Record, reached
from seqtrain.errors import UserError

MEASURED = Measured(
    {0: 0.90, 1: 0.91, 2: 0.92}, seconds=150, machine="a machine", commit="abc", date="2026-11-27",
    baseline=Baseline("naive Bayes", 0.915), validation=0.93,
)  # fmt: skip
RECIPE = Recipe(
    "a model", "Texts", ["seqtrain data=docstrings"], "accuracy", "test", floor=0.005, goal=">= 0.9", measured=MEASURED
)
FIGURE = Published("Texts", "0.95", "another model", "A. Author 2020", "not checked", caveat="Too good.")


def test_three_deviations_or_the_floor_are_allowed() -> None:
    assert MEASURED.mean == pytest.approx(0.91) and MEASURED.sd == pytest.approx(0.01)
    assert RECIPE.allowed == pytest.approx(0.03)
    assert replace(RECIPE, floor=0.04).allowed == 0.04
    assert replace(RECIPE, measured=replace(MEASURED, scores={0: 0.9})).allowed == 0.005  # one seed has no deviation


@pytest.mark.parametrize(("goal", "score", "is_reached"), [
    (">= 0.91", 0.91, True), (">= 0.91", 0.9099, False), ("<= 1.43", 1.43, True), ("<= 1.43", 1.44, False),
])  # fmt: skip
def test_a_goal_is_reached(goal: str, score: float, is_reached: bool) -> None:
    assert reached(goal, score) is is_reached


def test_a_mean_over_recipes_needs_all_of_them() -> None:
    record = Record({"a": RECIPE, "b": replace(RECIPE, measured=replace(MEASURED, scores={0: 0.81})), "c": replace(
        RECIPE, measured=None)})  # fmt: skip
    assert record.mean_score(Mean(["a", "b"])) == pytest.approx(0.86)
    assert record.mean_score(Mean(["a", "c"])) is None


def test_the_file_is_read_as_it_is_written(tmp_path: Path) -> None:
    unmeasured = replace(RECIPE, measured=None, mark="best")
    record = Record({"a": RECIPE, "b": unmeasured}, {"both": Mean(["a", "b"], goal="<= 1")}, {"best": FIGURE})
    record.write(tmp_path / "results.yaml")
    assert Record.read(tmp_path / "results.yaml") == record
    assert record.expand(["both", "a"]) == ["a", "b"]


@pytest.mark.parametrize(("change", "message"), [
    (("floor: 0.005", "floor: much"), "recipes.a.floor: expected a finite number, is 'much'"),
    (("goal: '>= 0.9'", "goal: high"), "recipes.a.goal: 'high' is not of the form '>= 0.9' or '<= 0.9'"),
    (("mark: best", "mark: first"), "recipes.a.mark: 'first' is none of published; known: best"),
    (("commands:\n    - seqtrain data=docstrings", "commands: []"), "recipes.a.commands: is empty"),
    (("recipes:", "recipes: ["), "is not valid YAML"),
])  # fmt: skip
def test_a_damaged_record_is_one_line(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "results.yaml"
    text = Record({"a": replace(RECIPE, mark="best")}, published={"best": FIGURE}).text()
    assert change[0] in text
    path.write_text(text.replace(*change))
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        Record.read(path)
    assert str(raised.value).startswith(f"{path}: ") and "\n" not in str(raised.value)


def test_the_page_says_what_is_reached_and_what_is_not() -> None:
    worse = replace(MEASURED, scores={0: 0.7}, preparation=8000)
    text = page(Record(
        {"a": RECIPE, "b": replace(RECIPE, measured=None), "c": replace(RECIPE, measured=worse, note="Odd.")},
        {"all": Mean(["a", "c"], goal=">= 0.9")}, {"best": FIGURE},
    ))  # fmt: skip
    assert "Last measured: 2026-11-27." in text
    assert (
        "| 0.9000, 0.9100, 0.9200 (validation 0.9300) | **0.9100** | 0.0100 | >= 0.9: reached | 0.9150, naive" in text
    )
    assert "naive Bayes: **not beaten** | 0.005 | 2 min | 2026-11-27, `abc`, a machine |" in text
    assert "| `b`: a model; accuracy on test | not measured yet |" in text
    assert ">= 0.9: **not reached** | 0.9150" in text and "150 s" not in text
    assert "2 min, after 2.2 h of preparation" in text
    assert "| `all` | `a`, `c` | **0.8050** | >= 0.9: **not reached** |" in text
    assert "| 0.95 | another model | A. Author 2020 | Too good. | not checked |" in text
    assert "- `c`: Odd." in text and "# a\nseqtrain data=docstrings\n" in text


def test_lower_is_better_for_errors() -> None:
    text = page(Record({"a": replace(RECIPE, metric="mse", goal=None)}))
    assert "0.9150, naive Bayes: beaten" in text


def test_a_header_gets_its_scores_and_keeps_the_rest() -> None:
    text = "# @package _global_\n# A recipe.\n#   seqtrain +experiment=mine\ndefaults:\n  - _self_\n"
    recipe = replace(RECIPE, commands=["seqtrain +experiment=mine"], mark="best")
    record = Record({"a": replace(recipe, measured=None)}, published={"best": FIGURE})
    first = with_scores(text, record, "mine")
    assert first == text.replace("defaults:", f"{TITLE}\n#   a: accuracy on test not measured yet\n"
                                 "#   published: 0.95, another model (A. Author 2020)\ndefaults:")  # fmt: skip
    assert with_scores(first, record, "mine") == first
    second = with_scores(first, Record({"a": recipe}, published={"best": FIGURE}), "mine")
    line = "#   a: accuracy on test 0.9100 (sd 0.0100), 3 seeds, 2 min each; strongest baseline 0.9150, naive Bayes"
    assert second == first.replace("#   a: accuracy on test not measured yet", line)
    assert with_scores(text, record, "another") == text
