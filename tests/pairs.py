"""Made-up pairs of texts: the target has a word for each word of the source, in reverse order."""

import random
from pathlib import Path

WORDS = {"eule": "owl", "baum": "tree", "mond": "moon", "teich": "pond", "Haus": "House", "see": "lake"}


def pairs(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Sources of 1 to 7 words, and their targets."""
    rng = random.Random(seed)
    rows = [rng.choices(sorted(WORDS), k=rng.randint(1, 7)) for _ in range(count)]
    return [(" ".join(row), " ".join(WORDS[word] for word in reversed(row))) for row in rows]


def write_lines(folder: Path, split: str, rows: list[tuple[str, str]]) -> None:
    """Write ``<split>.de`` and ``<split>.en``."""
    for end, side in (("de", 0), ("en", 1)):
        (folder / f"{split}.{end}").write_text("".join(f"{row[side]}\n" for row in rows), encoding="utf-8")


def write_splits(folder: Path, train: int = 60) -> Path:
    """Train, validation and test as files of lines."""
    folder.mkdir(exist_ok=True)
    for seed, (split, count) in enumerate((("train", train), ("val", 12), ("test", 14))):
        write_lines(folder, split, pairs(count, seed))
    return folder


OPTIONS = ["data=pair_files", "data.source=de", "data.target=en", "data.min_count=1", "data.vocab_size=300"]
SMALL = ["model.hidden_size=8", "model.embedding.embed_dim=6", "model.kernel=torch", "device=cpu", "data.batch_size=8"]
