"""The seqtrain commands in README and docs, as a shell would read them."""

import re
import shlex
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

ROOT = Path(__file__).parents[1]
PAGES = [
    Path("README.md"),
    *sorted(path.relative_to(ROOT) for path in (ROOT / "docs").glob("*.md")),
    *sorted(path.relative_to(ROOT) for path in (ROOT / "examples").glob("*/README.md")),
]


@dataclass
class Command:
    """One command, without its environment, flags apart."""

    name: str
    """``train`` where no other is named."""
    overrides: list[str]
    flags: set[str] = field(default_factory=set)
    wrong: bool = False
    """Whether the page shows the error that it gives."""

    def __str__(self) -> str:
        return " ".join(["seqtrain", self.name, *sorted(self.flags), *self.overrides])


def parse(words: list[str], wrong: bool = False) -> Command:
    """A command from the words after ``seqtrain``."""
    name, flags, overrides, skip = "train", set(), [], False
    for i, word in enumerate(words):
        if skip:
            skip = False
        elif word.startswith("-") and "=" not in word and word != "-":
            flags.add(word)
            skip = word in ("--cfg", "--config-dir", "-p", "--package", "-sc")
        elif i == 0 and re.fullmatch(r"[a-z-]+", word):
            name = word
        else:
            overrides.append(word)
    if any(override.startswith("resume=") for override in overrides):
        name = "resume"
    return Command(name, overrides, flags, wrong)


def of_line(line: str, wrong: bool = False) -> list[Command]:
    """The commands of a shell line: after pipes, loops and assignments, by ``seqtrain`` or ``torchrun -m seqtrain``."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&")
    lexer.whitespace_split = True
    found, words = [], list(lexer)
    parts: list[list[str]] = [[]]
    for word in words:
        if set(word) <= set("|;&"):
            parts.append([])
        else:
            parts[-1].append(word)
    for part in parts:
        if "seqtrain" not in part:
            continue
        at = part.index("seqtrain")
        before = part[:at]
        if all(re.fullmatch(r"[A-Z_]+=.*", word) for word in before) or before[-1] == "-m":
            found.append(parse(part[at + 1 :], wrong))
    return found


@cache
def commands_of(page: Path) -> list[Command]:
    """All of a page: of its sh and console blocks, and those between backticks in its text."""
    text = (ROOT / page).read_text()
    found = []
    for kind, block in re.findall(r"^```(sh|console)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        lines = block.replace("\\\n", " ").splitlines()
        if kind == "console":
            wrong = "seqtrain: error" in block
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        else:
            wrong, lines = False, without_heredocs(lines)
        for line in lines:
            if "seqtrain" in line:
                found += of_line(re.sub(r"<(\w+)>", r"\1", line), wrong)
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for span in re.findall(r"`([^`\n]+)`", prose):
        if "..." in span or "[" in span.replace("=[", ""):
            continue  # a form, not a command
        words = span.replace("<any name>", "x").split()
        if "seqtrain" in words and (words[0] == "seqtrain" or words[0].startswith("SEQTRAIN_") or "torchrun" in words):
            found += of_line(re.sub(r"<[^>]*>", "x", span))
    return found


def without_heredocs(lines: list[str]) -> list[str]:
    """Lines of a shell without those that are the input of a command."""
    kept, end = [], None
    for line in lines:
        if end is not None:
            end = None if line == end else end
            continue
        kept.append(line)
        if started := re.search(r"<<\s*'?(\w+)'?", line):
            end = started[1]
    return kept


def single_values(overrides: list[str]) -> list[str]:
    """Overrides with the first value of each that names several, and a number for a range of a search."""
    single = []
    for override in overrides:
        if override.startswith(("hydra.", "hydra/")):
            continue  # whose sweeper's options are Hydra's to check
        parsed = OverridesParser.create().parse_override(override)
        if parsed.is_sweep_override():
            key = override.partition("=")[0]
            if parsed.is_choice_sweep() or parsed.is_range_sweep():
                single.append(f"{key}={next(parsed.sweep_string_iterator())}")
        else:
            single.append(override)
    return single
