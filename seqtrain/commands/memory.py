"""Running out of memory, told in one line that names what to make smaller."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from seqtrain.config.loading import flatten
from seqtrain.config.options import changeable
from seqtrain.config.root import Config
from seqtrain.errors import RunError, UserError

SIZES = (
    *("data.batch_tokens", "data.batch_size", "data.eval_batch_tokens", "data.eval_batch_size", "data.max_length"),
    *("data.bptt_len", "data.length", "data.lookback", "data.horizon", "data.num_train", "data.vocab_size"),
    *("budget.params", "model.embedding.embed_dim", "model.hidden_size", "model.num_layers"),
    "model.wide_size",
)
"""Options that decide how much memory a run needs: batches, lengths, vocabulary, width."""
WORDS = re.compile(
    r"DefaultCPUAllocator|out of memory|not enough memory|cannot allocate memory|alloc_failed|bad_alloc|"
    r"storage size calculation overflowed|overflow when unpacking|maximum allowed dimension|array is too big|"
    r"index-sized integer",
    re.IGNORECASE,
)
"""What torch, NumPy, CUDA and Python say, in errors of several types, of memory that is not there or cannot be."""
AMOUNT = re.compile(r"(?:allocate|size) (\d+)(?: bytes| failed)|allocate ([\d.]+ [KMGTPE]iB)", re.IGNORECASE)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    kinds = (RuntimeError, TypeError, ValueError, OverflowError)
    return isinstance(error, MemoryError) or (isinstance(error, kinds) and WORDS.search(str(error)) is not None)


@contextmanager
def within_memory(config: Config | None = None, *own: str, trained: bool = False) -> Iterator[None]:
    """Context in which running out of memory is an error that names what to make smaller.

    Args:
        config: the configuration whose sizes are named, as far as it has them.
        own: sizes that the command itself was given, as key=value; they come first.
        trained: the model is trained, so that only what may change for it is named.

    Raises:
        RunError: in place of an error that says that memory is full.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        found = AMOUNT.search(str(error))
        wanted = "" if found is None else f" (for {found[2] or f'{int(found[1]) / 2**30:,.2f} GiB'} at once)"
        named = [*own, *([] if config is None else sizes(config, trained))]
        remedy = f"make smaller what is large of {', '.join(named)}" if named else "give it less at once"
        raise RunError(f"out of memory{wanted}: {remedy}, or end other programs") from error


def sizes(config: Config, trained: bool) -> Iterator[str]:
    """The sizes of a configuration as key=value; of a trained model only those that may change."""
    values, allowed = dict(flatten(config)), changeable(config)
    widths = [f"model.{key}" for key in config.model.widths(causal=False)]
    for key in dict.fromkeys([*SIZES, *widths]):
        if values.get(key) is not None and (key in allowed or not trained):
            yield f"{key}={values[key]}"
