import math
import random
from typing import Any

import numpy as np
import pytest
import torch

from seqtrain.errors import ConfigError, RunError
from seqtrain.tasks.language.sampling import Sampling, StopStrings, choose, filtered


def reference_probabilities(logits: np.ndarray, seen: np.ndarray, sampling: Sampling) -> np.ndarray:
    """One row in float64, a token at a time."""
    scores = [float(value) for value in logits]
    for token, was_seen in enumerate(seen):
        if was_seen:
            factor = 1 / sampling.repetition_penalty if scores[token] > 0 else sampling.repetition_penalty
            scores[token] *= factor
    weights = np.exp((np.array(scores) - max(scores)) / sampling.temperature)
    ranking = sorted(range(len(scores)), key=lambda token: (-weights[token], token))[: sampling.top_k]
    kept: list[int] = []
    total = sum(weights[token] for token in ranking)
    for token in ranking:
        if sampling.top_p < 1 and sum(weights[other] for other in kept) / total >= sampling.top_p:
            break
        kept.append(token)
    probabilities = np.zeros(len(scores))
    probabilities[kept] = weights[kept] / weights[kept].sum()
    return probabilities


def random_logits(batch: int = 6, vocabulary: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    logits, seen = 3 * rng.normal(size=(batch, vocabulary)), rng.random((batch, vocabulary)) < 0.3
    return torch.from_numpy(logits), torch.from_numpy(seen)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("temperature", [0.3, 2.5])
@pytest.mark.parametrize("top_k", [None, 1, 7, 40, 1000])
@pytest.mark.parametrize("top_p", [1e-9, 0.8, 1.0])
@pytest.mark.parametrize("penalty", [0.8, 1.7])
def test_filtered_equals_the_definition(
    dtype: torch.dtype, temperature: float, top_k: int | None, top_p: float, penalty: float
) -> None:
    logits, seen = random_logits()
    sampling = Sampling(temperature, top_k, top_p, penalty)
    sampling.check()
    scores = filtered(logits.to(dtype), seen, sampling)
    assert scores.dtype == dtype
    for row, row_logits, row_seen in zip(scores, logits.numpy(), seen.numpy(), strict=True):
        expected = reference_probabilities(row_logits, row_seen, sampling)
        assert row.softmax(-1).numpy() == pytest.approx(expected, rel=1e-4, abs=1e-7)
        assert np.array_equal(row.isfinite().numpy(), expected > 0)
        assert row.max() == 0


def test_nothing_is_filtered_by_default_nor_changed_in_place() -> None:
    logits, seen = random_logits()
    before = logits.clone()
    assert torch.equal(filtered(logits, seen, Sampling()).softmax(-1), logits.softmax(-1))
    filtered(logits, seen, Sampling(0.5, 3, 0.5, 2.0))
    assert torch.equal(logits, before)


def test_top_p_keeps_the_token_that_reaches_the_share() -> None:
    logits = torch.tensor([[0.125, 0.5, 0.25, 0.125]], dtype=torch.float64).log()
    for top_p, kept in [(0.49, [1]), (0.51, [1, 2]), (0.74, [1, 2]), (0.76, [0, 1, 2]), (1.0, [0, 1, 2, 3])]:
        scores = filtered(logits, None, Sampling(top_p=top_p))
        assert scores[0].isfinite().nonzero().squeeze(-1).tolist() == kept
    # After top_k=2 the shares are 2/3 and 1/3.
    assert filtered(logits, None, Sampling(top_k=2, top_p=0.6))[0].isfinite().tolist() == [False, True, False, False]


def test_exactly_k_of_equal_logits_stay() -> None:
    logits = torch.tensor([[1.0, 2.0, 1.0, 1.0], [5.0, 5.0, 5.0, 5.0]])
    kept = filtered(logits, None, Sampling(top_k=2)).isfinite()
    assert kept.tolist() == [[True, True, False, False], [True, True, False, False]]
    of_many = filtered(torch.zeros(1, 5000), None, Sampling(top_k=20))[0].isfinite()
    assert of_many[:20].all() and not of_many[20:].any()


def test_the_penalty_lowers_seen_tokens_of_either_sign() -> None:
    logits = torch.tensor([[3.0, 2.0, -1.0, 0.0]])
    seen = torch.tensor([[True, False, True, True]])
    scores = filtered(logits, seen, Sampling(repetition_penalty=2.0))
    assert scores.tolist() == [[-0.5, 0.0, -4.0, -2.0]]  # 1.5, 2, -2 and 0, less the largest
    assert torch.equal(filtered(logits, None, Sampling(repetition_penalty=2.0)), logits - 3)


def test_greedy_takes_the_largest_penalised_logit() -> None:
    logits, seen = random_logits()
    sampling = Sampling(temperature=0.5, repetition_penalty=3.0, greedy=True)
    penalised = np.where(seen, np.where(logits > 0, logits / 3, logits * 3), logits)
    assert choose(logits, seen, sampling, None).tolist() == penalised.argmax(1).tolist()
    assert choose(logits, None, sampling, None).tolist() == logits.argmax(1).tolist()


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(0.7, 5, 0.9, 1.3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_draws_have_the_distribution(sampling: Sampling, dtype: torch.dtype) -> None:
    draws = 20_000
    logits, seen = (part[:1, :12] for part in random_logits())
    logits = logits.to(dtype)
    generator = torch.Generator().manual_seed(0)
    tokens = choose(logits.expand(draws, -1), seen.expand(draws, -1), sampling, generator)
    assert tokens.shape == (draws,) and tokens.dtype == torch.int64
    expected = draws * reference_probabilities(logits[0].double().numpy(), seen[0].numpy(), sampling)
    counts = np.bincount(tokens.numpy(), minlength=12)
    assert not counts[expected == 0].any()
    possible = expected > 0
    chi_squared = ((counts - expected)[possible] ** 2 / expected[possible]).sum()
    freedom = possible.sum() - 1
    assert chi_squared < freedom + 4 * math.sqrt(2 * freedom)


def test_draws_follow_the_generator_alone() -> None:
    logits, _ = random_logits(batch=50)
    logits = logits.bfloat16()

    def drawn(seed: int) -> list[int]:
        torch.rand(3)  # moves the global generator
        return choose(logits, None, Sampling(), torch.Generator().manual_seed(seed)).tolist()

    assert drawn(1) == drawn(1) != drawn(2)


@pytest.mark.parametrize("temperature", [1e-30, 1e-5, 1e30])
def test_extreme_temperatures(temperature: float) -> None:
    logits, _ = random_logits()
    scores = filtered(logits.float(), None, Sampling(temperature=temperature))
    peaked = torch.nn.functional.one_hot(logits.argmax(-1), 40).float()
    assert torch.allclose(scores.softmax(-1), peaked if temperature < 1 else torch.full_like(peaked, 1 / 40))


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(top_k=2, top_p=0.5), Sampling(greedy=True)])
@pytest.mark.parametrize("row", [[1.0, math.nan], [1.0, math.inf], [-math.inf, -math.inf]])
def test_logits_without_a_distribution_are_refused(sampling: Sampling, row: list[float]) -> None:
    with pytest.raises(RunError, match="^sequence 1: its logits hold NaN or infinite values") as raised:
        choose(torch.tensor([[0.0, 1.0], row]), None, sampling, None)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(top_k=2, top_p=0.9), Sampling(greedy=True)])
