"""The search space: overrides of ``hydra.sweeper.params`` and of the command line, as Optuna distributions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Sweep, Transformer
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hydra_plugins.seqtrain_grid._overrides import refusal
from seqtrain.errors import ConfigError


@dataclass
class SearchSpace:
    """What a trial may choose, and what all trials share."""

    distributions: dict[str, BaseDistribution]
    """Key of an override, with its leading ``+`` -> distribution."""
    fixed: list[str]
    """Overrides of every trial."""

    @classmethod
    def read(cls, params: Mapping[str, Any], arguments: Sequence[str], loader: ConfigLoader) -> "SearchSpace":
        """Parse the search space; the command line takes precedence over the configuration.

        Args:
            params: key -> override, from the configuration.
            arguments: overrides from the command line.
            loader: lists the options of a group, for ``glob(...)``.

        Raises:
            ConfigError: for a range without an Optuna distribution.
        """
        configured = [f"{key}={v if isinstance(v, str) else Transformer.str(v)}" for key, v in params.items()]
        parsed = OverridesParser.create(config_loader=loader).parse_overrides([*configured, *arguments])
        last = {override.get_key_element().lstrip("+"): override for override in parsed}.values()
        sweeps = {override.get_key_element(): override for override in last if override.is_sweep_override()}
        fixed = [str(override.input_line) for override in last if not override.is_sweep_override()]
        return cls({key: distribution(override) for key, override in sweeps.items()}, fixed)

    def overrides(self, params: Mapping[str, Any]) -> list[str]:
        """The overrides of a trial with these parameters."""
        return [*self.fixed, *(f"{key}={value}" for key, value in params.items())]

    def check_stored(self, params: Mapping[str, Any], study: str, directory: Path) -> None:
        """Refuse the parameters of a new trial that no distribution of this space gives.

        The database of a study may hold trials that are still to be run, and their parameters.

        Args:
            params: of the trial.
            study: name of the study, for the error.
            directory: directory of the sweep.

        Raises:
            ConfigError: for a further key that is none of the configuration, or a number that is none.
        """
        for key, value in params.items():
            of = self.distributions.get(key)
            if of is None:
                reason = refusal(f"{key}={value}", directory)
            else:
                number = isinstance(of, CategoricalDistribution) or isinstance(value, int | float)
                reason = None if number else "is not a number"
            if reason is not None:
                raise ConfigError(
                    f"study {study}: the parameter {f'{key}={value}'!r} of its database is refused: it {reason}; give "
                    "another hydra.sweeper.study_name"
                )

    def first_point(self) -> dict[str, Any]:
        """One point of the space: the first choice, and the lower end of every range."""
        return {key: lowest_value(d) for key, d in self.distributions.items()}

    def grid(self) -> dict[str, list[Any]]:
        """All values of each key; raises ConfigError for a key with infinitely many values."""
        return {key: values(key, d) for key, d in self.distributions.items()}


def distribution(override: Override) -> BaseDistribution:
    """The distribution of an override such as ``choice(1,2)`` or ``tag(log, interval(1e-4,1e-2))``.

    An interval has integer values only after a cast with ``int(...)``. A range excludes its stop, as always in Hydra.
    """
    try:
        return build(override)
    except ValueError as error:
        raise ConfigError(f"{override.input_line}: {str(error).replace('`', '')}") from error


def build(override: Override) -> BaseDistribution:
    """The distribution of an override; raises ValueError if there is none."""
    sweep = override.value()
    tags = sweep.tags if isinstance(sweep, Sweep) else set()
    if tags - {"log"}:
        raise ValueError(f"tag {min(tags - {'log'})}: the only one known is log")
    if isinstance(sweep, IntervalSweep):
        low, high = sweep.start, sweep.end
        assert low is not None and high is not None
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log="log" in tags)
        return FloatDistribution(low, high, log="log" in tags)
    if isinstance(sweep, RangeSweep):
        return range_distribution(sweep, log="log" in tags)
    if tags:
        raise ValueError("tag log: a choice has no order; it is for intervals and ranges")
    # Text stays as written, because it will be parsed again as an override.
    choices = [x if isinstance(x, bool | int | float) else Transformer.str(x) for x in override.sweep_iterator()]
    return CategoricalDistribution(choices)


def range_distribution(sweep: RangeSweep, *, log: bool) -> BaseDistribution:
    """A range as an integer or float distribution with equal steps."""
    start, step = Decimal(str(sweep.start)), Decimal(str(sweep.step))
    if step == 0:
        raise ValueError("the step must not be 0")
    count = math.ceil((Decimal(str(sweep.stop)) - start) / step)
    if count < 1:
        raise ValueError("the range is empty")
    low, high = sorted((start, start + (count - 1) * step))
    if all(isinstance(number, int) for number in (sweep.start, sweep.stop, sweep.step)):
        return IntDistribution(int(low), int(high), log=log, step=int(abs(step)))
    if log:
        raise ValueError("tag log: a range of floats has equal distances; use tag(log, interval(...))")
    return FloatDistribution(float(low), float(high), step=float(abs(step)))


def values(key: str, of: BaseDistribution) -> list[Any]:
    """All values of a distribution."""
    if isinstance(of, CategoricalDistribution):
        return list(of.choices)
    if isinstance(of, IntDistribution):
        return list(range(of.low, of.high + 1, of.step))
    assert isinstance(of, FloatDistribution)
    if of.step is None:
        raise ConfigError(
            f"{key}: an interval of floats has no grid; use choice(...) or range(...), or another sampler"
        )
    low, step = Decimal(str(of.low)), Decimal(str(of.step))
    return [float(low + i * step) for i in range(int((Decimal(str(of.high)) - low) / step) + 1)]


def lowest_value(of: BaseDistribution) -> Any:
    """The first choice, or the lower end of a distribution."""
    if isinstance(of, CategoricalDistribution):
        return of.choices[0]
    assert isinstance(of, IntDistribution | FloatDistribution)
    return of.low
