"""Beam search of language models: against exhaustive search and greedy choice; ends, and the state of every model."""

import itertools
from collections.abc import Callable

import pytest
import torch

from seqtrain.commands.build import Built, build_model
from seqtrain.commands.generate import Generation
from seqtrain.config.root import Config
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.tasks.language.beam import most_probable
from seqtrain.tasks.language.generation import continuations, read
from seqtrain.tasks.language.sampling import Sampling
from seqtrain.training.device import seed_everything

Compose = Callable[..., Config]

V, LENGTH, END = 4, 4, 2
PROMPT = torch.tensor([[0, 3, 1]])
MODELS = ["model=gru", "model=lstm model.num_layers=2", "model=gru_attn", "model=self_attn"]


def built_model(composed: Compose, model: str) -> Built:
    sizes = ["data=stdlib", "model.embedding.embed_dim=4", "device=cpu"]
    sizes += ["model.feed_forward_size=8"] if "self_attn" in model else ["model.hidden_size=5", "model.kernel=torch"]
    seed_everything(1)
    spec = DataSpec(targets="next token", vocab_size=V, segment_length=8)
    built = build_model(composed(*model.split(), *sizes), spec)
    for parameter in itertools.chain(built.model.parameters(), built.head.parameters()):
        torch.nn.init.normal_(parameter)  # so that the most probable token differs from step to step
    built.model.eval(), built.head.eval()
    return built


@torch.no_grad()
def log_probability(built: Built, tokens: tuple[int, ...]) -> float:
    """Of a continuation of the prompt, by one pass for each token."""
    total = 0.0
    for i, token in enumerate(tokens):
        text = torch.cat([PROMPT, torch.tensor([tokens[:i]], dtype=torch.long)], dim=1)
        features, _ = read(built.model, text, None)
        total += built.head(features).double().log_softmax(-1)[0, token].item()
    return total


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("end, penalty", [(None, 1.0), (END, 0.0), (END, 2.0)])
def test_a_wide_beam_is_an_exhaustive_search(composed: Compose, model: str, end: int | None, penalty: float) -> None:
    built = built_model(composed, model)
    texts = {row[: row.index(end) + 1] if end in row else row for row in itertools.product(range(V), repeat=LENGTH)}
    logs = {row: log_probability(built, row) for row in texts}
    scores = {row: total / ((5 + len(row)) / 6) ** penalty for row, total in logs.items()}
    expected = sorted(texts, key=lambda row: -scores[row])
    found = most_probable(
        built.model, built.head, PROMPT, beam_size=V**LENGTH, length=LENGTH, length_penalty=penalty, end=end
    )
    assert [tuple(each.tokens) for each in found] == expected
    assert [each.score for each in found] == pytest.approx([scores[row] for row in expected], abs=1e-4)
    assert [each.log_probability for each in found] == pytest.approx([logs[row] for row in expected], abs=1e-4)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_a_beam_of_one_is_greedy(composed: Compose, model: str, apart: bool) -> None:
    built = built_model(composed, model)
    (found,) = most_probable(built.model, built.head, PROMPT, beam_size=1, length=12, apart=apart)
    steps = continuations(built.model, built.head, PROMPT, Sampling(greedy=True), apart=apart)
    assert found.tokens == [token.item() for token in itertools.islice(steps, 12)]


@pytest.mark.parametrize(
    "wanted, message",
    [
        (Generation(beam_size=0), "beam_size=0: must be from 1"),
        (Generation(beam_size=2, num_samples=3), "num_samples=3: must be at most beam_size=2"),
        (Generation(beam_size=2, stream=True), "stream=True: must be false with beam_size"),
        (Generation(beam_size=2, sampling=Sampling(top_k=3)), "top_k=3: must be left out with beam_size"),
        (Generation(beam_size=2, length_penalty=-1), "length_penalty=-1: must be in"),
        (Generation(length_penalty=2), "length_penalty=2: must be left out without beam_size"),
    ],
)
def test_options_that_do_not_fit_are_refused(wanted: Generation, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        wanted.check()
