"""The command line of a sweep that is resumed."""

from collections.abc import Collection, Sequence
from pathlib import Path

from hydra_plugins.seqtrain_grid._overrides import literal, refusal
from seqtrain.errors import ConfigError, RunError
from seqtrain.paths import expanded
from seqtrain.sweeps.ledger import Sweep

MULTIRUN = ("-m", "--multirun")


def sweep_arguments(arguments: Sequence[str]) -> list[str]:
    """The command line, with ``sweep.resume=<dir>`` replaced by the command that began that sweep.

    Raises:
        ConfigError: if ``hydra.sweep.dir`` stands beside it.
        RunError: if the directory is not that of a sweep, or its command has what could do harm.
    """
    given = [argument for argument in arguments if "=" in argument and key_of(argument) == "sweep.resume"]
    text = given[-1].partition("=")[2] if given else ""
    if text in ("", "null"):
        return list(arguments)
    path = expanded(text, "sweep.resume")
    others = [a for a in arguments if a not in (*given, *MULTIRUN)]  # the recorded command begins with it
    keys = {key_of(argument) for argument in others}
    if "hydra.sweep.dir" in keys:
        raise ConfigError(f"hydra.sweep.dir: leave it out beside sweep.resume={path}, which is the directory")
    if not (path / "sweep.json").is_file():
        raise RunError(f"sweep.resume={path}: is not the directory of a sweep (no sweep.json in it)")
    return [*recorded(path, keys), *others, f"hydra.sweep.dir={literal(str(path))}"]


def recorded(path: Path, given: Collection[str]) -> list[str]:
    """The command in a sweep's directory, without the keys and flags that are given now and those of the directory.

    Raises:
        RunError: for an argument that is more than what to train and how to launch it.
    """
    words = list(Sweep(path).plan().arguments)
    kept = []
    while words:
        word = words.pop(0)
        if word in MULTIRUN:
            kept.append(word)
        elif key_of(word) in {*given, "hydra.sweep.dir"}:
            if word.startswith("-") and "=" not in word and words and "=" not in words[0]:
                words.pop(0)  # the value of the flag
        elif (reason := refusal(word, path)) is not None:
            raise RunError(
                f"{path / 'sweep.json'}: {word!r} of the recorded command is refused: it {reason}; if the sweep is "
                f"yours, give it beside sweep.resume={path}, or type the whole command again"
            )
        else:
            kept.append(word)
    return kept


def key_of(argument: str) -> str:
    """The key of an override; a flag is its own."""
    return argument.partition("=")[0].lstrip("+")
