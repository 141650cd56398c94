"""The n-grams of a text, their counts, their log-count ratios, and the scores of the bag, against plain Python."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from seqtrain.layers import ngrams
from seqtrain.layers.ngrams import (
    ABSENT,
    PACE,
    NgramBag,
    count_ngrams,
    keys_fit,
    log_count_ratios,
    most_common,
    ngram_keys,
)
from seqtrain.tasks.classification.baselines import log_count_ratio

V = 6


def random_rows(seed: int = 0, count: int = 40, longest: int = 12) -> tuple[list[list[int]], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest + 1, (count,), generator=generator).tolist()
    rows = [torch.randint(V, (n,), generator=generator).tolist() for n in lengths]
    return rows, torch.randint(3, (count,), generator=generator)


def padded(rows: list[list[int]], extra: int = 0, pad: int = 0) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(row) for row in rows])
    tokens = torch.full((len(rows), int(lengths.max()) + extra), pad)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = torch.tensor(row)
    return tokens, lengths


def grams(row: list[int], longest: int) -> set[tuple[int, ...]]:
    return {tuple(row[i : i + n]) for n in range(1, longest + 1) for i in range(len(row) - n + 1)}


def key(gram: tuple[int, ...], vocab_size: int = V) -> int:
    return sum((token + 1) * (vocab_size + 1) ** place for place, token in enumerate(reversed(gram)))


@pytest.mark.parametrize("longest", [1, 2, 3, 5])
def test_keys_are_the_different_ngrams_of_each_row(longest: int) -> None:
    rows, _ = random_rows()
    found = ngram_keys(*padded(rows), V, longest)
    for row, keys in zip(rows, found.tolist(), strict=True):
        expected = sorted(key(gram) for gram in grams(row, longest))
        assert len(set(expected)) == len(grams(row, longest))
        assert keys == expected + [ABSENT] * (len(keys) - len(expected))


def test_padding_is_in_no_ngram() -> None:
    rows, _ = random_rows()
    usual, wider = ngram_keys(*padded(rows), V, 3), ngram_keys(*padded(rows, extra=7, pad=5), V, 3)
    assert torch.equal(wider[:, : usual.shape[1]], usual)
    assert (wider[:, usual.shape[1] :] == ABSENT).all()


def test_keys_of_the_largest_vocabulary_are_exact() -> None:
    V = 2**21 - 2
    assert keys_fit(V, 3) and not keys_fit(V + 2, 3)
    found = ngram_keys(torch.tensor([[V - 1] * 3]), torch.tensor([3]), V, 3)
    assert found.tolist()[0][:3] == [V, V * (V + 1) + V, (V * (V + 1) + V) * (V + 1) + V]


@pytest.mark.parametrize("chunk", [1, 200, 1 << 22])
def test_counts_equal_those_of_dicts(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(ngrams, "CHUNK", chunk)
    rows, classes = random_rows()
    member = torch.eye(3)[classes]
    batches = [(ngram_keys(*padded(rows[i : i + 7]), V, 3), member[i : i + 7]) for i in range(0, len(rows), 7)]
    keys, counts = count_ngrams(batches, 3)
    texts = Counter(key(gram) for row in rows for gram in grams(row, 3))
    assert keys.tolist() == sorted(texts)
    for k, (total, *each) in zip(keys.tolist(), counts.tolist(), strict=True):
        assert total == texts[k]
        for c in range(3):
            of_class = [row for row, y in zip(rows, classes.tolist(), strict=True) if y == c]
            assert each[c] == sum(k in {key(gram) for gram in grams(row, 3)} for row in of_class)


def test_the_table_keeps_what_is_in_the_most_texts() -> None:
    keys, texts = torch.arange(6), torch.tensor([[2.0], [5.0], [1.0], [5.0], [2.0], [2.0]])
    assert most_common(keys, texts, 2, 10)[0].tolist() == [0, 1, 3, 4, 5]
    kept, counts = most_common(keys, texts, 2, 3)
    assert kept.tolist() == [0, 1, 3]  # of equals, the smallest key
    assert counts[:, 0].tolist() == [2, 5, 5]


def test_log_count_ratios_equal_their_equation() -> None:
    rows, classes = random_rows()
    keys, counts = count_ngrams([(ngram_keys(*padded(rows), V, 2), torch.eye(4)[classes])], 4)  # class 3 has no text
    ratios = log_count_ratios(counts).numpy()
    presence = np.array([[k in {key(gram) for gram in grams(row, 2)} for k in keys.tolist()] for row in rows], float)
    for c in range(3):
        inside = classes.numpy() == c
        p, q = 1 + presence[inside].sum(0), 1 + presence[~inside].sum(0)
        np.testing.assert_allclose(ratios[:, c], np.log((p / p.sum()) / (q / q.sum())), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(ratios[:, c], log_count_ratio(presence, inside), rtol=1e-12, atol=1e-14)
    assert (ratios[:, 3] == 0).all()


def test_ratios_equal_those_from_the_counts_of_scikit_learn() -> None:
    from sklearn.feature_extraction.text import CountVectorizer

    texts = ["good film", "not a good film", "a good good plot", "not good", "a dull film", "not a dull plot at all"]
    labels = np.array([1, 0, 1, 0, 0, 1], bool)
    vectorizer = CountVectorizer(ngram_range=(1, 3), min_df=2, token_pattern=r"\w+", binary=True)
    expected = log_count_ratio(vectorizer.fit_transform(texts), labels)
    words = sorted({word for text in texts for word in text.split()})
    rows = [[words.index(word) for word in text.split()] for text in texts]
    member = torch.from_numpy(np.stack([~labels, labels], 1)).double()
    counted = count_ngrams([(ngram_keys(*padded(rows), len(words), 3), member)], 2)
    keys, counts = most_common(*counted, 2, 10**6)
    by_key = dict(zip(keys.tolist(), log_count_ratios(counts)[:, 1].tolist(), strict=True))
    terms = [tuple(words.index(word) for word in term.split()) for term in vectorizer.get_feature_names_out()]
    in_order = [key(term, len(words)) for term in terms]
    assert set(in_order) == set(by_key)
    np.testing.assert_allclose([by_key[k] for k in in_order], expected, rtol=1e-12, atol=1e-14)


def filled(
    num_classes: int, *, exclusive: bool = True, dropout: float = 0.0, row_dropout: float = 0.0
) -> tuple[NgramBag, dict[int, list[float]]]:
    """A bag with ratios of a half of all n-grams, and these by key."""
    rows, _ = random_rows(seed=1)
    known = sorted({key(gram) for row in rows for gram in grams(row, 3)})[::2]
    torch.manual_seed(0)
    ratios = torch.randn(len(known), num_classes)
    if exclusive and num_classes == 2:
        ratios[:, 0] = -ratios[:, 1]
    bag = NgramBag(V, 3, len(known), num_classes, exclusive=exclusive, dropout=dropout, row_dropout=row_dropout)
    bag.fill(torch.tensor(known), ratios)
    return bag, dict(zip(known, ratios.tolist(), strict=True))


@pytest.mark.parametrize(("num_classes", "exclusive"), [(2, True), (2, False), (3, True), (4, False)])
def test_scores_equal_a_sum_over_a_dict(num_classes: int, exclusive: bool) -> None:
    bag, ratios = filled(num_classes, exclusive=exclusive)
    rows, _ = random_rows(seed=2)
    scores = bag(*padded(rows))
    assert scores.shape == (len(rows), num_classes)
    halved = 0.5 if num_classes == 2 and exclusive else 1.0
    for row, each in zip(rows, scores.tolist(), strict=True):
        found = [ratios[key(gram)] for gram in grams(row, 3) if key(gram) in ratios]
        expected = [halved * math.fsum(column) for column in zip(*found, strict=True)] or [0.0] * num_classes
        np.testing.assert_allclose(each, expected, atol=1e-5)


def test_padding_and_batch_mates_change_no_score() -> None:
    bag, _ = filled(3)
    rows, _ = random_rows(seed=2)
    expected = torch.cat([bag(*padded([row])) for row in rows])
    torch.testing.assert_close(bag(*padded(rows, extra=9, pad=3)), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(bag(*padded(rows[::-1])), expected.flip(0), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_the_gradient_of_a_change(num_classes: int) -> None:
    bag, ratios = filled(num_classes)
    rows, _ = random_rows(seed=2, count=5)
    upstream = torch.randn(5, num_classes)
    (bag(*padded(rows)) * upstream).sum().backward()
    gradient = bag.changes.weight.grad
    assert gradient is not None and (gradient[-1] == 0).all()  # of n-grams that the table does not know
    for slot, k in enumerate(bag.keys[:-1].tolist()):
        holds = torch.tensor([k in {key(gram) for gram in grams(row, 3)} for row in rows]).float()
        pull = PACE * (holds @ upstream)
        pull = (pull[1:] - pull[:1]) / 2 if num_classes == 2 else pull
        expected = torch.tensor(ratios[k])[-len(pull) :] * pull
        torch.testing.assert_close(gradient[slot], expected, atol=1e-5, rtol=1e-5)


def test_row_dropout_drops_all_of_a_text_and_scales_no_other() -> None:
    bag, _ = filled(3, row_dropout=0.3)
    rows, _ = random_rows(seed=2)
    exact = bag.eval()(*padded(rows))
    bag.train()
    torch.manual_seed(0)
    drawn = torch.stack([bag(*padded(rows)) for _ in range(400)])
    dropped = (drawn == 0).all(2)
    assert torch.equal(drawn, torch.where(dropped[..., None], 0, exact))
    scored = (exact != 0).all(1)
    assert dropped[:, scored].float().mean().item() == pytest.approx(0.3, abs=0.02)


def test_dropout_drops_whole_ngrams_and_keeps_the_mean() -> None:
    bag, _ = filled(3, dropout=0.4)
    tokens, lengths = padded([[1, 2, 3, 1, 2, 4, 5, 0, 1]])
    exact = bag.eval()(tokens, lengths)
    bag.train()
    torch.manual_seed(0)
    drawn = torch.cat([bag(tokens, lengths) for _ in range(4000)])
    assert drawn.std(0).min() > 0.1
    torch.testing.assert_close(drawn.mean(0, keepdim=True), exact, atol=0.15, rtol=0.05)
