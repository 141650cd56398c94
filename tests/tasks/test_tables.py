"""Tables of finer scores."""

from seqtrain.tasks.tables import score_table


def test_the_most_frequent_class_is_first_and_what_is_not_defined_is_a_hyphen() -> None:
    scores: dict[str, dict[str, float | int | None]] = {
        "a|_b": {"f1": None, "support": 7},
        "c": {"f1": 0.5, "support": 1200},
    }
    assert score_table(scores, ("f1", "support"), "class").splitlines() == [
        "| class | f1 | support |",
        "| --- | ---: | ---: |",
        "| c | 0.5000 | 1,200 |",
        "| a&#124;&#95;b | - | 7 |",
    ]


def test_of_many_classes_the_most_frequent_are_shown() -> None:
    table = score_table({f"c{i}": {"support": i} for i in range(150)}, ("support",), "label").splitlines()
    assert table[2] == "| c149 | 149 |" and table[101] == "| c50 | 50 |"
    assert table[102:] == ["", "The 100 most frequent of 150."]
