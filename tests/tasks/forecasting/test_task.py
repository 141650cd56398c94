"""Forecasting: the head, the strategies, the losses, and scores that no batch size, order or future value changes."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from torch import Tensor
from torch.nn import functional as F

from seqtrain.commands.build import Built, build_data, build_model, check_targets
from seqtrain.config.base import Targets
from seqtrain.config.root import Config
from seqtrain.config.trainer import Precision
from seqtrain.config.window import Channels, WindowConfig, WindowNorm
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.layers.attention import recorded_weights
from seqtrain.tasks.forecasting.conformal import Conformal
from seqtrain.tasks.forecasting.head import ForecastHead
from seqtrain.tasks.forecasting.task import Forecasting
from seqtrain.training.device import seed_everything
from seqtrain.training.evaluation import evaluate

Compose = Callable[..., Config]

B, L, S, C, FUTURE = 4, 12, 6, 3, 2
SPEC = DataSpec(
    targets="future", num_features=C + FUTURE, lookback=L, horizon=S, num_targets=C, num_future=FUTURE,
    naive_errors=[[[1.0] * C], [[1.0] * C]],
)  # fmt: skip


def windows(seed: int = 0, features: int = FUTURE) -> ForecastBatch:
    g = torch.Generator().manual_seed(seed)
    return ForecastBatch(
        inputs=torch.randn(B, L, C + features, generator=g) * 3 + 5,
        targets=torch.randn(B, S, C, generator=g) * 3 + 5,
        lengths=torch.full((B,), L),
        rows=np.arange(B),
        num_tokens=B * L,
        future=torch.randn(B, S, features, generator=g),
        observed=None,
        series=torch.zeros(B, dtype=torch.long),
        first_step=torch.zeros(B, dtype=torch.long),
        centre=np.zeros((B, C)),
        scale=np.ones((B, C)),
    )


@pytest.fixture
def series(composed: Compose) -> Compose:
    """A small forecaster's configuration on the sine; overrides may change all of it."""

    def composer(*overrides: str) -> Config:
        options = ["data=sine", "data.length=900", "data.lookback=24", "data.horizon=8", "device=cpu"]
        sizes = ["model.hidden_size=8", "model.embedding.embed_dim=6"]
        if any(f"model={name}" in overrides for name in ("linear", "nlinear", "dlinear")):
            sizes = []
        if "model=segrnn" in overrides:
            sizes = ["model.hidden_size=8", "model.segment_length=4"]
        if "model=self_attn" in overrides:
            sizes = ["model.embedding.embed_dim=8", "model.feed_forward_size=12"]
        return composed(*options, *sizes, "trainer.figures=false", "trainer.baselines=false", *overrides)

    return composer


def build(config: Config) -> tuple[ForecastingData, Built]:
    seed_everything(0)
    data = cast(ForecastingData, build_data(config))
    return data, build_model(config, data.spec)


@pytest.mark.parametrize("norm", WindowNorm)
@pytest.mark.parametrize("channels", Channels)
def test_normalised_windows_are_restored(norm: WindowNorm, channels: Channels) -> None:
    head = ForecastHead(7, 1, WindowConfig(norm, channels), SPEC)
    if norm is WindowNorm.revin:
        torch.nn.init.normal_(head.gain)
        torch.nn.init.normal_(head.shift)
    batch = windows()
    normal = head.normalised(batch.targets, batch)
    torch.testing.assert_close(head.denormalised(normal[..., None], batch)[..., 0], batch.targets, atol=1e-4, rtol=1e-4)
    encoded = head.encode(batch)
    if channels is Channels.independent:
        assert encoded.inputs.shape == (B * C, L, 1 + FUTURE) and encoded.lengths.tolist() == [L] * (B * C)
        torch.testing.assert_close(encoded.inputs[4, :, 0], head.normalised(batch.inputs[:, :, :C], batch)[1, :, 1])
        assert torch.equal(encoded.inputs[4, :, 1:], batch.inputs[1, :, C:])
    else:
        assert encoded.inputs.shape == (B, L, C + FUTURE)
    past = head.normalised(batch.inputs[:, :, :C], batch)
    if norm is WindowNorm.subtract_last:
        assert (past[:, -1] == 0).all()
    if norm is WindowNorm.revin:
        plain = (past - head.shift) / head.gain
        torch.testing.assert_close(plain.mean(1), torch.zeros(B, C), atol=1e-4, rtol=0)
        torch.testing.assert_close(plain.std(1, correction=0), torch.ones(B, C), atol=1e-3, rtol=0)


