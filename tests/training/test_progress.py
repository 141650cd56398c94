"""Which evaluation is the best."""

import math

from seqtrain.training.progress import Progress


def test_the_metric_decides_and_at_equal_values_the_loss() -> None:
    progress = Progress(best=0.75, best_loss=0.5)
    assert progress.beaten_by(0.8, 0.9, maximize=True) and not progress.beaten_by(0.7, 0.1, maximize=True)
    assert progress.beaten_by(0.75, 0.4, maximize=True) and not progress.beaten_by(0.75, 0.5, maximize=True)
    assert not progress.beaten_by(0.8, 0.1, maximize=False) and progress.beaten_by(0.7, 0.9, maximize=False)
    assert not progress.beaten_by(0.75, math.inf, maximize=True) and not progress.beaten_by(
        0.75, math.nan, maximize=True
    )
    assert not progress.beaten_by(math.nan, 0.1, maximize=True)
    assert Progress(best=-math.inf).beaten_by(0.0, 1.0, maximize=True)
