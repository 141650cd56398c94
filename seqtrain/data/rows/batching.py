"""Batches of rows of similar length, so that there is little padding, in a random order."""

import numpy as np

POOL_BATCHES = 100  # number of batches sorted together: on IMDB 1.0 % of steps are padding; with 25 it would be 2.6 %


def bucketed_batches(
    lengths: np.ndarray, batch_size: int, batch_tokens: int | None, rng: np.random.Generator
) -> list[np.ndarray]:
    """Training batches of an epoch: shuffle rows, sort pools of rows by length, cut them into batches, shuffle these.

    Args:
        lengths: number of steps of each row, (N,).
        batch_size: number of rows in a batch, if ``batch_tokens`` is None.
        batch_tokens: largest number of steps in a batch, including padding.
        rng: source of the order.

    Returns:
        Row numbers of each batch; every row is in exactly one.
    """
    order = rng.permutation(len(lengths))
    per_batch = batch_size if batch_tokens is None else max(1, int(batch_tokens / lengths.mean()))
    pool = POOL_BATCHES * per_batch
    batches: list[np.ndarray] = []
    for start in range(0, len(order), pool):
        rows = order[start : start + pool]
        rows = rows[np.argsort(-lengths[rows], kind="stable")]
        if batch_tokens is None:
            batches += np.split(rows, range(batch_size, len(rows), batch_size))
        else:
            batches += cut_by_tokens(rows, lengths, batch_tokens)
    return [batches[i] for i in rng.permutation(len(batches))]


def cut_by_tokens(rows: np.ndarray, lengths: np.ndarray, batch_tokens: int) -> list[np.ndarray]:
    """Cut rows, sorted from long to short, into batches of at most ``batch_tokens`` steps, including padding."""
    batches = []
    start = 0
    while start < len(rows):
        count = max(1, batch_tokens // int(lengths[rows[start]]))
        batches.append(rows[start : start + count])
        start += count
    return batches


def sorted_batches(lengths: np.ndarray, batch_tokens: int) -> list[np.ndarray]:
    """Batches for evaluation: all rows from long to short, in batches of at most ``batch_tokens`` steps."""
    return cut_by_tokens(np.argsort(-lengths, kind="stable"), lengths, batch_tokens)
