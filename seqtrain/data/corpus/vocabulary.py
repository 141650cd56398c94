"""Learn a tokenizer from running text: its words, characters or byte pairs."""

import math
from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import chain, islice

from seqtrain.config.corpus import CorpusConfig, TokenKind
from seqtrain.data.corpus.stream import Stream, end_lines
from seqtrain.data.corpus.tokenizers import (
    PART,
    BpeTokenizer,
    ByteTokenizer,
    CharTokenizer,
    CorpusTokenizer,
    SymbolTokenizer,
    WordTokenizer,
)
from seqtrain.data.vocabulary import UNKNOWN, by_frequency

BPE_VOCAB_SIZE = 8_192
SAMPLE = 256_000_000  # largest number of bytes of train that byte pairs are learned from


def learn_tokenizer(config: CorpusConfig, splits: Mapping[str, Stream]) -> CorpusTokenizer:
    """Learn a vocabulary from train; the other splits decide only whether it needs <unk>."""
    match config.tokenizer:
        case TokenKind.word:
            ended = {split: partial(end_lines, stream) for split, stream in splits.items()}
            return learn_symbols(WordTokenizer, config, ended)
        case TokenKind.char:
            return learn_symbols(CharTokenizer, config, splits)
        case TokenKind.byte:
            return ByteTokenizer()
        case TokenKind.bpe:
            return learn_pairs(config, splits["train"])


def learn_symbols(
    tokenizer: type[SymbolTokenizer], config: CorpusConfig, splits: Mapping[str, Stream]
) -> SymbolTokenizer:
    """Tokens of train from the most to the least frequent, equals in alphabetical order; with <unk> if needed."""
    counts: Counter[str] = Counter()
    for chunk in splits["train"]():
        counts.update(tokenizer.parts(chunk.text))
    kept = by_frequency(counts, config.min_count, (UNKNOWN,))
    known = set(kept)
    others = (chunk.text for split, stream in splits.items() if split != "train" for chunk in stream())
    if (
        len(kept) == len(counts)  # else there are rare words, or a word <unk> in the text
        and (config.vocab_size is None or len(kept) <= config.vocab_size)
        and all(known.issuperset(tokenizer.parts(text)) for text in others)
    ):
        return tokenizer(kept, None)
    if config.vocab_size is not None:
        kept = kept[: config.vocab_size - 1]
    counts[UNKNOWN] = counts.total() - sum(counts[token] for token in kept)
    tokens = by_frequency(Counter({token: counts[token] for token in [*kept, UNKNOWN]}), 0, ())
    return tokenizer(tokens, tokens.index(UNKNOWN))


def learn_pairs(config: CorpusConfig, train: Stream) -> BpeTokenizer:
    """Byte-level BPE learned from train or, if it is large, from every k-th chunk of it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    size = sum(len(chunk.text.encode()) for chunk in train())
    sample = islice(train(), 0, None, max(1, math.ceil(size / SAMPLE)))
    library = Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size or BPE_VOCAB_SIZE,
        min_frequency=config.min_count,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[],
        show_progress=False,
    )
    library.train_from_iterator(chain.from_iterable(PART.findall(chunk.text) for chunk in sample), trainer)
    return BpeTokenizer(library)
