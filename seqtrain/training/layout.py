"""The layout of TensorBoard's Custom Scalars page: charts of what is to be compared."""

from seqtrain.probe.tags import DESCRIPTIONS, GROUPS


def layout(monitor: str, loss: str) -> bytes:
    """The layout for a run, serialised.

    TensorBoard joins the layouts of all runs: a chart that several runs have in the same form is shown once. So tags
    are expressions that match with and without the place of their group.

    Args:
        monitor: name of the monitored metric.
        loss: name of the metric on validation that stands beside the loss on train.
    """
    from tensorboard.plugins.custom_scalar.layout_pb2 import Category, Chart, Layout, MultilineChartContent

    def chart(title: str, *tags: str) -> Chart:
        expressions = [rf"(\d_)?{tag}" if tag.endswith(".*") else rf"(\d_)?{tag}$" for tag in tags]
        return Chart(title=title, multiline=MultilineChartContent(tag=expressions))

    progress = [
        chart(f"train loss and validation {loss}", "train/loss", f"val/{loss}"),
        chart(f"validation {monitor} and baselines", f"val/{monitor}", f"baseline/{monitor}/.*"),
    ]
    optimisation = [
        chart("gradient norm and where it is clipped", "train/grad_norm", "train/max_grad_norm"),
        chart("learning rate", "train/learning_rate"),
        chart("tokens per second", "train/tokens_per_second"),
        chart("share of the machine's limit (MFU)", "train/mfu"),
    ]
    probes = {
        group: [chart(name, rf"probe/{name}(/.*)?") for name in DESCRIPTIONS if name.startswith(f"{group}/")]
        for group in GROUPS
    }
    categories = [
        Category(title="progress", chart=progress),
        Category(title="optimisation", chart=optimisation + probes.pop("optimisation")),
        *(Category(title=name, closed=True, chart=charts) for name, charts in probes.items()),  # folded
    ]
    return Layout(category=categories).SerializeToString()
