"""Shell completion of what Hydra does not know: the commands, and the keys of those that start from a run."""

import glob
import inspect
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

COMPOSED = ("train", "lr-find", "check-resume")
"""Commands whose arguments Hydra completes."""
PATHS = ("run=", "resume=", "input=", "output=", "prompt_file=")
"""Keys whose values are files or folders."""


def complete(commands: Mapping[str, Callable[..., Any]]) -> bool:
    """Print what may follow on the command line that the shell gives as $COMP_LINE.

    Args:
        commands: functions by name; the usage in their docstrings has their keys.

    Returns:
        Whether Hydra has something to add. It knows no commands, so that the line it reads then has none.
    """
    start, *words = re.split(" +", os.environ["COMP_LINE"].lstrip())
    if len(words) < 2:
        found = [name for name in sorted({*COMPOSED, *commands}) if name.startswith(words[0] if words else "")]
        found += paths("resume=", words[0]) if words and words[0].startswith("resume=") else []
        print("\n".join(found))
    elif words[0] in commands and words[0] not in COMPOSED:
        print("\n".join(of_run(commands[words[0]], words[-1])))
        return False
    if words and words[0] in COMPOSED and len(words) > 1:
        words = words[1:]
    os.environ["COMP_LINE"] = " ".join([start, *words])
    return True


def of_run(command: Callable[..., Any], word: str) -> list[str]:
    """What a word of a command that starts from a run may become."""
    usage = (inspect.getdoc(command) or "").split("\n\n")[1]
    for key in PATHS:
        if word.startswith(key):
            return paths(key, word)
    choices = re.findall(r"\b([a-z_]+=)((?:\w+\|)+\w+)", usage)
    found = [f"{key}{value}" for key, values in choices for value in values.split("|")]
    found += re.findall(r"[a-z_.]+=", usage)
    if "=" not in word:
        found = list(dict.fromkeys(each.partition("=")[0] + "=" for each in found))
    return [each for each in found if each.startswith(word) and each != word]


def paths(key: str, word: str) -> list[str]:
    """The word with every path that it may become; folders end in a slash."""
    found = sorted(glob.glob(glob.escape(word.removeprefix(key)) + "*"))
    return [f"{key}{path}{os.sep if os.path.isdir(path) else ''}" for path in found]
