"""Tags of TensorBoard: the order of their groups, and what each tag says.

The trainer and metrics.jsonl name a value ``val/accuracy``. TensorBoard sorts groups by name, so that the scores on
test, single points, would come first. So its tags begin with the place of their group: ``1_val/accuracy``,
``2_train/loss``.
"""

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

METRICS = {
    MONITORED: "The metric that chooses the checkpoint, whichever it is, so that runs of several tasks share a column.",
    "loss": (
        "Mean loss in nats, without regularisation: less is better. Where it rises while that of train falls, the "
        "model overfits: stop earlier (trainer.patience), or use more dropout, weight decay or data."
    ),
    "accuracy": "Share of right predictions: more is better. Compare it with the share of the most frequent class.",
    "macro_f1": (
        "Mean of the classes' F1, each class counting the same: more is better. Far below the accuracy, rare "
        "classes are missed: look at the confusion matrix, and try task.class_weights=balanced."
    ),
    "micro_f1": "F1 over all labels of all rows together: more is better.",
    "subset_accuracy": "Share of rows of which all labels are right: more is better.",
    "mean_average_precision": "Mean over labels of the area below precision against recall: more is better.",
    "mean_auroc": "Mean over labels of the area under the ROC curve: 0.5 is chance, 1 is perfect.",
    "auroc": (
        "Probability that a row of the second class gets a higher score than one of the first: 0.5 is chance, 1 is "
        "perfect."
    ),
    "calibration_error": (
        "Mean distance between confidence and accuracy, over 15 bins: 0 is best. Where it is large, confidences "
        "mislead: set task.temperature=true."
    ),
    "calibration_error_before": "Calibration error without the temperature that was fitted.",
    "sequence_accuracy": "Share of sequences without any wrong label: more is better.",
    "entity_f1": "F1 of whole entities, bounds and kind: more is better.",
    "entity_precision": "Share of predicted entities that are right: more is better.",
    "entity_recall": "Share of true entities that are found: more is better.",
    "perplexity": (
        "Exponential of the loss: among how many equally likely tokens the model hesitates. Less is better; runs of "
        "different vocabularies cannot be compared by it."
    ),
    "bits_per_character": "Loss per character in bits: less is better, whatever the vocabulary.",
    "bits_per_byte": "Loss per byte in bits: less is better, whatever the vocabulary.",
    "top5_accuracy": "Share of tokens among the five that the model finds most probable: more is better.",
    "mse": "Mean squared error in scaled units: less is better. 1 is what the mean of train scores on data like train.",
    "mae": "Mean absolute error in scaled units: less is better.",
    "rmse": "Root of the mean squared error in scaled units: less is better.",
    "original_mse": "Mean squared error in the units of the data: less is better.",
    "original_mae": "Mean absolute error in the units of the data: less is better.",
    "original_rmse": "Root of the mean squared error in the units of the data: less is better.",
    "smape": "Absolute error relative to the mean of forecast and value: less is better. It misleads near zero.",
    "mase": "Mean absolute error divided by that of a naive forecast on train: below 1 is better than naive.",
    "rmsse": "Root mean squared error divided by that of a naive forecast on train: below 1 is better than naive.",
    "crps": "Score of the whole predicted distribution, in the units of the absolute error: less is better.",
    "coverage": (
        "Share of values within the forecast interval. It should be the share that the interval promises: less, and "
        "intervals are too narrow; try task.conformal."
    ),
    "conformal_coverage": "Share of values within the conformal interval. It should be the share that it promises.",
}
"""What is said of a metric: what it is, what is good, and what to do where it is not."""

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
    "explanation": (
        "Score as steps are removed, or kept, in the order of each method of seqtrain explain. The faster it falls, "
        "and the faster it rises, the better a method tells what the model goes by."
    ),
    "sample": "Text that the model generates. Loops and broken words say that it is not trained enough.",
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
    metric = name.partition("/")[0]
    parts = [METRICS.get(metric, ""), SPLITS.get(group, "")]
    return " ".join(part for part in parts if part)


def picture_description(tag: str) -> str:
    """What TensorBoard shows about an image or a text, in Markdown; empty for a tag that is not known."""
    if tag.startswith(probe.PREFIX):
        return probe.description(tag)
    return next((text for part in tag.split("/") if (text := PICTURES.get(part)) is not None), "")
