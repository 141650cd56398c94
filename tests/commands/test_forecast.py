"""Forecasts beyond the end of a file, and backtests: against evaluation, and with all that can be wrong."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import seqtrain.commands.backtest
from seqtrain.commands.backtest import backtest
from seqtrain.commands.build import build_data, load_trained
from seqtrain.commands.evaluate import evaluate
from seqtrain.commands.predict import predict, trained
from seqtrain.commands.train import train
from seqtrain.config.root import Config
from seqtrain.config.series import Missing
from seqtrain.config.trainer import Precision
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.data.series.frequency import next_times
from seqtrain.errors import ConfigError, DataError, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.tasks.forecasting.predict import ForecastPredictor
from seqtrain.training.evaluation import evaluate as evaluate_model

Compose = Callable[..., Config]

L, S = 24, 8
OPTIONS = [f"data.lookback={L}", f"data.horizon={S}", "device=cpu", "trainer.lr=0.01", "trainer.baselines=false",
           "trainer.figures=false"]  # fmt: skip


def changed(config: Config, **data: Any) -> Config:
    """The configuration with other options of the data."""
    return replace(config, data=replace(config.data, **data))


@dataclass
class Run:
    """A finished run."""

    config: Config
    directory: RunDirectory

    def forecast(self, source: Path | pd.DataFrame, **data: Any) -> pd.DataFrame:
        """What follows a file, or a frame written to one."""
        if isinstance(source, pd.DataFrame):
            path = self.directory.path.parent / "history.csv"
            source.to_csv(path, index=False)
            source = path
        model, _ = trained(changed(self.config, **data), self.directory, "best")
        return ForecastPredictor(model).table(str(source)).to_pandas()

    def backtest(self, **options: Any) -> dict[str, float]:
        return backtest(self.config, self.config, self.directory, **options)


def finished(config: Config, folder: Path) -> Run:
    run = RunDirectory.claim(folder / "run", exact=True)
    train(config, run)
    return Run(config, run)


def wave(count: int) -> np.ndarray:
    """Two sines around 50."""
    time = np.arange(count)
    return 50 + 10 * np.sin(2 * np.pi / 24 * time) + 5 * np.sin(2 * np.pi / 168 * time)


def wide(count: int) -> pd.DataFrame:
    """Hours of two variables."""
    x = wave(count)
    return pd.DataFrame({"date": pd.date_range("2020-01-01", periods=count, freq="h"), "load": x, "half": x / 2 - 3})


def long(count: int) -> pd.DataFrame:
    """Days of three shops of unequal lengths, moved by a discount that is known ahead."""
    random, parts = np.random.default_rng(0), []
    for name, size in (("a", count), ("007", count - 60), ("c", count - 20)):
        off = random.integers(0, 2, size)
        day = pd.date_range("2020-01-01", periods=size, freq="D")
        parts.append(pd.DataFrame({"shop": name, "day": day, "sold": wave(size) + 20 * off, "off": off}))
    return pd.concat(parts, ignore_index=True)


def horizon_open(frame: pd.DataFrame) -> pd.DataFrame:
    """The shops with the targets of their last S days emptied."""
    last = frame.groupby("shop").cumcount(ascending=False) < S
    return frame.assign(sold=frame["sold"].where(~last))


@pytest.fixture(scope="module")
def hours(composed: Compose, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A linear map of two variables, trained until it is nearly right."""
    folder = tmp_path_factory.mktemp("hours")
    wide(900).to_csv(folder / "hours.csv", index=False)
    options = [f"data.path={folder / 'hours.csv'}", "model=nlinear", "trainer.epochs=8"]
    return finished(composed("data=series_files", *OPTIONS, *options), folder)


