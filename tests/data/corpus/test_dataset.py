from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from seqtrain.config.corpus import StatePolicy, TextCorpusConfig, TokenKind
from seqtrain.data.corpus.dataset import RunningText, SegmentBatch
from seqtrain.errors import DataError

FILES = ["abcdefghijklmnopqrstuvwxyz" * 9, "hello world " * 11, "x", "the end of it all. " * 8]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Train, validation and test of four documents each."""
    for split in ("train", "validation", "test"):
        (tmp_path / split).mkdir()
        for i, text in enumerate(FILES):
            (tmp_path / split / f"{i}.txt").write_text(text)
    return tmp_path


def running(folder: Path, seed: int = 0, **options: object) -> RunningText:
    defaults: dict[str, object] = {"tokenizer": TokenKind.char, "batch_size": 4, "bptt_len": 10, "eval_warmup": 20}
    return RunningText(TextCorpusConfig(name="t", path=str(folder), **(defaults | options)), seed)  # type: ignore[arg-type]


def read(batches: object) -> list[SegmentBatch]:
    return list(batches)  # type: ignore[call-overload]


def restarts(batch: SegmentBatch) -> Tensor:
    return torch.zeros_like(batch.targets, dtype=torch.bool) if batch.restarts is None else batch.restarts


def test_training_reads_rows_on_from_batch_to_batch(folder: Path) -> None:
    data = running(folder)
    text = np.array(data.tokens["train"], dtype=np.int64)
    length = (len(text) - 1) // 4
    batches = read(data.train_batches(0))
    assert len(batches) == data.num_batches(0) == -(-length // 10)
    inputs, targets = (torch.cat([getattr(b, name) for b in batches], 1).numpy() for name in ("inputs", "targets"))
    np.testing.assert_array_equal(inputs, text[: 4 * length].reshape(4, length))
    np.testing.assert_array_equal(targets, text[1 : 4 * length + 1].reshape(4, length))
    assert all(torch.equal(b.lengths, torch.full((4,), b.inputs.shape[1])) for b in batches)
    starts = torch.cat([restarts(b) for b in batches], 1)
    assert starts[:, 0].all() and not starts[:, 1:].any()  # an epoch begins at the text's beginning, once
    later = read(data.train_batches(0, start=3))
    assert torch.equal(later[0].inputs, batches[3].inputs) and len(later) == len(batches) - 3


@pytest.mark.parametrize("policy", StatePolicy)
def test_state_policies(folder: Path, policy: StatePolicy) -> None:
    data = running(folder, state=policy)
    begins = np.cumsum([0, *map(len, FILES[:-1])])
    np.testing.assert_array_equal(data.documents["train"], begins)
    for b in read(data.train_batches(0))[1:]:
        positions = b.positions.numpy() - 1  # type: ignore[union-attr]
        expected = np.zeros(positions.shape, dtype=bool)
        if policy is StatePolicy.reset_document:
            expected = np.isin(positions, begins)
        elif policy is StatePolicy.reset_batch:
            expected[:, 0] = True
        np.testing.assert_array_equal(restarts(b).numpy(), expected)
    first = read(data.train_batches(0))[0]
    assert restarts(first)[:, 0].all()
    assert ("over the whole text" in data.scoring) == (policy is StatePolicy.carry)


@pytest.mark.parametrize("policy", StatePolicy)
@pytest.mark.parametrize("rows", [1, 2, 7, 64, 5000])
@pytest.mark.parametrize("warmup", [0, 3, 40, 1000])
def test_evaluation_covers_every_token_once(
    folder: Path, policy: StatePolicy, rows: int, warmup: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And each is preceded, since its row's last restart, by the text that its policy gives it."""
    monkeypatch.setattr("seqtrain.data.corpus.dataset.EVAL_STEPS", 9)
    data = running(folder, state=policy, eval_batch_size=rows, eval_warmup=warmup)
    text = np.array(data.tokens["validation"], dtype=np.int64)
    begins = set(data.documents["validation"].tolist())
    contexts: list[list[int]] = []
    seen: dict[int, int] = {}
    characters = 0
    for b in read(data.eval_batches("validation")):
        assert b.scored is not None and b.positions is not None and b.num_tokens == int(b.scored.sum())
        characters += b.num_characters
        contexts = contexts or [[] for _ in b.rows]
        for row, step in np.ndindex(*b.inputs.shape):
            if restarts(b)[row, step]:
                contexts[row] = []
            contexts[row].append(int(b.inputs[row, step]))
            if not b.scored[row, step]:
                continue
            place = int(b.positions[row, step])
            assert place not in seen and int(b.targets[row, step]) == text[place]
            seen[place] = len(contexts[row])
            np.testing.assert_array_equal(contexts[row], text[place - len(contexts[row]) : place])
            if policy is StatePolicy.reset_batch:
                assert len(contexts[row]) == (place - 1) % 10 + 1
                continue
            document = max(start for start in begins if start < place)
            available = place - document if policy is StatePolicy.reset_document else place
            assert min(warmup + 1, available) <= len(contexts[row]) <= available
    assert sorted(seen) == list(range(1, len(text)))
    assert characters == len(text) - 1


def test_drawn_lengths(folder: Path) -> None:
    (folder / "train" / "long.txt").write_text("abc" * 40_000)
    data = running(folder, bptt_len=70, bptt_jitter=True)
    cuts = data.cuts(0)
    assert cuts == data.cuts(0) == running(folder, bptt_len=70, bptt_jitter=True).cuts(0)
    assert cuts != data.cuts(1) and cuts != running(folder, seed=1, bptt_len=70, bptt_jitter=True).cuts(0)
    starts, lengths = np.array(cuts).T
    np.testing.assert_array_equal(np.cumsum(lengths)[:-1], starts[1:])
    assert lengths.sum() == data.row_length and lengths[:-1].min() >= 5
    assert 60 < np.median(lengths) < 80 and 0.01 < (lengths[:-1] < 50).mean() < 0.12
    for (_, length), batch in zip(cuts, read(data.train_batches(0)), strict=True):
        assert batch.rate_scale == length / 70 and batch.inputs.shape[1] == length


def test_the_right_of_a_run_to_its_tokenizer(folder: Path, tmp_path: Path) -> None:
    data = running(folder)
    run = tmp_path / "run"
    run.mkdir()
    data.save(run)
    other = tmp_path / "other.txt"
    other.write_text("the world")
    config = TextCorpusConfig(name="t", path=str(other), tokenizer=TokenKind.char)
    new = RunningText(config, 0, run, single_split=True)
    assert list(new.sizes) == ["test"] and new.decode(list(new.tokens["test"])) == "the world"
    assert new.spec.vocab_size == data.spec.vocab_size
    batch, words = data.examples("validation", 3)
    assert batch.inputs.shape == (3, 128) and words[0][:3] == ["a", "b", "c"]


def test_too_short_for_its_rows(folder: Path) -> None:
    tokens = sum(map(len, FILES))
    with pytest.raises(DataError, match=rf"train has {tokens} tokens: too few for data\.batch_size=60 .* lower one"):
        running(folder, batch_size=60)
    assert running(folder, batch_size=(tokens - 1) // 10).num_batches(0) == 1