def test_minus_infinity_rules_a_token_out(sampling: Sampling) -> None:
    logits = torch.tensor([[-math.inf, 0.0, -math.inf]]).expand(50, -1)
    seen = torch.ones(50, 3, dtype=torch.bool)
    assert choose(logits, seen, sampling, None).tolist() == [1] * 50


@pytest.mark.parametrize(
    "values, message",
    [
        (
            {"temperature": 0.0},
            "temperature=0.0: must be above 0; for the most probable token at each step give greedy=true",
        ),
        ({"temperature": -1.0}, "temperature=-1.0: must be above 0; for the most probable token at each step give "),
        ({"temperature": math.nan}, "temperature=nan: must be a finite number"),
        ({"temperature": math.inf}, "temperature=inf: must be a finite number"),
        ({"top_k": 0}, "top_k=0: must be at least 1; leave it out for all tokens"),
        ({"top_p": 0.0}, "top_p=0.0: must be in (0, 1]; give 1 for all tokens"),
        ({"top_p": 1.1}, "top_p=1.1: must be in (0, 1]; give 1 for all tokens"),
        ({"top_p": math.nan}, "top_p=nan: must be a finite number"),
        ({"repetition_penalty": 0.0}, "repetition_penalty=0.0: must be above 0; give 1 for none"),
        ({"repetition_penalty": math.inf}, "repetition_penalty=inf: must be a finite number"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Sampling(**values).check()
    assert str(raised.value).startswith(message) and "\n" not in str(raised.value)


def test_values_in_range_are_accepted() -> None:
    Sampling().check()
    Sampling(temperature=1e-3, top_k=1, top_p=1e-6, repetition_penalty=0.5, greedy=True).check()


def feed_all(strings: list[str], pieces: list[str]) -> tuple[list[str], StopStrings]:
    stops = StopStrings(strings)
    return [stops.feed(piece) for piece in pieces], stops


def test_stop_strings_hold_back_only_what_could_begin_one() -> None:
    printed, stops = feed_all(["\n\n", "END"], ["one\n", "two E", "N", "V", "\n", "\nthree", "four"])
    assert printed == ["one", "\ntwo ", "", "ENV", "", "", ""]
    assert stops.stopped and stops.flush() == ""


def test_flush_returns_what_was_held_back() -> None:
    printed, stops = feed_all(["END"], ["the EN"])
    assert printed == ["the "] and not stops.stopped
    assert (stops.flush(), stops.flush()) == ("EN", "")


@pytest.mark.parametrize(
    "strings, text, before",
    [
        (["aab"], "aaab", "a"),  # a beginning inside a beginning
        (["abcd", "bc"], "abcd", "a"),  # complete first, though it begins later
        (["c", "abc"], "abc", ""),  # both end here: the longest
        (["x", "ab"], "abx", ""),
    ],
)
def test_overlapping_stop_strings(strings: list[str], text: str, before: str) -> None:
    for pieces in ([text], list(text)):
        printed, stops = feed_all(strings, pieces)
        assert "".join(printed) == before and stops.stopped


def test_without_stop_strings_every_text_passes() -> None:
    printed, stops = feed_all([], ["a", "", "bc"])
    assert printed == ["a", "", "bc"] and not stops.stopped and stops.flush() == ""


@pytest.mark.parametrize("strings", [[""], ["a", ""]])
def test_an_empty_stop_string_is_refused(strings: list[str]) -> None:
    with pytest.raises(ConfigError, match="^stop=.*at least one character"):
        StopStrings(strings)


def test_stop_strings_equal_a_search_of_the_whole_text() -> None:
    rng = random.Random(0)

    def string(shortest: int, longest: int) -> str:
        return "".join(rng.choices("ab" if rng.random() < 0.5 else "abc", k=rng.randint(shortest, longest)))

    stopped = 0
    for _ in range(4000):
        strings = [string(1, 6) for _ in range(rng.randint(1, 4))]
        text = string(0, 30)
        cuts = sorted(rng.choices(range(len(text) + 1), k=rng.randint(0, 12)))
        pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        ends = [(text.find(s) + len(s), text.find(s)) for s in strings if s in text]
        expected = text[: min(ends)[1]] if ends else text

        stops = StopStrings(strings)
        printed = fed = ""
        for piece in pieces:
            printed, fed = printed + stops.feed(piece), fed + piece
            if not stops.stopped:
                could_begin = (k for k in range(len(fed) + 1) if any(s.startswith(fed[k:]) for s in strings))
                assert printed == fed[: min(could_begin)]  # no more is held back than must be
        assert printed + stops.flush() == expected
        assert stops.stopped == bool(ends)
        stopped += stops.stopped
    assert 1000 < stopped < 3800
