"""Errors as one line that names the key or file, the value and the remedy."""

import re
import sys

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf.errors import GrammarParseError, OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from hydra_plugins.seqtrain_grid.sweeper import EXPECTED as EXPECTED
from seqtrain.atomic import NO_ROOM
from seqtrain.cli.given import several_values, unreadable
from seqtrain.cli.hydra_setup import composed_keys
from seqtrain.cli.key_search import no_such_key
from seqtrain.config import loading
from seqtrain.config.base import suggest
from seqtrain.errors import UserError

EXTRAS = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit"}
"""Launchers that come with an extra of seqtrain."""


def one_line(error: Exception) -> str:
    """What is wrong in one line: for Hydra's errors, the key and value with the closest valid names."""
    cause = error.__cause__
    if isinstance(error, loading.UnknownKey):
        return unknown_key(error)
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and not isinstance(error, MissingConfigException):
        remedy = "; free some space, or write to another place" if error.errno in NO_ROOM else ""
        return f"{error.filename or ''}: {error.strerror or error}{remedy}".lstrip(": ")
    if isinstance(error, OverrideParseException):
        return unreadable(error.override)
    if isinstance(error, YAMLError):
        return unreadable_yaml(error)
    if isinstance(cause, GrammarParseError) and not str(error):
        return f"a defaults list: {cause}; write its interpolations as ${{key}}"
    if isinstance(cause, OmegaConfBaseException):
        explained = loading.explain(cause)
        if isinstance(explained, loading.UnknownKey):
            return unknown_key(explained)
        given = re.search(r"override '?\+*([^\s']+?)'?\.?$", str(error).partition("\n")[0])
        line = str(explained)
        return line if given is None or "=" not in given[1] else f"{given[1]}: {line.partition(': ')[2]}"
    if isinstance(error, OmegaConfBaseException):
        return one_line(loading.explain(error))
    missing = re.search(r"Could not find '(?P<group>.+)/(?P<option>[^/']+)'", str(error))
    if missing:
        options = re.findall(r"^\t(\S+)$", str(error), flags=re.MULTILINE)
        group = missing["group"]
        if group == "hydra/launcher" and (extra := EXTRAS.get(missing["option"])):
            return f"{group}={missing['option']}: is not installed; pip install 'seqtrain[{extra}]'"
        return (
            f"{group}={missing['option']}: no such option; {suggest(missing['option'], options)} (see {group}/ in conf)"
        )
    return composition_error(str(error))


def unreadable_yaml(error: YAMLError) -> str:
    """Where a file is no YAML, and why."""
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{mark.name}:{mark.line + 1}: is no YAML ({error.problem}); mend this line"
    return f"{' '.join(str(error).split())}; mend this YAML file"


def unknown_key(error: loading.UnknownKey) -> str:
    """A key that does not exist, with its value and the keys of the whole configuration that may be meant."""
    if error.key.startswith("hydra."):  # not of the configuration that is searched
        return str(error)
    given = [word.partition("=")[2] for word in sys.argv[1:] if word.partition("=")[0].lstrip("+") == error.key]
    found = no_such_key(error.key, given[-1] if given else None, composed_keys(sys.argv[1:]))
    return found or str(error)


def composition_error(message: str) -> str:
    """What Hydra says of overrides that do not fit together, in one line with the remedy."""
    if ambiguous := re.match(r"Ambiguous value for argument '(.+)'$", message, flags=re.MULTILINE):
        return several_values(ambiguous[1])
    if added := re.search(r"To append to your default list use (\+\S+)$", message):
        return f"{added[1].lstrip('+')}: is added to what is composed; write {added[1]}"
    if chosen := re.match(r"Multiple values for (\S+)\. ", message):
        return f"+{chosen[1]}=...: {chosen[1]} is chosen already; write {chosen[1]}=... to choose another"
    if lacking := re.match(r"In '(\S+)': ConfigKeyError .*\bfull_key: (\w+)\.(\S+)", message, flags=re.DOTALL):
        file, group, key = lacking.groups()
        if file.startswith("size/"):
            comes, remedy = "", f"choose another {group}, or leave size out"
        else:
            comes, remedy = ", which comes with the chosen data,", f"choose another {group} for this data"
        return f"{group}.{key}: the chosen {group} has no such key, but {file}.yaml{comes} sets it; {remedy}"
    return " ".join(message.split())
