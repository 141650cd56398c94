"""The tokenizers of both sides of pairs of texts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from tokenizers import Tokenizer, models

from seqtrain.atomic import replacing
from seqtrain.config.pairs import PairsConfig
from seqtrain.data.run_tokenizer import run_tokenizer
from seqtrain.data.text.batches import token_name
from seqtrain.data.text.tokenizer import encode, train_tokenizer
from seqtrain.data.vocabulary import END

BEGIN = "<begin>"
PAD_ID, UNKNOWN_ID, BEGIN_ID, END_ID = range(4)
"""The special tokens of both sides. A text is followed by the end; a decoder first reads the beginning."""
SOURCE_FILE, TARGET_FILE = "tokenizer.json", "target_tokenizer.json"


@dataclass(frozen=True)
class Vocabularies:
    """The tokenizers of sources and targets; of a joint vocabulary, both are the same."""

    source: Tokenizer
    target: Tokenizer

    @classmethod
    def learn(cls, config: PairsConfig, sources: Sequence[str], targets: Sequence[str]) -> "Vocabularies":
        """Learn them from the texts of train."""
        special = (BEGIN, END)
        if config.joint:
            joint = train_tokenizer(config, chain(sources, targets), special)
            return cls(joint, joint)
        return cls(train_tokenizer(config, sources, special), train_tokenizer(config, targets, special))

    @classmethod
    def load(cls, directory: Path) -> "Vocabularies":
        """Those of a run, or of prepared pairs; raises RunError if a file is missing or damaged."""
        return cls(run_tokenizer(directory), run_tokenizer(directory, TARGET_FILE, "target_vocab_size"))

    def save(self, directory: Path) -> None:
        """Write both into a directory."""
        for name, tokenizer in ((SOURCE_FILE, self.source), (TARGET_FILE, self.target)):
            with replacing(directory / name) as temporary:
                temporary.write_text(tokenizer.to_str(pretty=True), encoding="utf-8")

    def names(self, side: str, tokens: Sequence[int]) -> list[str]:
        """Tokens of one side, ``source`` or ``target``, in readable form; part of a letter stays as BPE names it."""
        tokenizer: Tokenizer = getattr(self, side)
        names = [token_name(tokenizer, token) for token in tokens]
        if not isinstance(tokenizer.model, models.BPE):
            return names
        texts = (tokenizer.decode([token], skip_special_tokens=False).strip() for token in tokens)
        return [name if not text or "\ufffd" in text else text for text, name in zip(texts, names, strict=True)]

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Texts of target tokens; the special ones but the unknown are left out."""
        kept = [[token for token in row if token == UNKNOWN_ID or token > END_ID] for row in rows]
        if isinstance(self.target.model, models.BPE):
            return [text.strip() for text in self.target.decode_batch(kept, skip_special_tokens=False)]
        joint = "" if self.by_letter else " "
        return [joint.join(self.target.id_to_token(token) or "" for token in row).strip() for row in kept]

    @property
    def by_letter(self) -> bool:
        """Whether each letter of the target, blanks included, is a token."""
        return bool(self.target.pre_tokenizer.pre_tokenize_str(" "))


def with_end(tokenizer: Tokenizer, texts: Sequence[str]) -> Iterator[list[list[int]]]:
    """Tokens of each text and its end, in chunks."""
    for chunk in encode(tokenizer, texts):
        yield [[*row, END_ID] for row in chunk]
