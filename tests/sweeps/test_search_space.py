"""The search space as Optuna distributions, against Hydra's own parsing of the same overrides."""

from collections.abc import Iterator
from typing import Any

import optuna
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hydra_plugins.seqtrain_optuna._space import SearchSpace
from seqtrain.cli.hydra_setup import conf_directory, store_schemas
from seqtrain.config.loading import to_config
from seqtrain.errors import ConfigError
from seqtrain.training.pruning import build


@pytest.fixture(scope="module")
def loader() -> Iterator[ConfigLoader]:
    store_schemas()
    with initialize_config_dir(str(conf_directory()), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("interval(0.1,0.5)", FloatDistribution(0.1, 0.5)),
        ("interval(1,5)", FloatDistribution(1, 5)),
        ("int(interval(1,5))", IntDistribution(1, 5)),
        ("tag(log, interval(1e-4,1e-2))", FloatDistribution(1e-4, 1e-2, log=True)),
        ("tag(log, int(interval(16,256)))", IntDistribution(16, 256, log=True)),
        ("int(tag(log, interval(16,256)))", IntDistribution(16, 256, log=True)),
        ("range(1,4)", IntDistribution(1, 3)),
        ("range(16,257,16)", IntDistribution(16, 256, step=16)),
        ("range(4,1,-1)", IntDistribution(2, 4)),
        ("range(0.1,0.5,0.1)", FloatDistribution(0.1, 0.4, step=0.1)),
        ("tag(log, range(1,9))", IntDistribution(1, 8, log=True)),
        ("choice(gru,lstm)", CategoricalDistribution(["gru", "lstm"])),
        ("1,2.5,true", CategoricalDistribution([1, 2.5, True])),
        ("null,'a b',[1,2]", CategoricalDistribution(["null", "'a b'", "[1,2]"])),
        ("glob(lstm_*,exclude=[*seq2seq,*translator])", CategoricalDistribution(["lstm_attn", "lstm_multihead_attn"])),
    ],
)
def test_distributions(loader: ConfigLoader, override: str, expected: BaseDistribution) -> None:
    space = SearchSpace.read({}, [f"model={override}"], loader)
    assert space.distributions == {"model": expected} and space.fixed == []


@pytest.mark.parametrize("sweep", ["range(2,9,3)", "range(9,2,-3)", "range(0.1,0.75,0.05)", "3,1,a,null,[1,2]"])
def test_a_grid_has_the_values_that_hydra_would_sweep_over(loader: ConfigLoader, sweep: str) -> None:
    (override,) = OverridesParser.create().parse_overrides([f"x={sweep}"])
    (values,) = SearchSpace.read({}, [f"x={sweep}"], loader).grid().values()
    expected = list(override.sweep_string_iterator())
    if "range" in sweep:
        assert values == pytest.approx(sorted(float(value) for value in expected))
    else:
        assert [str(value) for value in values] == expected


def test_what_is_chosen_is_parsed_as_it_was_written(loader: ConfigLoader) -> None:
    written = "x=1,2.5,true,null,a_b,'it is, \\'so\\'',[1,{a:2}],1e-05"
    (override,) = OverridesParser.create().parse_overrides([written])
    space = SearchSpace.read({}, [written], loader)
    parsed = []
    for value in space.grid()["x"]:
        (again,) = OverridesParser.create().parse_overrides(space.overrides({"x": value}))
        parsed.append(again.value())
    assert parsed == [1, 2.5, True, None, "a_b", "it is, 'so'", [1, {"a": 2}], 1e-05]
    assert len(list(override.sweep_iterator())) == len(parsed)


