"""Options of sweeps, and of the parameter budget at which models are compared."""

import re
from dataclasses import dataclass
from enum import Enum

from seqtrain.config.base import require
from seqtrain.config.options import Affects, option

MOST_PARAMETERS = 10**12
MULTIPLES = {"": 1, "k": 1e3, "m": 1e6, "b": 1e9}


OnError = Enum("OnError", {"continue": "continue", "stop": "stop"})  # in this form, since continue is a keyword
"""What happens to the other jobs of a sweep when one fails."""


@dataclass
class SweepConfig:
    """Options of a sweep (``-m``). None of them changes what a job computes."""

    on_error: OnError = OnError["continue"]
    """What to do when a job fails: ``continue`` with the other jobs, or ``stop``, which starts no further job."""
    resume: str | None = None
    """Directory of a sweep to resume, with the command that started it; overrides given now replace those of that
    command."""
    storage: str | None = None
    """Database address of the Optuna study that this job is a trial of; set by ``hydra/sweeper=optuna``."""
    study: str | None = None
    """Name of the Optuna study; set by ``hydra/sweeper=optuna``."""
    trial: int | None = None
    """Number of this job's trial in the study; set by ``hydra/sweeper=optuna``."""


@dataclass
class BudgetConfig:
    """The number of parameters that the model should have."""

    params: str | None = None
    """Target number of trained parameters, without embedding and softmax: 500k, 2M, 1_000_000. The model's width is
    chosen to match it (within 2 %) and replaces that of the YAML; null keeps the width of the YAML."""
    found: int | None = option(None, Affects.found)
    """Number of parameters at the width that was found; set by training, with the width in the model's options."""

    def number(self) -> int | None:
        """``params`` as a whole number.

        Raises:
            ConfigError: if it is not a number of parameters.
        """
        if self.params is None:
            return None
        written = self.params.lower().replace("_", "")
        match = re.fullmatch(r"(\d+(?:\.\d+)?(?:e\+?\d{1,2})?)([kmb]?)", written)
        number = 0 if match is None else round(float(match[1]) * MULTIPLES[match[2]])
        require(1 <= number <= MOST_PARAMETERS, "budget.params", self.params,
                "a number of parameters from 1 to 1000B, such as 500k, 2M or 1_000_000")  # fmt: skip
        return number
