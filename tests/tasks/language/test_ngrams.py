from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from seqtrain.tasks.language import ngrams
from seqtrain.tasks.language.ngrams import KneserNey, discounts, score_ngrams, unigram_log_probabilities

Model = Callable[[int, tuple[int, ...]], float]


def plain_kneser_ney(train: list[int], vocab_size: int, order: int) -> Model:
    """The probability of a token given the at most order - 1 tokens before it, straight from the equations."""
    counts: dict[int, dict[tuple[int, ...], int]] = {}
    for n in range(1, order + 1):
        places = range(len(train) - n + 1)
        occurrences = [(train[i - 1] if i > 0 else "start", tuple(train[i : i + n])) for i in places]
        counts[n] = Counter(gram for _, gram in (occurrences if n == order else set(occurrences)))

    def discount(n: int, count: int) -> float:
        n1, n2, n3, n4 = (sum(c == k for c in counts[n].values()) for k in (1, 2, 3, 4))
        y = n1 / (n1 + 2 * n2) if n1 > 0 and n2 > 0 else 0.5
        if min(n1, n2, n3, n4) == 0:
            return y
        d1, d2, d3 = 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3
        return {1: d1, 2: d2}.get(count, d3) if 0 < d1 < 1 and 0 < d2 < 2 and 0 < d3 < 3 else y

    discounted = {n: {gram: discount(n, count) for gram, count in counts[n].items()} for n in counts}

    def probability(token: int, context: tuple[int, ...]) -> float:
        n = len(context) + 1
        lower = probability(token, context[1:]) if context else 1 / vocab_size
        following = [gram for gram in counts[n] if gram[:-1] == context]
        total = sum(counts[n][gram] for gram in following)
        if total == 0:
            return lower
        gram = (*context, token)
        explicit = (counts[n][gram] - discounted[n][gram]) / total if gram in following else 0.0
        return explicit + sum(discounted[n][g] for g in following) / total * lower

    return probability


def random_text(length: int, vocab_size: int, seed: int) -> np.ndarray:
    """Tokens of unequal frequencies, each often the one before it plus 1."""
    generator = np.random.default_rng(seed)
    text = generator.choice(vocab_size, length, p=generator.dirichlet(np.full(vocab_size, 0.7)))
    for i in np.flatnonzero(generator.random(length) < 0.5)[1:]:
        text[i] = (text[i - 1] + 1) % vocab_size
    return text


def next_probabilities(model: KneserNey, context: tuple[int, ...]) -> np.ndarray:
    """Of each token of the vocabulary after a context of at least one token."""
    return np.exp([model.log_probabilities(np.array([*context, token]))[-1] for token in range(model.vocab_size)])


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("vocab_size, length", [(2, 40), (3, 7), (5, 200), (20, 300), (90, 300)])
def test_model_equals_a_plain_one(vocab_size: int, length: int, order: int) -> None:
    train = random_text(length, vocab_size, seed=order)
    test = np.concatenate([train[5:50], random_text(60, vocab_size, seed=100 + order)])
    plain = plain_kneser_ney(train.tolist(), vocab_size, order)
    expected = [plain(w, tuple(test[max(0, i - order + 1) : i].tolist())) for i, w in enumerate(test.tolist())][1:]
    result = KneserNey(train, vocab_size, order).log_probabilities(test)
    assert result.dtype == np.float64
    assert np.abs(result - np.log(expected)).max() < 1e-10


def test_texts_above_take_both_modified_discounts_and_one() -> None:
    counts = [np.unique(random_text(*text, seed=1), return_counts=True)[1] for text in [(200, 5), (300, 90)]]
    assert [len(set(discounts(n)[1:])) for n in counts] == [1, 3]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_of_each_context_sum_to_one(order: int) -> None:
    train = random_text(120, 4, seed=0)[:-1]
    model = KneserNey(np.append(train, 4), 6, order)  # 4 occurs only at the end, 5 never
    contexts = [context for length in (1, 2, 3, 4) for context in product(range(6), repeat=length)]
    for context in contexts[:: 1 if order < 5 else 3]:
        probabilities = next_probabilities(model, context)
        assert (probabilities > 0).all()
        assert probabilities.sum() == pytest.approx(1, abs=1e-9)


def test_a_worked_example() -> None:
    model = KneserNey(np.array([0, 1, 0, 1, 0, 2]), 3, order=2)
    # Before 0 come the start and 1, before 1 and 2 comes 0: counts 2, 1, 1; n_1 = 2, n_2 = 1, D = 2 / 4.
    # p_1(0) = 1.5 / 4 + 1.5 / 4 / 3 = 1/2; p_1(1) = p_1(2) = 0.5 / 4 + 1.5 / 4 / 3 = 1/4.
    # 0 1 and 1 0 occur twice, 0 2 once: D = 1 / (1 + 4). b(0) = 0.4 / 3, b(1) = 0.2 / 2; nothing follows 2.
    assert next_probabilities(model, (0,)) == pytest.approx([0.2 / 3, 1.8 / 3 + 0.1 / 3, 0.8 / 3 + 0.1 / 3])
    assert next_probabilities(model, (1,)) == pytest.approx([1.8 / 2 + 0.05, 0.025, 0.025])
    assert next_probabilities(model, (2,)) == pytest.approx([1 / 2, 1 / 4, 1 / 4])


def test_discounts_of_a_worked_example() -> None:
    counts = np.repeat([1, 2, 3, 4, 9], [8, 4, 2, 1, 7])
    # Y = 8 / 16; 1 - 2 Y 4/8, 2 - 3 Y 2/4, 3 - 4 Y 1/2.
    assert discounts(counts) == pytest.approx([0, 0.5, 1.25, 2])


