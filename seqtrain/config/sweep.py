"""Options of sweeps, and of the size at which the models of a comparison meet."""

import re
from dataclasses import dataclass
from enum import Enum

from seqtrain.config.base import require
from seqtrain.config.options import Affects, option

MOST_PARAMETERS = 10**12
MULTIPLES = {"": 1, "k": 1e3, "m": 1e6, "b": 1e9}


OnError = Enum("OnError", {"continue": "continue", "stop": "stop"})  # in this form, since continue is a keyword
"""What a failed job means for the others of its sweep."""


@dataclass
class SweepConfig:
    """How the jobs of a sweep (``-m``) hang together. No option here changes what a job computes."""

    on_error: OnError = OnError["continue"]
    """``continue`` runs the other jobs; ``stop`` begins no further one."""
    resume: str | None = None
    """Directory of a sweep to go on with, by the command that began it; overrides beside it win over that one's."""
    storage: str | None = None
    """Address of the database of the study that this job is a trial of; set by ``hydra/sweeper=optuna``."""
    study: str | None = None
    """Name of that study; set by the sweeper."""
    trial: int | None = None
    """Number of the trial; set by the sweeper."""


@dataclass
class BudgetConfig:
    """A size that the model is to have."""

    params: str | None = None
    """Trained numbers of the model, embedding and softmax not counted: 500k, 2M, 1_000_000. Its width is solved for
    (within 2 %), whatever the YAML says; null takes the width of the YAML."""
    found: int | None = option(None, Affects.found)
    """How many the width that was found has; set by training. The width is then that of the configuration."""

    def number(self) -> int | None:
        """``params`` as a whole number.

        Raises:
            ConfigError: if it is none.
        """
        if self.params is None:
            return None
        written = self.params.lower().replace("_", "")
        match = re.fullmatch(r"(\d+(?:\.\d+)?(?:e\+?\d{1,2})?)([kmb]?)", written)
        number = 0 if match is None else round(float(match[1]) * MULTIPLES[match[2]])
        require(1 <= number <= MOST_PARAMETERS, "budget.params", self.params,
                "a number of parameters from 1 to 1000B, such as 500k, 2M or 1_000_000")  # fmt: skip
        return number
