"""What Hydra would answer with its usage or a traceback: words and flags that are no overrides, told in one line."""

import re
import shlex
from collections.abc import Collection, Sequence
from dataclasses import fields

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import OverrideParseException

from seqtrain.cli.hydra_setup import composed_keys, option_names
from seqtrain.cli.key_search import closest, did_you_mean, nearest
from seqtrain.cli.overview import GROUPS
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError

MODES = {"-m", "--multirun", "-r", "--run", "-c", "--cfg", "-i", "--info", "-sc", "--shell-completion"}
"""Flags of which there is one at the most."""
ALONE = {"-m", "--multirun", "-r", "--run", "-sc", "--shell-completion", "--hydra-help", "--resolve"}
"""Flags without a value."""
CHOICES: dict[str, tuple[str, ...]] = {"--cfg": ("job", "hydra", "all")}
CHOICES["--info"] = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
CHOICES |= {"-c": CHOICES["--cfg"], "-i": CHOICES["--info"]}
WITH_VALUE = {"-p", "--package", "-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir", *CHOICES}

NEVER_EMPTY = (*GROUPS, "task", r"hydra\.run\.dir", r"hydra\.sweep\.dir", r"sweep\.resume")
"""Groups and directories, as regular expressions: an empty value would be no option, or the current directory."""


def check_words(arguments: Sequence[str]) -> None:
    """Refuse what is neither a flag nor ``key=value``.

    Raises:
        ConfigError: for the first such word, with what it may be meant to be.
    """
    words = list(arguments)
    multirun = bool({"-m", "--multirun"} & set(words))
    before = ""
    while words:
        word = words.pop(0)
        if word.startswith("-"):
            check_flag(word, words)
        elif word.startswith("~") and not word.startswith("~hydra"):
            raise ConfigError(f"{word}: no key or group can be taken out; give it another value")
        elif "=" not in word and not word.startswith("~"):
            raise ConfigError(f"{word}: expected key=value; {meant_by(word, before, words, multirun)}")
        elif re.fullmatch(rf"\+*({'|'.join(NEVER_EMPTY)})=(''|\"\")?", word):
            raise ConfigError(f"{word}: has no value; give one, or leave it out")
        elif re.fullmatch(rf"({'|'.join(GROUPS)}|task)=([-+\d.e]+|true|false|null)", word):
            raise ConfigError(f"{word}: no such option; {suggest_options(word.partition('=')[0])}")
        else:
            before = word
    if len(given := MODES & set(arguments)) > 1:
        raise ConfigError(f"{' '.join(sorted(given))}: give one of them")
    if "--resolve" in arguments and not {"-c", "--cfg"} & set(arguments):
        raise ConfigError("--resolve: goes with --cfg job")


def check_flag(word: str, following: list[str]) -> None:
    """Refuse a flag that is none, or lacks its value; takes the value from the words that follow."""
    flag, equals, value = word.partition("=")
    if flag in ALONE and not equals:
        return
    if flag not in WITH_VALUE:
        if not equals and following and "=" not in following[0] and not following[0].startswith("-"):
            value = following[0]
        key = flag.strip("-").replace("-", "_")
        flags = closest(flag, [*ALONE, *WITH_VALUE])
        near = nearest(key, composed_keys(following)) if key else []
        hint = did_you_mean(near[:1], value or "<value>") if near else did_you_mean(flags) if flags else ""
        raise ConfigError(f"{word}: no such flag, and keys have no dashes; {hint or 'see seqtrain --help'}")
    if not equals and following and (flag not in CHOICES or following[0] in CHOICES[flag]):
        value = following.pop(0)
    elif not equals and flag in ("-i", "--info"):
        return
    if not value or value not in CHOICES.get(flag, (value,)):
        raise ConfigError(f"{word}: expected {flag} {' or '.join(CHOICES.get(flag, ('<value>',)))}")


def meant_by(word: str, before: str, after: Sequence[str], multirun: bool) -> str:
    """What a word without ``=`` may be meant to be, from the words around it."""
    key = before.partition("=")[0]
    if word == "=" or (after and after[0] == "="):
        return "there is no blank around the equals sign"
    if before and (word in option_names(key) or multirun):
        sweep = f"{before},{word}"
        return f"several values are joined by commas: {sweep}" if multirun else f"to train with both: -m {sweep}"
    if homes := [group for group in GROUPS if word in option_names(group)]:
        return did_you_mean([f"{homes[0]}={word}"])
    if before:
        return f"if it belongs to {key}, put quotes around both: {shlex.quote(quoted(f'{before} {word}'))}"
    return "see seqtrain --help"


def suggest_options(group: str) -> str:
    """All options of a group."""
    return f"known: {', '.join(option_names(group))}"


def quoted(override: str) -> str:
    """An override whose value is in quotes, so that nothing in it has a meaning."""
    key, _, value = override.partition("=")
    return '{}="{}"'.format(key, value.replace('"', '\\"'))


def parse(overrides: Sequence[str]) -> list[Override]:
    """Overrides as Hydra's grammar reads them, each with one value.

    Raises:
        ConfigError: if one cannot be read, or has several values.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except OverrideParseException as error:
        raise ConfigError(unreadable(error.override)) from error
    for override in parsed:
        if override.is_sweep_override():
            text, key = str(override.input_line), override.key_or_group
            raise ConfigError(
                f"{text}: takes one value here, since only training sweeps (-m); {as_one_value(key, text)}"
            )
    return parsed


def unreadable(override: str) -> str:
    """An error of Hydra's grammar in one line, with how to quote the value."""
    key, equals, value = override.partition("=")
    if not re.fullmatch(r"[+~]*[\w./@:-]+", key) or not equals:
        return f"{override}: cannot be read as key=value"
    if value[:1] in ("[", "{", '"', "'"):
        return f"{override}: its brackets or quotes do not match; in a shell, quote all of it: {shlex.quote(override)}"
    return f"{override}: has a character of special meaning; quote the value: {shlex.quote(quoted(override))}"


def several_values(override: str) -> str:
    """A sweep without -m in one line."""
    one = as_one_value(override.partition("=")[0], override)
    return f"{override}: several values are a sweep, which needs -m (seqtrain -m ...); {one}"


def as_one_value(key: str, override: str) -> str:
    """How a value that has commas is written."""
    value = override.partition("=")[2]
    if key in (*GROUPS, "task"):
        return f"choose one, as {override.partition(',')[0]}"
    return f"a list is written {shlex.quote(f'{key}=[{value}]')}, a text with commas {shlex.quote(quoted(override))}"


def check_own(arguments: Sequence[str], own: Collection[str]) -> None:
    """Refuse a key of the top level that the configuration lacks and that is much like one of a command's own.

    Args:
        arguments: overrides.
        own: the command's keys.
    """
    known = {field.name for field in fields(Config)}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if equals and "." not in key and key not in known and (near := closest(key, own)):
            raise ConfigError(f"{argument}: no such key; {did_you_mean([f'{each}={value}' for each in near])}")