@pytest.mark.parametrize("channels", Channels)
@pytest.mark.parametrize("places", [1, 3, 6])
def test_features_become_the_steps_of_their_place(channels: Channels, places: int) -> None:
    P, H = 2, 5
    head = ForecastHead(H, places, WindowConfig(WindowNorm.none, channels), SPEC, P)
    batch = windows()
    rows = B * C if channels is Channels.independent else B
    features = torch.randn(rows, places, H)
    forecasts = head(features if places > 1 else features[:, 0], batch)
    assert forecasts.shape == (B, S, C, P) and head.future is not None
    for b, s, c, p in ((0, 0, 0, 0), (3, 5, 2, 1), (2, 3, 1, 0)):
        place, step = divmod(s, S // places)
        row = b * C + c if channels is Channels.independent else b
        out = p if channels is Channels.independent else c * P + p
        weight = head.linear.weight.view(S // places, -1, H)[step, out]
        expected = features[row, place] @ weight + head.linear.bias.view(S // places, -1)[step, out]
        expected = expected + batch.future[b, s] @ head.future.weight[out]
        torch.testing.assert_close(forecasts[b, s, c, p], expected)


def test_linear_models_are_their_equations(series: Compose) -> None:
    for name in ("linear", "nlinear", "dlinear"):
        data, built = build(series(f"model={name}"))
        head = cast(ForecastHead, built.head)
        batch = cast(ForecastBatch, next(iter(data.eval_batches("test"))))
        forecasts = built.task.features(built.model, head, batch, None)[0]
        forecasts = head(forecasts, batch)[..., 0].detach()
        x, W, b = batch.inputs[:, :, 0], head.linear.weight.detach(), head.linear.bias.detach()
        if name == "linear":
            expected = x @ W.T + b
        elif name == "nlinear":
            expected = (x - x[:, -1:]) @ W.T + b + x[:, -1:]
        else:
            padded = torch.cat([x[:, :1].expand(-1, 12), x, x[:, -1:].expand(-1, 12)], 1)
            trend = padded.unfold(1, 25, 1).mean(-1)
            expected = trend @ W[:, :24].T + (x - trend) @ W[:, 24:].T + b
        torch.testing.assert_close(forecasts[..., 0], expected, atol=1e-5, rtol=1e-5)


MODELS = ["gru", "lstm_attn", "self_attn", "bahdanau_attn", "linear", "nlinear", "dlinear", "segrnn"]
MODELS += ["gru_seq2seq_attn", "lstm_seq2seq"]


@pytest.mark.parametrize("name", MODELS)
def test_no_model_sees_the_future(series: Compose, name: str) -> None:
    """A signal planted in the horizon changes no forecast; one in the window does."""
    data, built = build(series(f"model={name}"))
    built.model.eval()
    batch = cast(ForecastBatch, next(iter(data.eval_batches("test"))))

    def forecast() -> Tensor:
        with torch.no_grad():
            return built.head(built.task.features(built.model, built.head, batch, None)[0], batch)

    before = forecast()
    batch.targets += 100
    assert torch.equal(forecast(), before)
    batch.inputs[:, -1] += 1
    assert not torch.allclose(forecast(), before)


@pytest.mark.parametrize("options", ["model=gru", "model=lstm model.num_layers=2", "model=self_attn", "model=gru_attn"])
@pytest.mark.parametrize("channels", ["joint", "independent"])
def test_recursive_forecasts_feed_themselves(series: Compose, options: str, channels: str) -> None:
    """Step by step with carried state equals reading the whole, ever longer, window anew."""
    config = series(*options.split(), "task.strategy=recursive", f"model.window.channels={channels}",
                    "model.window.norm=revin", "data.calendar=false")  # fmt: skip
    data, built = build(config)
    head, task = cast(ForecastHead, built.head), cast(Forecasting, built.task)
    built.model.eval()
    batch = cast(ForecastBatch, next(iter(data.eval_batches("test"))))
    with torch.no_grad():
        forecasts = head(task.features(built.model, head, batch, None)[0], batch)[..., 0]
        values = head.normalised(batch.inputs, batch)
        for _ in range(8):
            features = built.model(head.rows(batch, values), None)[0][:, -1:]
            values = torch.cat([values, head.normalised_forecasts(features, None)[..., 0]], 1)
        expected = head.denormalised(values[:, -8:, :, None], batch)[..., 0]
    torch.testing.assert_close(forecasts, expected, atol=1e-4, rtol=1e-4)
    built.model.train()
    teacher_forced = task.features(built.model, head, batch, None)[0]
    assert teacher_forced.shape[1] == 8


def test_losses(series: Compose) -> None:
    g = torch.Generator().manual_seed(0)
    targets = torch.randn(B, S, C, generator=g)
    reference: dict[str, Callable[[Tensor], Tensor]] = {
        "mse": lambda f: F.mse_loss(f[..., 0], targets, reduction="none"),
        "mae": lambda f: F.l1_loss(f[..., 0], targets, reduction="none"),
        "huber": lambda f: F.huber_loss(f[..., 0], targets, reduction="none", delta=0.5),
        "gaussian": lambda f: -torch.distributions.Normal(f[..., 0], f[..., 1]).log_prob(targets),
    }
    for name, expected in reference.items():
        config = series("model=gru", f"task.loss={name}", "task.huber_delta=0.5")
        task = Forecasting(config.task, SPEC)  # type: ignore[arg-type]
        forecasts = torch.rand(B, S, C, 2 if name == "gaussian" else 1, generator=g) + 0.1
        own = task.distribution.forecasts(forecasts, windows())
        torch.testing.assert_close(task.distribution.losses(own, targets), expected(forecasts))
    config = series("model=gru", "task.loss=quantile", "task.quantiles=[0.2,0.5,0.9]")
    task = Forecasting(config.task, SPEC)  # type: ignore[arg-type]
    crossed = torch.randn(B, S, C, 3, generator=g)
    loss = torch.zeros(B, S, C)
    for i, level in enumerate((0.2, 0.5, 0.9)):
        error = targets - crossed.sort(-1).values[..., i]
        loss += torch.where(error > 0, level * error, (level - 1) * error) / 3
    own = task.distribution.forecasts(crossed, windows())
    torch.testing.assert_close(task.distribution.losses(own, targets), loss)
    assert torch.equal(task.distribution.point(crossed), crossed.median(-1).values)


@pytest.mark.parametrize("loss", ["mse", "quantile", "gaussian"])
def test_scores_do_not_depend_on_the_batch(series: Compose, loss: str) -> None:
    results = []
    for size in (1, 7, 1000):
        data, built = build(series("model=gru", f"task.loss={loss}", f"data.eval_batch_size={size}"))
        batches = data.eval_batches("test")
        results.append(evaluate(built.model, built.head, built.task, batches, built.device, Precision.fp32))
    for result in results[1:]:
        assert result.metrics == pytest.approx(results[0].metrics, rel=1e-6)
        np.testing.assert_allclose(result.outputs["forecasts"], results[0].outputs["forecasts"], atol=1e-6)
    assert ("crps" in results[0].metrics) == (loss != "mse")
    if loss != "mse":
        assert 0 <= results[0].metrics["coverage"] <= 1
        widths = np.diff(results[0].outputs["forecasts"], axis=-1)
        assert (widths >= 0).all() if loss == "quantile" else (results[0].outputs["forecasts"][..., 1] > 0).all()


def test_baselines_on_a_series_without_noise(series: Compose) -> None:
    data, built = build(series("model=gru", "data.lookback=200", "data.season=168"))
    table = built.task.scored_baselines(data)
    assert list(table) == ["last value", "mean of the window", "seasonal naive (168 steps)", "linear"]
    mse = {who: scores["test"].metrics["mse"] for who, scores in table.items()}
    assert mse["seasonal naive (168 steps)"] < 1e-8 and mse["linear"] < 1e-6 and mse["last value"] > 0.1
    short, built = build(series("model=gru", "task.loss=gaussian"))
    table = built.task.scored_baselines(short)
    assert all(scores["test"].metrics["crps"] == scores["test"].metrics["mae"] for scores in table.values())
    assert "seasonal naive (24 steps)" in table


def test_a_season_longer_than_the_lookback_is_read_from_the_series(
    series: Compose, caplog: pytest.LogCaptureFixture
) -> None:
    data, built = build(series("model=gru", "data.season=168"))
    table = built.task.scored_baselines(data)
    assert list(table) == ["last value", "mean of the window", "seasonal naive (168 steps)", "linear"]
    assert all(scores.metrics["mse"] < 1e-8 for scores in table["seasonal naive (168 steps)"].values())
    first = np.array([3, 10])
    rows = data.windows["test"].locate(first)[1][:, None] - 30 + np.arange(30)
    np.testing.assert_array_equal(data.past("test", first, 30)[..., 0], data.truth[rows, 0])
    data, built = build(series("model=gru", "data.season=700"))  # validation begins before
    with caplog.at_level("INFO"):
        assert list(built.task.scored_baselines(data)) == ["last value", "mean of the window", "linear"]
    assert "seasonal naive (700 steps) is left out: " in caplog.text


def test_no_linear_baseline_where_no_window_of_train_is_whole(series: Compose) -> None:
    data, built = build(series("model=gru", "data.season=700"))
    data.known = np.arange(len(data.target_rows))[:, None] % 7 > 0  # a horizon has 8 steps
    scored = built.task.scored_baselines(data)
    assert list(scored) == ["last value", "mean of the window"] and scored["last value"]["test"].metrics["mse"] > 0


def test_past_covariates_are_not_known_when_values_are_fed_back() -> None:
    from seqtrain.config.task import ForecastingConfig, Strategy

    spec = DataSpec(**(vars(SPEC) | {"num_future": FUTURE - 1}))
    with pytest.raises(ConfigError, match=r"task\.strategy=recursive: past covariates"):
        Forecasting(ForecastingConfig(strategy=Strategy.recursive), spec)


@pytest.mark.parametrize("name", ["linear", "segrnn"])
def test_recursive_forecasts_need_a_model_of_steps(series: Compose, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"task\.strategy=recursive: model={name} forecasts all steps at once"):
        build(series(f"model={name}", "task.strategy=recursive"))
    with pytest.raises(ConfigError, match=f"model={name}: predicts the future only"):
        check_targets(series(f"model={name}"), Targets.sequence_class)


def test_segments_must_divide(series: Compose) -> None:
    with pytest.raises(ConfigError, match=r"model\.segment_length=5: must divide data\.lookback=24"):
        build(series("model=segrnn", "model.segment_length=5"))


DRAWN = {
    "model=gru_seq2seq_attn": {"output_attention": (8, 24)},
    "model=gru_seq2seq_attn data.horizon=1": {"output_attention": (1, 24)},
    "model=lstm_seq2seq": {},
    "model=gru_attn": {"pooling": (1, 24)},
    "model=bahdanau_attn": {"output_attention": (1, 24)},
    "model=lstm_multihead_attn": {"output_attention": (1, 24)},
    "model=gru_attn task.strategy=recursive": {},
}


@pytest.mark.parametrize("options", DRAWN)
@pytest.mark.parametrize("channels", ["joint", "independent"])
def test_attention_is_drawn(series: Compose, options: str, channels: str) -> None:
    """Of the first example and, where variables are independent, of the first of them."""
    data, built = build(series(*options.split(), "data=lorenz", f"model.window.channels={channels}"))
    built.model.eval()
    figures, texts = built.task.illustrate(built.model, built.head, data, built.device)
    with torch.no_grad(), recorded_weights(built.model) as weights:
        built.task.features(built.model, built.head, data.examples("validation", 4)[0], None)
    shapes = {}
    for tag, figure in figures.items():
        figure.set_dpi(40)
        FigureCanvasAgg(figure).draw()  # pytest turns every warning into an error
        if tag.startswith("attention/"):
            place = tag.removeprefix("attention/")
            image = np.asarray(figure.axes[0].images[0].get_array())
            shapes[place] = image.shape
            ((call, *_),) = weights.values()
            rows = torch.atleast_2d(call[0])
            expected = rows if image.shape == rows.shape else rows.mean(0, keepdim=True)
            np.testing.assert_allclose(image, expected.numpy(), atol=1e-6)
    assert shapes == DRAWN[options] and texts == {}


@pytest.mark.parametrize("loss", ["mse", "quantile", "gaussian"])
def test_two_meters_merge_into_one(series: Compose, loss: str) -> None:
    """What two processes gathered of the rows of each batch gives the scores of one that saw them all."""
    data, built = build(series("model=nlinear", "data=lorenz", f"task.loss={loss}"))
    task = cast(Forecasting, built.task)
    with torch.no_grad():
        first = next(iter(data.eval_batches("validation")))
        forecasts = task.forecasts(built.head, task.features(built.model, built.head, first, None)[0], first)
    scores = task.distribution.nonconformity(forecasts, first.targets).numpy()
    task.set_calibration(Conformal.of_scores(0.8, scores))
    whole = evaluate(built.model, built.head, task, data.eval_batches("test"), built.device, Precision.fp32)
    meters = [task.meter(built.head), task.meter(built.head)]
    for batch in data.eval_batches("test"):
        for rank, meter in enumerate(meters):
            part = batch.shard(rank, 2)
            with torch.no_grad():
                meter.update(part, task.features(built.model, built.head, part, None)[0])
    meters[0].merge(meters[1].gathered())
    merged = meters[0].result()
    assert {"conformal_coverage", "conformal_width"} < set(whole.metrics)
    assert merged.metrics == pytest.approx(whole.metrics, rel=1e-6)
    np.testing.assert_allclose(merged.outputs["forecasts"], whole.outputs["forecasts"], atol=1e-6)
    for name, values in whole.sums.items():
        np.testing.assert_allclose(merged.sums[name], values, rtol=1e-6)


def test_errors_are_drawn_beside_those_of_baselines(series: Compose) -> None:
    data, built = build(series("model=nlinear", "data=lorenz", "data.season=8"))
    scored = built.task.scored_baselines(data)
    evaluations = {
        split: evaluate(built.model, built.head, built.task, data.eval_batches(split), built.device, Precision.fp32)
        for split in ("validation", "test")
    }
    figures = built.task.final_figures(built.model, built.head, data, built.device, evaluations, scored)
    by_step: Any = figures["test/error_by_step"].axes[0]
    names = ["last value", "mean of the window", "seasonal naive (8 steps)", "linear"]
    for tag in ("test/error_by_step", "best/error_by_variable"):
        assert set(names) < {text.get_text() for text in figures[tag].legends[0].get_texts()}
    for line, who in zip(by_step.lines, [None, *names], strict=True):
        part = evaluations["test"] if who is None else scored[who]["test"]
        np.testing.assert_array_equal(line.get_ydata(), part.sums["mse_by_step"])
        assert np.mean(line.get_ydata()) == pytest.approx(part.metrics["mse"])
    assert {f"test/forecast/{i}" for i in range(4)} < set(figures)
    window: Any = figures["test/forecast/1"].axes[0]
    drawn = {line.get_label(): line.get_ydata() for line in window.lines}
    batch, times = data.examples("test", 4)
    assert isinstance(data, ForecastingData) and isinstance(batch, ForecastBatch) and batch.truth is not None
    v = data.spec.target_names.index(window.get_ylabel())
    assert (drawn["last value"] == data.past("test", batch.rows)[1, -1, v]).all()
    np.testing.assert_array_equal(drawn["observed"][-len(batch.truth[1]) :], batch.truth[1, :, v])
    assert window.get_title() == f"window {batch.rows[1]}, from {times[1][batch.inputs.shape[1]]}"
    alone: Any = built.task.figures(evaluations["validation"])["error_by_step"].axes[0]
    assert len(alone.lines) == 1
