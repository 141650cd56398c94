import pytest
import torch

from seqtrain.config.trainer import Schedule, TrainerConfig
from seqtrain.training.schedules import learning_rate


def rates(total: int, **options: object) -> list[float]:
    config = TrainerConfig(lr=1.0, **options)  # type: ignore[arg-type]
    return [learning_rate(config, step, total) for step in range(total)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"schedule": Schedule.constant, "warmup_steps": 0}, [1, 1, 1, 1, 1]),
        ({"schedule": Schedule.constant, "warmup_steps": 2}, [0.5, 1, 1, 1, 1, 1, 1, 1]),
        ({"schedule": Schedule.linear, "warmup_steps": 0}, [1, 0.75, 0.5, 0.25, 0]),
        ({"schedule": Schedule.linear, "warmup_steps": 2}, [0.5, 1, 1, 0.8, 0.6, 0.4, 0.2, 0]),
        ({"schedule": Schedule.linear, "warmup_steps": 0, "final_lr_fraction": 0.2}, [1, 0.8, 0.6, 0.4, 0.2]),
        ({"schedule": Schedule.cosine, "warmup_steps": 0}, [1, 0.5 + 2**0.5 / 4, 0.5, 0.5 - 2**0.5 / 4, 0]),
        ({"schedule": Schedule.linear, "warmup_steps": 50}, [0.5, 1, 1, 0.8, 0.6, 0.4, 0.2, 0]),  # a quarter of the run
        ({"schedule": Schedule.linear, "warmup_steps": 50}, [1, 0.5, 0]),
    ],
)
def test_written_out(options: dict[str, object], expected: list[float]) -> None:
    assert rates(len(expected), **options) == pytest.approx(expected, abs=1e-12)


def test_one_cycle_equals_torch() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    reference = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=21, pct_start=0.3, div_factor=25, final_div_factor=4
    )
    expected = []
    for _ in range(21):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < 21:
            reference.step()
    ours = rates(21, schedule=Schedule.one_cycle, warmup_fraction=0.3, final_lr_fraction=0.01)
    # torch counts the rising phase as pct_start * total_steps - 1, ours as warmup_fraction * (total_steps - 1)
    shifted = rates(21, schedule=Schedule.one_cycle, warmup_fraction=(0.3 * 21 - 1) / 20, final_lr_fraction=0.01)
    assert shifted == pytest.approx(expected, abs=1e-9)
    assert max(ours) <= 1.0 and ours[0] == pytest.approx(1 / 25) and ours[-1] == pytest.approx(0.01)


@pytest.mark.parametrize("schedule", list(Schedule))
@pytest.mark.parametrize("total", [1, 2, 3])
def test_short_runs(schedule: Schedule, total: int) -> None:
    assert all(0 <= rate <= 1 for rate in rates(total, schedule=schedule))
