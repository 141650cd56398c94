"""The learned cycle: its equations, its phase in every file, and exact forecasts of what repeats itself exactly."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest
import torch

from seqtrain.commands.backtest import backtest
from seqtrain.commands.build import Built, build_data, build_model, check_model
from seqtrain.commands.evaluate import evaluate
from seqtrain.commands.predict import trained
from seqtrain.commands.train import train
from seqtrain.config.loading import differences
from seqtrain.config.root import Config
from seqtrain.config.series import SeriesConfig
from seqtrain.config.window import WindowConfig, WindowNorm
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.errors import ConfigError
from seqtrain.runs.directory import RunDirectory
from seqtrain.tasks.forecasting.cycle import Cycle
from seqtrain.tasks.forecasting.head import ForecastHead
from seqtrain.tasks.forecasting.predict import ForecastPredictor
from seqtrain.tasks.forecasting.task import Forecasting
from seqtrain.training.device import seed_everything

Compose = Callable[..., Config]

L, S, W = 9, 5, 7
WEEK = np.array([[3.0, -1], [8, 0], [1, 2], [6, 5], [2, -4], [9, 1], [4, 7]])
MODELS = {
    "linear": [], "dlinear": [], "segrnn": ["model.hidden_size=4", "model.segment_length=1", "model.kernel=torch"],
    "gru": ["model.hidden_size=4", "model.embedding.embed_dim=3", "model.kernel=torch"],
    "self_attn": ["model.embedding.embed_dim=4", "model.feed_forward_size=4"],
    "lstm_seq2seq": ["model.hidden_size=4", "model.embedding.embed_dim=3", "model.kernel=torch"],
}  # fmt: skip


def days(count: int, start: str = "2020-01-03") -> pd.DataFrame:
    """Two variables that repeat themselves each week."""
    date = pd.date_range(start, periods=count, freq="D")
    return pd.DataFrame({"date": date} | dict(zip("ab", WEEK[date.day_of_week].T, strict=True)))


@pytest.fixture
def weekly(composed: Compose, tmp_path: Path) -> Compose:
    """A small forecaster's configuration on such a file."""
    days(150).to_csv(tmp_path / "days.csv", index=False)
    options = [f"data.path={tmp_path / 'days.csv'}", f"data.lookback={L}", f"data.horizon={S}", "device=cpu",
               "trainer.figures=false", "trainer.baselines=false", "trainer.max_steps=2", "trainer.warmup_steps=1",
               "trainer.eval_every=2"]  # fmt: skip

    def composer(model: str, *overrides: str) -> Config:
        return composed("data=series_files", f"model={model}", *MODELS[model], *options, *overrides)

    return composer


def build(config: Config) -> tuple[ForecastingData, Built]:
    seed_everything(0)
    data = cast(ForecastingData, build_data(config))
    return data, build_model(config, data.spec)


def cycle_of(built: Built) -> Cycle:
    cycle = cast(ForecastHead, built.head).cycle
    assert cycle is not None
    return cycle


def forecasts(data: ForecastingData, built: Built, split: str = "test") -> tuple[ForecastBatch, torch.Tensor]:
    """The first batch of a split, and its forecasts, (B, S, C, P)."""
    batch = cast(ForecastBatch, next(iter(data.eval_batches(split))))
    built.model.eval(), built.head.eval()
    with torch.no_grad():
        return batch, cast(Forecasting, built.task).forecasts(
            built.head, built.task.features(built.model, built.head, batch, None)[0], batch
        )


def remember_week(data: ForecastingData, built: Built) -> None:
    """A cycle that is the week itself, scaled, and a model that forecasts nothing else."""
    torch.nn.init.zeros_(built.head.linear.weight)  # type: ignore[union-attr, arg-type]
    torch.nn.init.zeros_(built.head.linear.bias)  # type: ignore[union-attr, arg-type]
    weekday = (np.datetime64(0, "D") + np.arange(W) - np.datetime64("2020-01-06", "D")).astype(int) % W
    week = (WEEK[weekday] - data.constants.centre[0]) / data.constants.scale[0]
    with torch.no_grad():
        cycle_of(built).values.copy_(torch.from_numpy(week).flatten())


