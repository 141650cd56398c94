"""Generated problems on which sequence models differ, as functions from a random generator to a batch.

Shapes: B batch, T time.
"""

import math

import numpy as np


def adding(rng: np.random.Generator, batch_size: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The sum of two marked numbers among many.

    Returns:
        Inputs (B, T, 2), float32: a number from [0, 1) and a mark, 1 at one step of each half and 0 elsewhere; targets
        (B,), float32. Predicting the mean, 1, gives a mean squared error of 1/6.

    Source: Hochreiter and Schmidhuber 1997, experiment 4, in the form of Le et al. 2015, section 4.1.
    """
    numbers = rng.random((batch_size, length), dtype=np.float32)
    marks = np.zeros_like(numbers)
    row = np.arange(batch_size)
    first = rng.integers(0, length // 2, batch_size)
    second = rng.integers(length // 2, length, batch_size)
    marks[row, first] = marks[row, second] = 1.0
    return np.stack([numbers, marks], axis=-1), numbers[row, first] + numbers[row, second]


def copy_memory(
    rng: np.random.Generator, batch_size: int, length: int, num_symbols: int, copy_length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Symbols to be repeated after a long pause.

    Token 0 is the blank, 1 to K are the symbols, and K + 1 is the start sign. The input is the symbols, ``length`` - 1
    blanks, the start sign, and as many blanks as symbols. The target is blank, except for the symbols at its end.

    Returns:
        Inputs and targets, (B, length + 2 * copy_length), int64.

    Source: Arjovsky et al. 2016, section 5.1.
    """
    symbols = rng.integers(1, num_symbols + 1, (batch_size, copy_length))
    inputs = np.zeros((batch_size, length + 2 * copy_length), dtype=np.int64)
    inputs[:, :copy_length] = symbols
    inputs[:, length + copy_length - 1] = num_symbols + 1
    targets = np.zeros_like(inputs)
    targets[:, -copy_length:] = symbols
    return inputs, targets


def memoryless_loss(length: int, num_symbols: int, copy_length: int) -> float:
    """Nats per step of ``copy_memory`` without memory of the symbols: ln K at each copied step, 0 at the others."""
    return copy_length * math.log(num_symbols) / (length + 2 * copy_length)


def reverse(rng: np.random.Generator, batch_size: int, length: int, num_symbols: int) -> tuple[np.ndarray, np.ndarray]:
    """A sequence to be reversed: inputs and targets, (B, T), int64, of tokens 0 to K - 1.

    A random guess costs ln K nats a step.
    """
    inputs = rng.integers(0, num_symbols, (batch_size, length))
    return inputs, inputs[:, ::-1].copy()