@pytest.mark.parametrize(
    "n, expected",
    [
        ([8, 4, 2, 0], 0.5),  # a count does not occur
        ([4, 3, 0, 5], 0.4),
        ([0, 4, 2, 1], 0.5),  # nor does Y exist
        ([8, 0, 2, 1], 0.5),
        ([0, 0, 0, 0], 0.5),
        ([4, 3, 9, 5], 0.4),  # D(2) < 0
        ([4, 3, 2, 9], 0.4),  # D(3) < 0
        ([4, 3, 5, 1], 0.4),  # D(2) = 0
    ],
)
def test_discounts_fall_back_to_one(n: list[int], expected: float) -> None:
    assert discounts(np.repeat([1, 2, 3, 4, 7], [*n, 2])) == pytest.approx([0, expected, expected, expected])


def test_an_unseen_context_falls_back_to_the_lower_order() -> None:
    train = np.array([0, 1, 2, 0, 1, 3, 0, 2, 1, 3, 3, 0])
    model = KneserNey(train, 5, order=3)
    assert next_probabilities(model, (4, 1)) == pytest.approx(next_probabilities(model, (1,)), rel=1e-12)
    assert next_probabilities(model, (1, 4)) == pytest.approx(next_probabilities(model, (4,)), rel=1e-12)
    assert not np.allclose(next_probabilities(model, (0, 1)), next_probabilities(model, (1,)))
    lengthened = next_probabilities(model, (3, 2, 0, 1))  # beyond the order
    assert lengthened == pytest.approx(next_probabilities(model, (0, 1)), rel=1e-12)


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.int32])
def test_any_integer_type_and_mapped_files_give_the_same(dtype: type, tmp_path: Path) -> None:
    vocab_size = 65536
    train, test = random_text(400, 70, seed=0) + vocab_size - 70, random_text(50, 70, seed=1) + vocab_size - 70
    expected = score_ngrams(train, {"test": test}, vocab_size, 4)
    train.astype(dtype).tofile(tmp_path / "train.bin")
    mapped = np.memmap(tmp_path / "train.bin", dtype=dtype, mode="r")
    result = score_ngrams(mapped, {"test": test.astype(dtype)}, vocab_size, 4)
    for name, splits in expected.items():
        assert np.array_equal(splits["test"], result[name]["test"])


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_text_shorter_than_the_order(length: int) -> None:
    train = np.array([2, 0, 1])[:length]
    test = np.array([2, 0, 1, 3, 2])
    plain = plain_kneser_ney(train.tolist(), 4, 5)
    expected = np.log([plain(int(test[i]), tuple(test[:i].tolist())) for i in range(1, 5)])
    model = KneserNey(train, 4, order=5)
    assert model.log_probabilities(test) == pytest.approx(expected, abs=1e-10)
    assert model.log_probabilities(test[:1]).shape == model.log_probabilities(test[:0]).shape == (0,)
    if length == 0:
        assert expected == pytest.approx(-np.log([4] * 4))


def test_vocabulary_of_one_token() -> None:
    results = score_ngrams(np.zeros(30, dtype=np.uint16), {"test": np.zeros(7, dtype=np.uint16)}, 1, 3)
    for splits in results.values():
        assert splits["test"] == pytest.approx(np.zeros(6), abs=1e-12)


def test_repeated_token_is_predicted_ever_better() -> None:
    short, long = (KneserNey(np.full(length, 2), 4, order=3) for length in (10, 1000))
    test = np.array([2, 2, 2, 1])
    assert np.exp(short.log_probabilities(test)[1]) < np.exp(long.log_probabilities(test)[1])
    assert np.exp(long.log_probabilities(test)[1]) > 0.999
    assert next_probabilities(long, (2, 2)).sum() == pytest.approx(1)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = random_text(300, 8, seed=0), random_text(100, 8, seed=1)
    expected = score_ngrams(train, {"test": test}, 8, 4)
    for chunk in (1, 2, 7, 99, 100):
        monkeypatch.setattr(ngrams, "CHUNK", chunk)
        result = score_ngrams(train, {"test": test}, 8, 4)
        for name, splits in expected.items():
            assert np.array_equal(splits["test"], result[name]["test"])


def test_all_baselines_predict_all_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    train = random_text(500, 9, seed=0)
    splits = {"train": train, "test": random_text(40, 9, seed=0), "empty": train[:0], "one": train[:1]}
    results = score_ngrams(train, splits, 9, 3)
    assert list(results) == ["uniform", "unigram", "Kneser-Ney 3-gram"]
    for result in results.values():
        assert {name: len(scores) for name, scores in result.items()} == {
            "train": 499,
            "test": 39,
            "empty": 0,
            "one": 0,
        }
    assert results["uniform"]["test"] == pytest.approx(-np.log([9] * 39))
    assert results["unigram"]["test"][0] == pytest.approx(np.log((np.sum(train == splits["test"][1]) + 1) / 509))
    losses = [-result["train"].mean() for result in results.values()]
    assert losses == sorted(losses, reverse=True)

    monkeypatch.setattr(ngrams, "MAX_TRAIN", 100)
    limited = score_ngrams(train, splits, 9, 3)
    assert list(limited) == ["uniform", "unigram", "Kneser-Ney 3-gram (0.0001M tokens)"]
    assert np.array_equal(limited["unigram"]["test"], results["unigram"]["test"])
    expected = KneserNey(train[:100], 9, 3).log_probabilities(splits["test"])
    assert np.array_equal(limited["Kneser-Ney 3-gram (0.0001M tokens)"]["test"], expected)


def test_unigram_probabilities_of_a_worked_example() -> None:
    result = unigram_log_probabilities(np.array([0, 2, 2], dtype=np.uint16), 4)
    assert result == pytest.approx(np.log([2 / 7, 1 / 7, 3 / 7, 1 / 7]))