@pytest.fixture(scope="module")
def shops(composed: Compose, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Quantiles of many series, with all that is known of the future."""
    folder = tmp_path_factory.mktemp("shops")
    long(400).to_parquet(folder / "shops.parquet")
    options = ["model=gru", "model.hidden_size=8", "task.loss=quantile", "trainer.epochs=2", "data.calendar=true",
               "data.future_covariates=[off]", "data.time_column=day", "data.id_column=shop"]  # fmt: skip
    path = f"data.path={folder / 'shops.parquet'}"
    return finished(composed("data=series_files", path, *OPTIONS, *options), folder)


@pytest.fixture(scope="module")
def steps(composed: Compose, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Normal distributions of a computed series, whose times are numbers."""
    options = ["model=linear", "task.loss=gaussian", "trainer.epochs=2", "data.length=600"]
    return finished(composed("data=sine", *OPTIONS, *options), tmp_path_factory.mktemp("steps"))


def test_forecasts_continue_the_series(hours: Run) -> None:
    """Beyond the end of the file, in its units, at the right times, from its last L rows alone."""
    found, truth = hours.forecast(wide(900)), wide(900 + S)[-S:].reset_index(drop=True)
    assert list(found) == ["date", "load", "half"] and len(found) == S
    assert (found["date"] == truth["date"]).all()
    for name, deviation in (("load", 8), ("half", 4)):
        assert np.abs(found[name] - truth[name]).mean() < 0.1 * deviation
    again = hours.forecast(wide(900)[-L:])
    np.testing.assert_array_equal(again.drop(columns="date"), found.drop(columns="date"))
    other = wide(900).assign(more="words")[["half", "more", "load", "date"]]
    other.loc[: 900 - L - 1, ["half", "load"]] *= -1
    pd.testing.assert_frame_equal(hours.forecast(other.sample(frac=1, random_state=0)), found)


def by_hand(run: Run, frame: pd.DataFrame) -> np.ndarray:
    """Forecasts (K, S, C, P) of the last window of each series in a frame, by evaluation, in original units."""
    path = run.directory.path.parent / "known.parquet"
    frame.to_parquet(path)
    config = changed(run.config, path=str(path))
    data = build_data(config, trained=run.directory.path, single_split=True)
    assert isinstance(data, ForecastingData)
    built, _ = load_trained(config, run.directory, "best", data.spec)
    batches = data.eval_batches("test")
    result = evaluate_model(built.model, built.head, built.task, batches, built.device, Precision.fp32)
    last = np.cumsum([np.diff(data.table.offsets) - L - S + 1]) - 1
    scaler = json.loads((run.directory.path / "scaler.json").read_text())
    forecasts = result.outputs["forecasts"][last].astype(np.float64)
    for place, name in enumerate(data.table.ids):
        row = scaler["ids"].index(name)
        for variable in range(data.table.num_targets):
            forecasts[place, :, variable] *= scaler["scale"][row][variable]
            # A deviation is not shifted.
            located = slice(0, 1) if run.config.task.loss.value == "gaussian" else slice(None)  # type: ignore[attr-defined]
            forecasts[place, :, variable, located] += scaler["centre"][row][variable]
    return forecasts


def test_points_are_those_of_evaluation(hours: Run) -> None:
    frame = wide(300)
    expected = by_hand(hours, frame)[0]
    found = hours.forecast(frame[:-S])
    np.testing.assert_allclose(found[["load", "half"]], expected[..., 0], rtol=1e-6)
    assert (found["date"].to_numpy() == frame["date"][-S:].to_numpy()).all()


def test_quantiles_of_many_series(shops: Run) -> None:
    frame = long(200)
    expected = by_hand(shops, frame)
    found = shops.forecast(horizon_open(frame))
    names = ["sold_q0.1", "sold_q0.25", "sold_q0.5", "sold_q0.75", "sold_q0.9"]
    assert list(found) == ["shop", "day", "sold", *names]
    assert found["shop"].tolist() == ["007"] * S + ["a"] * S + ["c"] * S
    days = frame.sort_values(["shop", "day"]).groupby("shop")["day"].tail(S)
    assert [str(day) for day in found["day"]] == [str(day.date()) for day in days]
    np.testing.assert_allclose(found[names].to_numpy().reshape(3, S, 1, 5), expected, rtol=1e-5)
    assert (np.diff(found[names], axis=1) >= 0).all() and (found["sold"] == found["sold_q0.5"]).all()
    pd.testing.assert_frame_equal(shops.forecast(horizon_open(frame)[frame["shop"] == "c"]),
                                  found[found["shop"] == "c"].reset_index(drop=True))  # fmt: skip
    changed = horizon_open(frame)
    changed.loc[changed["sold"].isna() & (changed["shop"] == "a"), "off"] ^= 1
    differs = shops.forecast(changed)["sold"] != found["sold"]
    assert (differs == (found["shop"] == "a")).all()


def test_intervals_and_times_that_are_numbers(steps: Run) -> None:
    frame = pd.DataFrame({"date": np.arange(80) * 10, "x": wave(80) / 10})
    mean, deviation = by_hand(steps, frame)[0, :, 0].T
    found = steps.forecast(frame[:-S])
    assert list(found) == ["date", "x", "x_lower", "x_upper"]
    assert found["date"].tolist() == frame["date"][-S:].tolist()
    np.testing.assert_allclose(found["x"], mean, rtol=1e-5)
    np.testing.assert_allclose(found["x_upper"] - found["x"], 1.6448536 * deviation, rtol=1e-4)
    np.testing.assert_allclose(found["x"] - found["x_lower"], 1.6448536 * deviation, rtol=1e-4)
    dates = frame.assign(date=pd.to_datetime("2020-01-01") + pd.to_timedelta(np.arange(80) ** 2, unit="D"))
    counted = steps.forecast(dates[:-S], frequency="step")
    assert counted["date"].tolist() == [1, 2, 3, 4, 5, 6, 7, 8] and (counted["x"] == found["x"]).all()


def test_times_of_a_place(composed: Compose, tmp_path: Path) -> None:
    """They are written with their offset, so that the hour which the clock shows twice is told apart."""
    clock = pd.date_range("2020-10-04 21:00", periods=500, freq="h", tz="Europe/Berlin")
    frame = pd.DataFrame({"date": clock.strftime("%Y-%m-%d %H:%M"), "load": wave(500)})
    frame.to_csv(tmp_path / "hours.csv", index=False)
    options = [f"data.path={tmp_path / 'hours.csv'}", "model=nlinear", "trainer.max_steps=2"]
    options.append("data.timezone=Europe/Berlin")
    run = finished(composed("data=series_files", *OPTIONS, *options), tmp_path)
    source, output = str(tmp_path / "hours.csv"), tmp_path / "forecast.csv"
    predict(run.config, run.config, run.directory, source, str(output))
    written = ["2020-10-25 16:00:00+0100", "2020-10-25 17:00:00+0100"]
    assert pd.read_csv(output)["date"].tolist()[:2] == written
    aware = frame.assign(date=[time.isoformat() for time in clock])[:485]  # up to the first 2 o'clock
    aware.to_csv(tmp_path / "aware.csv", index=False)
    predict(run.config, run.config, run.directory, str(tmp_path / "aware.csv"), str(output))
    hours = pd.read_csv(output)["date"]
    assert hours.tolist()[:3] == ["2020-10-25 02:00:00+0200", "2020-10-25 02:00:00+0100", "2020-10-25 03:00:00+0100"]
    run.backtest(output=str(tmp_path / "rows.csv"))
    rows = pd.read_csv(tmp_path / "rows.csv")
    assert rows["origin"][0].endswith("+0200") and rows["time"].iloc[-1].endswith("+0100")


@pytest.mark.parametrize(
    ("time", "frequency", "expected"),
    [
        ("2020-01-31", "ME", ["2020-02-29", "2020-03-31"]),
        ("2020-01-01", "MS", ["2020-02-01", "2020-03-01"]),
        ("2020-01-03", "B", ["2020-01-06", "2020-01-07"]),
        ("2020-01-03T23:45", "15min", ["2020-01-04T00:00", "2020-01-04T00:15"]),
        ("2020-01-05T07:00", "D", ["2020-01-06T07:00", "2020-01-07T07:00"]),
        ("2020-01-15", "MS", ["2020-02-01", "2020-03-01"]),  # a series of one row, off the calendar
    ],
)
def test_times_that_follow(time: str, frequency: str, expected: list[str]) -> None:
    found = next_times(np.datetime64(time, "ns"), frequency, 2)
    assert found.dtype == "datetime64[ns]" and (found == np.array(expected, dtype="datetime64[ns]")).all()


def test_missing_values(hours: Run) -> None:
    """They matter in the window only, where data.missing says what becomes of them."""
    frame = wide(100)
    expected = hours.forecast(frame)
    frame.loc[[3, 100 - L - 1], "load"] = np.nan
    pd.testing.assert_frame_equal(hours.forecast(frame), expected)
    frame.loc[90, "load"] = np.nan
    with pytest.raises(
        DataError, match=r"1 values that .* needs are missing, the first one of 'load' at 2020-01-04 18:00"
    ):
        hours.forecast(frame)
    between = wide(100)
    between.loc[90, "load"] = between["load"][[89, 91]].mean()
    drawn = hours.forecast(frame, missing=Missing.interpolate)
    np.testing.assert_allclose(drawn["load"], hours.forecast(between)["load"], rtol=1e-5)
    assert np.abs(hours.forecast(frame, missing=Missing.mask)["load"] - drawn["load"]).max() > 1e-4


def test_future_covariates_must_be_known(shops: Run) -> None:
    frame = horizon_open(long(200))
    absent = (
        r"series '007': future covariates \(off\) are missing: 0 rows .* 2020-05-11 00:00, and data\.horizon=8 needs"
    )
    with pytest.raises(DataError, match=absent):
        shops.forecast(frame.dropna())
    with pytest.raises(DataError, match="series 'a': future covariates .*: 7 rows follow"):
        shops.forecast(frame.drop(index=199))
    gap = frame.astype({"off": float})
    gap.loc[195, "off"] = np.nan
    with pytest.raises(DataError, match="series 'a': 1 values that the forecast needs .* of 'off' at 2020-07-14"):
        shops.forecast(gap)
    drawn = shops.forecast(gap, missing=Missing.interpolate)
    assert drawn.notna().all(axis=None) and len(drawn) == 3 * S
    empty = frame.assign(sold=frame["sold"].where(frame["shop"] != "c"))
    assert shops.forecast(empty)["shop"].unique().tolist() == ["007", "a"]
    with pytest.raises(DataError, match="series 'c': has 0 rows up to its last known target"):
        shops.forecast(empty[empty["shop"] == "c"])


def test_histories_that_cannot_be_used(hours: Run, shops: Run, tmp_path: Path) -> None:
    frame, shop = wide(100), horizon_open(long(200))
    with pytest.raises(DataError, match=r"history\.csv: has 23 rows, and a forecast needs data\.lookback=24 of them"):
        hours.forecast(frame[:23])
    with pytest.raises(DataError, match=r"series 'a': has 12 rows up to its last known target, .* data\.lookback=24"):
        shops.forecast(shop[180:200])
    with pytest.raises(DataError, match=r"series 'new' \(1 in all\): train had no series of that name"):
        shops.forecast(shop.replace({"shop": {"c": "new"}}))
    with pytest.raises(DataError, match=r"has no column 'half' \(data.targets\)"):
        hours.forecast(frame.drop(columns="half"))
    with pytest.raises(DataError, match=r"has no column 'date' \(data.time_column\)"):
        hours.forecast(frame.rename(columns={"date": "when"}))
    with pytest.raises(DataError, match=r"has no column 'shop' \(data.id_column\)"):
        shops.forecast(shop.drop(columns="shop"))
    with pytest.raises(DataError, match=r"history\.csv: line 9: .* 'soon' cannot be read as a time"):
        hours.forecast(frame.astype({"date": str}).replace({"date": {"2020-01-01 07:00:00": "soon"}}))
    with pytest.raises(
        DataError, match=r"does not follow .*; the frequency is h \(of the run\), and .* the frequency 15min"
    ):
        hours.forecast(frame.assign(date=pd.date_range("2020-01-01", periods=100, freq="15min")))
    with pytest.raises(DataError, match="its times are whole numbers, and those that the run was trained on are dates"):
        hours.forecast(frame.assign(date=range(100)))
    with pytest.raises(DataError, match=r"input=.*none\.csv: no such file"):
        hours.forecast(tmp_path / "none.csv")
    (tmp_path / "history.txt").write_text("x")
    with pytest.raises(DataError, match=r"input=.*history\.txt: files of type \.txt are not read as series"):
        hours.forecast(tmp_path / "history.txt")
    config = changed(hours.config, lookback=12)
    with pytest.raises(ConfigError, match=r"data\.lookback: is fixed by the trained run"):
        predict(hours.config, config, hours.directory, "history.csv", "-")


def test_predict_writes_the_forecast(shops: Run, tmp_path: Path) -> None:
    frame = horizon_open(long(200))
    expected = shops.forecast(frame)
    frame.to_csv(tmp_path / "history.csv", index=False)
    for suffix in ("csv", "parquet", "jsonl"):
        output = tmp_path / f"forecast.{suffix}"
        predict(shops.config, shops.config, shops.directory, str(tmp_path / "history.csv"), str(output))
        pd.testing.assert_frame_equal(read(output), expected.astype({"day": str}))


def read(path: Path) -> pd.DataFrame:
    """A written file with dates as they stand in it."""
    match path.suffix:
        case ".csv" | ".tsv":
            frame = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", dtype={"shop": str, "id": str})
        case ".jsonl":
            frame = pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()])
        case _:
            frame = pd.read_parquet(path)
    return frame.astype({name: str for name in ("day", "origin", "time") if name in frame})