@pytest.mark.parametrize("norm", WindowNorm)
def test_forecasts_are_the_equations(weekly: Compose, norm: WindowNorm) -> None:
    """Against NumPy: for each window, variable and step by itself."""
    data, built = build(weekly("linear", f"model.window.norm={norm.value}", "model.window.cycle=4"))
    head, cycle = cast(ForecastHead, built.head), cycle_of(built)
    torch.nn.init.normal_(cycle.values)
    gain, shift = np.ones(2), np.zeros(2)
    if norm is WindowNorm.revin:
        gain, shift = np.array([0.5, 2]), np.array([1, -1])
        head.gain.data, head.shift.data = torch.from_numpy(gain).float(), torch.from_numpy(shift).float()
    batch, found = forecasts(data, built)
    values = cycle.values.detach().double().numpy().reshape(4, 2)
    weight, bias = (p.detach().double().numpy() for p in (head.linear.weight, head.linear.bias))
    first = data.windows["test"].locate(batch.rows)[1]
    for b in range(0, len(first), 3):
        day = data.table.times[first[b]].astype("datetime64[D]").astype(int)
        for c in range(2):
            x = batch.inputs[b, :, c].double().numpy()
            past = values[(day + np.arange(-L, 0)) % 4, c]
            centre, scale = 0.0, 1.0
            if norm is WindowNorm.subtract_last:
                centre = x[-1] - past[-1]
            if norm is WindowNorm.revin:
                centre, scale = x.mean(), np.sqrt(x.var() + 1e-5)
            y = weight @ ((x - centre) / scale * gain[c] + shift[c] - past) + bias
            y = (y + values[(day + np.arange(S)) % 4, c] - shift[c]) / gain[c] * scale + centre
            np.testing.assert_allclose(found[b, :, c, 0].numpy(), y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", ["none", "subtract_last"])
@pytest.mark.parametrize("model", MODELS)
def test_what_repeats_itself_is_forecast_exactly(weekly: Compose, model: str, norm: str) -> None:
    data, built = build(weekly(model, f"model.window.norm={norm}", "model.window.cycle=auto"))
    assert cycle_of(built).length == W and not cycle_of(built).values.any()
    remember_week(data, built)
    for split in data.sizes:
        batch, found = forecasts(data, built, split)
        torch.testing.assert_close(found[..., 0], batch.targets, atol=1e-5, rtol=0)
        encoded = cast(ForecastHead, built.head).encode(batch).inputs
        torch.testing.assert_close(encoded, torch.zeros_like(encoded), atol=1e-5, rtol=0)


def test_it_is_learned(weekly: Compose) -> None:
    data, built = build(weekly("linear", "model.window.cycle=7"))
    remember_week(data, built)
    week = cycle_of(built).values.detach().clone()
    torch.nn.init.zeros_(cycle_of(built).values)
    optimizer = torch.optim.SGD([cycle_of(built).values], lr=5)
    for epoch in range(8):
        for batch in data.train_batches(epoch):
            optimizer.zero_grad()
            features = built.task.features(built.model, built.head, batch, None)[0]
            (built.task.loss(built.head, features, batch) / built.task.count(batch)).backward()
            optimizer.step()
    torch.testing.assert_close(cycle_of(built).values.detach(), week, atol=1e-4, rtol=0)


def test_fed_back_steps_keep_their_phase(weekly: Compose) -> None:
    """The recursive strategy, against a loop that reads the whole past at every step."""
    config = weekly("gru", "model.window.cycle=3", "task.strategy=recursive", "model.window.norm=subtract_last")
    data, built = build(config)
    head, cycle = cast(ForecastHead, built.head), cycle_of(built)
    torch.nn.init.normal_(cycle.values)
    batch, found = forecasts(data, built)
    centre = batch.inputs[:, -1:] - cycle(batch.first_step - 1, 1)
    values = batch.inputs
    with torch.no_grad():
        for step in range(S):
            whole = values - centre - cycle(batch.first_step - L, L + step)
            features = built.model(replace(batch, inputs=whole, lengths=batch.lengths + step))[0][:, -1:]
            following = head.linear(features) + cycle(batch.first_step + step, 1) + centre
            values = torch.cat([values, following], dim=1)
        torch.testing.assert_close(found[..., 0], values[:, L:], atol=1e-5, rtol=1e-4)
        taught = replace(batch, targets=found[..., 0])
        built.model.train()
        built.model.apply(lambda module: setattr(module, "p", 0.0) if hasattr(module, "p") else None)
        again = built.task.features(built.model, head, taught, None)[0]
        torch.testing.assert_close(
            cast(Forecasting, built.task).forecasts(head, again, batch), found, atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("loss", ["quantile", "gaussian"])
def test_only_locations_are_shifted(weekly: Compose, loss: str) -> None:
    data, built = build(weekly("linear", "model.window.cycle=7", f"task.loss={loss}"))
    torch.nn.init.zeros_(built.head.linear.weight)  # type: ignore[union-attr, arg-type]
    _, before = forecasts(data, built)
    torch.nn.init.constant_(cycle_of(built).values, 2.5)
    _, after = forecasts(data, built)
    shift = torch.tensor([2.5, 0]) if loss == "gaussian" else torch.full((5,), 2.5)
    torch.testing.assert_close(after - before, shift.expand_as(after), atol=1e-5, rtol=0)


def test_covariates_are_left_alone(weekly: Compose) -> None:
    data, built = build(weekly("gru", "model.window.cycle=7", "data.targets=[a]", "data.past_covariates=[b]"))
    assert cycle_of(built).num_variables == 1
    torch.nn.init.normal_(cycle_of(built).values)
    batch, _ = forecasts(data, built)
    assert torch.equal(cast(ForecastHead, built.head).encode(batch).inputs[..., 1:], batch.inputs[..., 1:])


def test_series_of_a_panel_share_it_by_time(weekly: Compose, tmp_path: Path) -> None:
    panel = pd.concat([days(150).assign(id="x"), days(140, "2020-01-14").assign(id="y")])
    panel.to_csv(tmp_path / "days.csv", index=False)
    data, built = build(weekly("linear", "model.window.cycle=auto", "data.id_column=id", "data.scale_by=all"))
    remember_week(data, built)
    batch, found = forecasts(data, built)
    assert set(batch.series.tolist()) == {0, 1}
    torch.testing.assert_close(found[..., 0], batch.targets, atol=1e-5, rtol=0)


def test_every_command_keeps_the_phase(
    weekly: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Predictions after the end of files that begin anywhere, evaluations, and backtests with new models."""
    config = weekly("linear", "model.window.cycle=auto")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(config, run)
    model, _ = trained(config, run, "best")
    data = cast(ForecastingData, build_data(config, trained=run.path))
    remember_week(data, cast(Built, model))
    for count, start in ((30, "2020-06-02"), (12, "1969-12-25"), (11, "2021-08-04")):
        days(count, start).to_csv(tmp_path / "other.csv", index=False)
        table = ForecastPredictor(model).table(str(tmp_path / "other.csv")).to_pandas()
        truth = days(count + S, start)[-S:]
        assert (pd.to_datetime(table["date"]).to_numpy() == truth["date"].to_numpy()).all()
        np.testing.assert_allclose(table[["a", "b"]], truth[["a", "b"]], atol=1e-4)
    capsys.readouterr()
    scores = evaluate(config, config, run)
    assert backtest(config, config, run)["mse"] == pytest.approx(scores["mse"], rel=1e-6)
    other = replace(config, data=replace(cast(SeriesConfig, config.data), season=3))
    assert evaluate(config, other, run)["mse"] == scores["mse"]
    assert list(differences(config, other)) == ["data.season"]
    capsys.readouterr()
    backtest(config, config, run, stride=5, refit=999)
    (fit,) = json.loads(capsys.readouterr().out)["fits"]
    assert fit["mse"] == pytest.approx(backtest(config, config, run, stride=5)["mse"], rel=1e-6)


def test_without_dates_rows_are_counted_and_predictions_say_so(
    weekly: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = weekly("linear", "model.window.cycle=7", "data.frequency=step")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(config, run)
    with caplog.at_level(logging.INFO):
        ForecastPredictor(trained(config, run, "best")[0]).table(str(tmp_path / "days.csv"))
    assert "the cycle of the run goes by the number of a row" in caplog.text


def test_null_adds_nothing(weekly: Compose) -> None:
    _, built = build(weekly("linear"))
    assert cast(ForecastHead, built.head).cycle is None
    assert set(built.head.state_dict()) == {"linear.weight", "linear.bias"}


@pytest.mark.parametrize("value", [0, 1, -3, "week"])
def test_wrong_lengths(value: int | str) -> None:
    with pytest.raises(ConfigError, match=r"^model\.window\.cycle=.*: must be auto, null or at least 2 \(steps\)$"):
        WindowConfig(cycle=value).check("model.window")


def test_what_cannot_be(weekly: Compose) -> None:
    with pytest.raises(ConfigError, match=r"^model\.window\.cycle=auto: must be a number of steps or null, since"):
        build(weekly("linear", "model.window.cycle=auto", "data.frequency=step"))
    with pytest.raises(ConfigError, match=r"^model\.window\.cycle=7: must be null with task\.loss=poisson"):
        check_model(weekly("linear", "model.window.cycle=7", "task.loss=poisson"))
