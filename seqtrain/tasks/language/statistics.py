"""Statistics of language modelling: an example is a token."""

import numpy as np

from seqtrain.tasks.statistics import (
    Metric,
    Options,
    Outputs,
    Spec,
    Statistic,
    TaskStatistics,
    mean_of,
    share,
)


def token_cross_entropy(outputs: Outputs, spec: Spec) -> Statistic:
    """Loss: negative log-probability of the token, in nats."""
    return mean_of(-outputs["log_probabilities"])


def token_perplexity(outputs: Outputs, spec: Spec) -> Statistic:
    """Perplexity: the exponential of the loss."""
    return Statistic(token_cross_entropy(outputs, spec).terms, lambda means: np.exp(means[..., 0]))


def vocabulary(spec: Spec, options: Options) -> dict[str, str]:
    """Size of the vocabulary: losses per token of others are not comparable."""
    return {"vocabulary": str(spec.get("vocab_size"))}


STATISTICS = TaskStatistics(
    "tokens",
    {
        "loss": Metric(token_cross_entropy, unit="nats per token", exponential="perplexity"),
        "perplexity": Metric(token_perplexity),
        "accuracy": share("accuracy"),
        "top5_accuracy": share("top5_accuracy"),
    },
    ordered=True,
    must_agree=vocabulary,
    about={
        "perplexity": (
            "Exponential of the loss: among how many equally likely tokens the model hesitates. Less is better; runs "
            "of different vocabularies cannot be compared by it."
        ),
        "bits_per_character": "Loss per character in bits: less is better, whatever the vocabulary.",
        "bits_per_byte": "Loss per byte in bits: less is better, whatever the vocabulary.",
        "top5_accuracy": "Share of tokens among the five that the model finds most probable: more is better.",
    },
)