@pytest.mark.parametrize("name", ["hours", "shops", "steps"])
@pytest.mark.parametrize("split", ["validation", "test"])
def test_every_origin_gives_the_scores_of_evaluation(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, split: str
) -> None:
    """To the last digit, whether or not forecasts are written; these give the scores once more."""
    run: Run = request.getfixturevalue(name)
    expected = evaluate(run.config, run.config, run.directory, split=split)
    size = json.loads(capsys.readouterr().out)["size"]
    assert run.backtest(split=split) == expected
    summary = json.loads(capsys.readouterr().out)
    assert summary["origins"] == size and summary["stride"] == 1 and summary["split"] == split
    assert summary["mse"] == expected["mse"]
    assert run.backtest(split=split, output=str(tmp_path / "b.parquet")) == expected
    rows = pd.read_parquet(tmp_path / "b.parquet")
    assert len(rows) == size * S * rows["variable"].nunique()
    error = rows["forecast"] - rows["truth"]
    assert error.abs().mean() == pytest.approx(expected["original_mae"], rel=1e-4)
    if name == "shops":
        inside = (rows["q0.1"] <= rows["truth"]) & (rows["truth"] <= rows["q0.9"])
        assert inside.mean() == pytest.approx(expected["coverage"], abs=0.003)
    if name == "steps":
        inside = (rows["lower"] <= rows["truth"]) & (rows["truth"] <= rows["upper"])
        assert inside.mean() == pytest.approx(expected["coverage"], abs=0.003)