def test_the_command_line_wins(loader: ConfigLoader) -> None:
    params = {"trainer.lr": "interval(0.1,0.2)", "seed": "choice(1,2)", "trainer.epochs": 3, "trainer.patience": None}
    arguments = ["trainer.lr=0.5", "++seed=int(interval(5,9))", "+experiment=x", "~device"]
    space = SearchSpace.read(params, arguments, loader)
    assert space.distributions == {"++seed": IntDistribution(5, 9)}
    assert space.fixed == ["trainer.lr=0.5", "trainer.epochs=3", "trainer.patience=null", "+experiment=x", "~device"]
    assert space.overrides({"++seed": 6})[-1] == "++seed=6" and space.first_point() == {"++seed": 5}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("interval(5,1)", "low <= high"),
        ("tag(log, interval(0.0,1.0))", "low > 0"),
        ("range(3,3)", "the range is empty"),
        ("range(1,3,0)", "the step must not be 0"),
        ("tag(lg, interval(1,2))", "tag lg: the only one known is log"),
        ("tag(log, choice(1,2))", "a choice has no order"),
        ("tag(log, range(0.1,1.0,0.1))", "equal distances"),
    ],
)
def test_what_has_no_distribution(loader: ConfigLoader, override: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        SearchSpace.read({}, [f"trainer.lr={override}"], loader)
    assert str(error.value).startswith(f"trainer.lr={override}: ") and message in str(error.value)


def test_an_interval_has_no_grid(loader: ConfigLoader) -> None:
    with pytest.raises(ConfigError, match="trainer.lr: an interval of floats has no grid"):
        SearchSpace.read({}, ["trainer.lr=interval(0.1,0.2)"], loader).grid()


def composed_options(*overrides: str) -> Any:
    tree = compose("train", ["hydra/sweeper=optuna", *overrides], return_hydra_config=True)
    return OmegaConf.to_container(tree.hydra.sweeper, enum_to_str=True)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("part", ["sampler", "pruner"])
def test_every_sampler_and_pruner_is_built(loader: ConfigLoader, part: str) -> None:
    module = {"sampler": optuna.samplers, "pruner": optuna.pruners}[part]
    names = [path.stem for path in (conf_directory() / "hydra/sweeper" / part).glob("*.yaml")]
    assert len(names) > 4
    for name in names:
        options = composed_options(f"hydra/sweeper/{part}={name}")[part]
        options |= {"upper": 1.0} if name == "threshold" else {}
        more = {"search_space": {"a": [1, 2]}} if name == "grid" else {}
        built = build(module, options, part, **more)
        assert f"optuna.{part}s.{type(built).__name__}" == options["_target_"]


def test_options_reach_the_pruner(loader: ConfigLoader) -> None:
    options = composed_options("hydra/sweeper/pruner=percentile", "hydra.sweeper.pruner.percentile=10")["pruner"]
    values = [0.1, 0.5, 0.2, 0.9, 0.7]

    def pruned(value: float, pruner: Any) -> bool:
        study = optuna.create_study(pruner=pruner)
        for other in [*values, value]:
            trial = study.ask()
            trial.report(other, 0)
            result = trial.should_prune()
            study.tell(trial, other)
        return result

    for value in (0.05, 0.12, 0.2):
        expected = pruned(value, optuna.pruners.PercentilePruner(10.0))
        assert pruned(value, build(optuna.pruners, options, "p")) == expected
    assert [pruned(value, build(optuna.pruners, options, "p")) for value in (0.05, 0.2)] == [False, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"_target_": "os.system"}, "p._target_=os.system: is not a class of optuna.pruners"),
        ({"_target_": "optuna.pruners.MedianPrunr"}, "did you mean MedianPruner"),
        ({"_target_": "optuna.pruners.MedianPruner", "n_startup": 1}, "p: MedianPruner: .*n_startup"),
        ({"_target_": "optuna.pruners.PercentilePruner", "percentile": 101}, "p: PercentilePruner: Percentile must be"),
    ],
)
def test_what_is_no_pruner(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(optuna.pruners, options, "p")


@pytest.mark.parametrize(
    "path", sorted((conf_directory() / "hparams_search").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_search_composes_at_its_first_point(loader: ConfigLoader, path: Any) -> None:
    tree = compose("train", [f"+hparams_search={path.stem}"], return_hydra_config=True)
    assert tree.hydra.sweeper._target_.startswith("hydra_plugins.seqtrain_optuna.") and tree.hydra.sweeper.n_trials > 1
    assert f"+hparams_search={path.stem}" in path.read_text()
    space = SearchSpace.read(tree.hydra.sweeper.params, [f"+hparams_search={path.stem}"], loader)
    assert len(space.distributions) >= 2
    to_config(compose("train", space.overrides(space.first_point())))
