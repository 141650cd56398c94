"""Tokenizers for texts: words, byte-level BPE or characters, saved as a tokenizer.json of `tokenizers`."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from seqtrain.config.text import Tokenizer as Kind
from seqtrain.config.text import VocabularyConfig
from seqtrain.data.vocabulary import PAD, UNKNOWN

WORD = r"\w+(?:'\w+)*|[^\w\s]"  # letters and digits with inner apostrophes, or one punctuation mark
CHARACTER = r"[\s\S]"
CHUNK = 2_000  # number of texts tokenised at a time, by all cores


def train_tokenizer(config: VocabularyConfig, texts: Iterable[str], special: Sequence[str] = ()) -> Tokenizer:
    """Learn a vocabulary from texts.

    Args:
        config: how texts are split, and which tokens are kept.
        texts: the texts of train.
        special: more special tokens, which follow padding and <unk>.

    Returns:
        A tokenizer whose token 0 is padding and token 1 is <unk>.
    """
    steps: list[normalizers.Normalizer] = [normalizers.NFC()]
    if config.html_breaks:
        steps.append(normalizers.Replace(Regex(r"<br\s*/?>"), " "))
    if config.lowercase:
        steps.append(normalizers.Lowercase())
    learn: dict[str, Any] = {
        "vocab_size": config.vocab_size,
        "min_frequency": config.min_count,
        "special_tokens": [PAD, UNKNOWN, *special],
        "show_progress": False,
    }
    trainer: trainers.Trainer
    if config.tokenizer is Kind.bpe:
        tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **learn)
    else:
        pattern = WORD if config.tokenizer is Kind.word else CHARACTER
        tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True)
        trainer = trainers.WordLevelTrainer(**learn)
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> Iterator[list[list[int]]]:
    """Tokens of each text, in chunks; a text without words becomes one <unk>, since no row may be empty.

    What is spelt like a special token in a text, such as <pad>, is tokenised as any other characters are.
    """
    tokenizer.encode_special_tokens = True  # a name that means: as ordinary text; it is not saved with a tokenizer
    unknown: list[int] = [tokenizer.token_to_id(UNKNOWN) or 0]
    for start in range(0, len(texts), CHUNK):
        chunk = list(texts[start : start + CHUNK])
        yield [encoding.ids or unknown for encoding in tokenizer.encode_batch_fast(chunk, add_special_tokens=False)]
