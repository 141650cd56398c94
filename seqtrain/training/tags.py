"""Tags of TensorBoard: the order of their groups, and what each tag says.

The trainer and metrics.jsonl name a value ``val/accuracy``. TensorBoard sorts groups by name, so that the scores on
test, single points, would come first. So its tags begin with the place of their group: ``1_val/accuracy``,
``2_train/loss``.
"""

from functools import cache

from seqtrain.config import registry
from seqtrain.probe import tags as probe

GROUPS = ("run", "val", "train", "probe", "best", "test", "baseline")
"""Groups of tags in the order in which TensorBoard shows them. The last three are written once, at the end of a run."""

SPLITS = {
    "val": "On validation, at each evaluation.",
    "best": "On validation, by the best checkpoint; written once, at the end.",
    "test": "On test, by the best checkpoint; written once, at the end. Choose no option by it.",
    "baseline": "On validation, of a baseline; a level line, written at the end. A model should be better than it.",
}
"""What is said of the values of a group after what is said of the metric."""

MONITORED = "monitored"
"""Name under which the monitored metric is written once more, the same for all tasks."""

ABOUT_MONITORED = (
    "The metric that chooses the checkpoint, whichever it is, so that runs of several tasks share a column."
)

TRAIN = {
    "loss": (
        "Mean loss since the last entry, as it is minimised, without regularisation. It should fall; where it does "
        "not, try another trainer.lr (seqtrain lr-find). Where it falls far below that of validation, "
        "the model overfits."
    ),
    "regularisation": "What the regularisers add to the loss. Larger than the loss itself, it is what is trained.",
    "learning_rate": "Learning rate of the last step. Compare its shape with the schedule that you meant.",
    "grad_norm": (
        "Largest norm of the gradient since the last entry, before it is clipped. Single peaks are what clipping is "
        "for; always above max_grad_norm, every step is clipped: lower the rate, or raise trainer.max_grad_norm."
    ),
    "max_grad_norm": "Norm to which a larger gradient is scaled down (trainer.max_grad_norm).",
    "tokens_per_second": "Tokens trained on per second, without evaluations: more is faster.",
    "mfu": (
        "Model FLOPs utilisation: the speed of the matrix products of training steps, as a share of that of the "
        "machine's fastest matrix product, measured once in the same number format with as many threads. Near 1 the "
        "machine does all it can. Far below, small matrices, other operations or other programs take the time: try a "
        "larger data.batch_size."
    ),
    "padding_waste": (
        "Share of places in batches that are padding: less is faster. Where it is large, rows of a batch differ "
        "much in length."
    ),
    "epoch": "Epochs passed.",
}
"""What is said of a value of training."""

PICTURES = {
    "confusion": "True classes against predicted ones. Cells beside the diagonal are what the model confuses.",
    "reliability": "Accuracy by confidence. Bars below the diagonal: the model is too sure of itself.",
    "calibration": "Accuracy of the most probable token by its probability. Bars below the diagonal: too sure.",
    "classes": "Scores of each label, with the number of rows that have it.",
    "loss_by_position": "Loss by place in the segment. It falls where context helps; flat where state carries over.",
    "error_by_step": (
        "Error by step of the horizon, beside the baselines. Far steps are harder; below the baselines is good."
    ),
    "error_by_variable": "Error by variable, beside the baselines: which variables the model does not learn.",
    "forecast": "A window with its forecast. It should follow the observed values, within the interval.",
    "attention": (
        "What the model attends to. Even weights, or all on padding or the first word, say that it does not choose."
    ),
    "alignment": (
        "What the model attends to in the source as it writes each token of its own translation. Where words have the "
        "same order, dark cells form a diagonal; an even grey says that it does not choose."
    ),
    "bleu_by_length": (
        "BLEU by length of the source, on test beside the baselines, with the number of pairs. Without attention it "
        "usually falls with length."
    ),
    "translation": "Translations that the model writes, beside sources and references.",
    "unusual_translations": (
        "How many translations repeat themselves, are far too short or too long, or do not end by themselves. Few is "
        "good; seqtrain inspect shows them."
    ),
    "explanation": (
        "Score as steps are removed, or kept, in the order of each method of seqtrain explain. The faster it falls, "
        "and the faster it rises, the better a method tells what the model goes by."
    ),
    "sample": "Text that the model generates. Loops and broken words say that it is not trained enough.",
    "loss_of_tokens": (
        "A fixed text of validation with the loss of its tokens. What stays in bold is what the model does not learn."
    ),
    "card": "What was trained on what, where, and by which command.",
    "model": "The modules of the model and its head, with the shapes and numbers of their parameters.",
    "config": "The configuration of the run.",
    "scores_by_class": (
        "Precision (how much of what is predicted as the class is it), recall (how much of the class is found), their "
        "harmonic mean F1, and the number of rows. A low recall of a rare class: try task.class_weights=balanced."
    ),
    "precision_recall": (
        "Precision against recall as the threshold of the probability falls: the nearer to the upper right corner, the "
        "better. It shows what a threshold other than the usual one would cost."
    ),
    "weights": "Values of a parameter. They should stay bounded; a peak at 0 alone, and the layer is not used.",
    "gradients": (
        "Gradient of a parameter in the last step, clipped. All at 0: the layer does not learn; far larger than those "
        "of other layers: it decides the clipping."
    ),
}
"""What is said of images and texts, by a part of their tags."""


def ordered(tag: str) -> str:
    """The tag of a value in TensorBoard: with the place of its group before it, if it has one."""
    group, slash, _ = tag.partition("/")
    return f"{GROUPS.index(group)}_{tag}" if slash and group in GROUPS else tag


def description(tag: str) -> str:
    """What TensorBoard shows about the values of a tag, in Markdown; empty for a tag that is not known."""
    if tag.startswith(probe.PREFIX):
        return probe.description(tag)
    group, _, name = tag.partition("/")
    if group == "train":
        return TRAIN.get(name, "")
    parts = [about(name.partition("/")[0]), SPLITS.get(group, "")]
    return " ".join(part for part in parts if part)


@cache
def about(metric: str) -> str:
    """What the tasks that register a metric say of it; empty if none does."""
    if metric == MONITORED:
        return ABOUT_MONITORED
    known = (kind.load_statistics() for kind in registry.REGISTRY["task"].values())
    return next((text for each in known if each is not None and (text := each.about.get(metric))), "")


def picture_description(tag: str) -> str:
    """What TensorBoard shows about an image or a text, in Markdown; empty for a tag that is not known."""
    if tag.startswith(probe.PREFIX):
        return probe.description(tag)
    return next((text for part in tag.split("/") if (text := PICTURES.get(part)) is not None), "")
