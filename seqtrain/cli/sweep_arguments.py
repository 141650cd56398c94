"""The command line of a sweep that is resumed."""

from collections.abc import Sequence

from seqtrain.errors import ConfigError, RunError
from seqtrain.paths import expanded
from seqtrain.sweeps.ledger import Sweep


def sweep_arguments(arguments: Sequence[str]) -> list[str]:
    """The command line, with ``sweep.resume=<dir>`` replaced by the command that began that sweep.

    Raises:
        ConfigError: if ``hydra.sweep.dir`` stands beside it.
        RunError: if the directory is not that of a sweep.
    """
    given = [argument for argument in arguments if argument.startswith("sweep.resume=")]
    text = given[-1].partition("=")[2] if given else ""
    if text in ("", "null"):
        return list(arguments)
    path = expanded(text, "sweep.resume")
    others = [a for a in arguments if a not in (*given, "-m", "--multirun")]  # the recorded command begins with it
    keys = {key_of(argument) for argument in others}
    if "hydra.sweep.dir" in keys:
        raise ConfigError(f"hydra.sweep.dir: leave it out beside sweep.resume={path}, which is the directory")
    if not (path / "sweep.json").is_file():
        raise RunError(f"sweep.resume={path}: is not the directory of a sweep (no sweep.json in it)")
    recorded = [a for a in Sweep(path).plan().arguments if key_of(a) not in {*keys, "hydra.sweep.dir"}]
    quoted = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return [*recorded, *others, f"hydra.sweep.dir='{quoted}'"]


def key_of(argument: str) -> str:
    """The key of an override; a flag is its own."""
    return argument.partition("=")[0].lstrip("+")
