"""Errors as one line that names the key or file, the value and the remedy."""

import re

from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from seqtrain.config import loading
from seqtrain.config.base import suggest
from seqtrain.errors import UserError

EXPECTED = (UserError, HydraException, OmegaConfBaseException, OSError)
"""Errors that a user can mend: one line, no traceback."""


EXTRAS = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit"}
"""Launchers that come with an extra of seqtrain."""


def one_line(error: Exception) -> str:
    """What is wrong in one line: for Hydra's errors, the key and value with the closest valid names."""
    cause = error.__cause__
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and not isinstance(error, MissingConfigException):
        return f"{error.filename or ''}: {error.strerror or error}".lstrip(": ")
    if isinstance(cause, OmegaConfBaseException):
        given = re.search(r"override '?\+*([^\s']+?)'?\.?$", str(error).splitlines()[0])
        line = str(loading.explain(cause))
        return line if given is None or "=" not in given[1] else f"{given[1]}: {line.partition(': ')[2]}"
    if isinstance(error, OmegaConfBaseException):
        return str(loading.explain(error))
    missing = re.search(r"Could not find '(?P<group>.+)/(?P<option>[^/']+)'", str(error))
    if missing:
        options = re.findall(r"^\t(\S+)$", str(error), flags=re.MULTILINE)
        group = missing["group"]
        if group == "hydra/launcher" and (extra := EXTRAS.get(missing["option"])):
            return f"{group}={missing['option']}: is not installed; pip install 'seqtrain[{extra}]'"
        return (
            f"{group}={missing['option']}: no such option; {suggest(missing['option'], options)} (see {group}/ in conf)"
        )
    return " ".join(str(error).split())