def test_rows_of_a_backtest(shops: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every third origin of each series, in all formats, however many rows are made at once."""
    shops.backtest(split="test", stride=3, output=str(tmp_path / "b.parquet"))
    rows = read(tmp_path / "b.parquet")
    quantiles = ["q0.1", "q0.25", "q0.5", "q0.75", "q0.9"]
    assert list(rows) == ["id", "origin", "time", "step", "variable", "forecast", "truth", *quantiles]
    source = long(400).astype({"day": str}).set_index(["shop", "day"])["sold"]
    np.testing.assert_array_equal(rows["truth"], source.loc[list(zip(rows["id"], rows["time"], strict=True))])
    ahead = pd.to_datetime(rows["time"]) - pd.to_datetime(rows["origin"])
    assert (ahead.dt.days == rows["step"]).all() and set(rows["step"]) == set(range(1, S + 1))
    for name, size in (("a", 400), ("007", 340), ("c", 380)):
        origins = pd.to_datetime(rows["origin"][rows["id"] == name].unique())
        test = size // 5
        assert len(origins) == -(-(test - S + 1) // 3) and set(np.diff(origins) / np.timedelta64(1, "D")) == {3}
        assert origins[0] == pd.Timestamp("2020-01-01") + pd.Timedelta(days=size - test - 1)
    monkeypatch.setattr(seqtrain.commands.backtest, "ROWS", 20)
    for suffix in ("csv", "tsv", "jsonl"):
        shops.backtest(split="test", stride=3, output=str(tmp_path / f"b.{suffix}"))
        pd.testing.assert_frame_equal(read(tmp_path / f"b.{suffix}"), rows)


def test_backtest_of_another_file(hours: Run, tmp_path: Path) -> None:
    """All of its rows, of which some are missing."""
    frame = wide(100)
    frame.loc[60, "half"] = np.nan
    frame.to_csv(tmp_path / "new.csv", index=False)
    config = changed(hours.config, path=str(tmp_path / "new.csv"), missing=Missing.interpolate)
    output = tmp_path / "b.csv"
    scores = backtest(hours.config, config, hours.directory, stride=2, other_data=True, output=str(output))
    rows = read(output)
    assert rows["origin"].nunique() == len(range(L, 100 - S + 1, 2)) and rows["origin"][0] == "2020-01-01 23:00:00"
    assert set(rows["time"][rows["truth"].isna()]) == {str(frame["date"][60])}
    assert (rows["forecast"] - rows["truth"]).abs().mean() == pytest.approx(scores["original_mae"], rel=1e-4)
    frame.loc[L : L + S - 1, ["load", "half"]] = np.nan
    frame.to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(DataError, match=r"no target is known in the windows of test \(1\)"):
        backtest(hours.config, config, hours.directory, stride=99, other_data=True, output=str(tmp_path / "c.csv"))
    assert not (tmp_path / "c.csv").exists()


def test_wrong_wishes(hours: Run, small: Compose, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="stride=0: must be at least 1"):
        hours.backtest(stride=0)
    with pytest.raises(ConfigError, match="split=train: must be one of validation, test"):
        hours.backtest(split="train")
    with pytest.raises(ConfigError, match="output=-: must be a file"):
        hours.backtest(output="-")
    with pytest.raises(ConfigError, match="must end in .csv"):
        hours.backtest(output=str(tmp_path / "b.xlsx"))
    with pytest.raises(ConfigError, match="checkpoint=first"):
        hours.backtest(checkpoint="first")
    texts = small("model=gru")
    with pytest.raises(RunError, match="backtest is for forecasters"):
        backtest(texts, texts, hours.directory)
