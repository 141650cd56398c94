"""The translations of a run as sections of a page.

Shapes: N pairs that were translated.
"""

from collections.abc import Sequence
from html import escape
from typing import cast

import numpy as np
from numpy.typing import NDArray

from seqtrain.config.translation import TranslationConfig
from seqtrain.data.pairs.dataset import PairData
from seqtrain.data.pairs.vocabularies import UNKNOWN_ID
from seqtrain.pages.html import Html, bar, details, html_table
from seqtrain.tasks.inspecting.material import Material, Section, sentences, soft
from seqtrain.tasks.inspecting.rates import frequency_bins, percent, quantile_bins, span
from seqtrain.tasks.translation.cards import LEGEND, alignment_tables, card, pair_texts, score_title
from seqtrain.tasks.translation.errors import Translated, lowest, said
from seqtrain.tasks.translation.task import Translation

CARDS = 10
"""Pairs with the lowest chrF; half as many with the highest, and with the largest loss."""
EXAMPLES = 4
"""Pairs of each kind of unusual translations, and alignments."""
EARLIER = (
    "the stored predictions have no translations, as those of earlier versions; move predictions/{split}.npz of the "
    "run away, and inspect makes them again"
)


def inspect(material: Material) -> list[Section]:
    """The sections of the page, in order."""
    data = material.data if isinstance(material.data, PairData) else None
    config = cast(Translation, material.task).config
    found = Translated.of(material.outputs)
    if found is None or not len(found.texts):
        material.missing.append(EARLIER.format(split=material.split))
        losses = material.outputs["nats"].sum() / material.outputs["lengths"].sum()
        return [Section("In short", [sentences([f"Loss of {material.split}: {losses:.4g} nats per token."])])]
    sections = [Section("In short", [sentences(summary(material, found, config))])]
    sections += rival_sections(material, data, found)
    shown = Shown(material, data, found)
    worst, best = lowest(found.chrf, CARDS), lowest(-found.chrf, CARDS // 2)
    sections.append(Section("Lowest chrF", [soft(LEGEND), *shown.cards(worst)]))
    sections.append(Section("Highest chrF", shown.cards([place for place in best if place not in worst])))
    remark = "What the model expects least: rare words, free translations, and pairs that do not belong together."
    unlikely = lowest(-found.losses, CARDS // 2)
    sections.append(Section("References with the largest loss", [soft(remark), *shown.cards(unlikely)]))
    sections.append(unusual(shown, config))
    if data is not None:
        sections += aligned(material, data, found)
    sections.append(by_pair(material, data, found))
    return sections


class Shown:
    """Makes cards of pairs.

    Args:
        material: the run.
        data: its pairs; None if the source is gone.
        found: its translations.
    """

    def __init__(self, material: Material, data: PairData | None, found: Translated):
        self.material, self.data, self.found = material, data, found

    def cards(self, places: Sequence[int]) -> list[str]:
        """The pairs at these places among those that were translated."""
        made = []
        for place in places:
            outputs = [("translation", self.found.texts[place])]
            texts = pair_texts(self.data, self.material.split, int(self.found.places[place]), outputs)
            made.append(card(score_title(self.found, place), texts))
        return made


def summary(material: Material, found: Translated, config: TranslationConfig) -> list[str]:
    """The page in a few sentences."""
    everything = np.ones(len(found.texts), dtype=bool)
    bleu, chrf, loss = found.scores(everything)
    words, reference = found.outputs["bleu_counts"][:, :2].sum(0)
    lines = [
        f"{len(found.texts):,} of {len(material.outputs['nats']):,} pairs of {material.split} were translated: BLEU "
        f"{bleu:.1f}, chrF {chrf:.1f}; loss of their references {loss:.3g} nats per token.",
        f"Translations have {words / max(reference, 1):.2f} times as many words as the references.",
    ]
    counts = {what: int(which.sum()) for what, which in found.unusual(config).items() if which.any()}
    if counts:
        listed = "; ".join(f"{count:,} {said(what)}" for what, count in counts.items())
        lines.append(f"Unusual translations: {listed}.")
    numbers, ends = quantile_bins(found.outputs["source_lengths"], 4)
    if len(ends) > 1:
        short, long = (found.scores(numbers == group)[0] for group in (0, len(ends) - 1))
        lines.append(f"BLEU is {short:.1f} in the quarter with the shortest sources, and {long:.1f} in the longest.")
    return lines


def rival_sections(material: Material, data: PairData | None, found: Translated) -> list[Section]:
    """The pairs that one of two runs translates much better than the other, by chrF; none without a second run."""
    rival = material.rival
    if rival is None:
        return []
    other = Translated.of(rival.outputs)
    if other is None or not np.array_equal(found.places, other.places):
        material.missing.append(f"{rival.label} has no stored translations of the same pairs, and is not compared here")
        return []
    gaps, runs = found.chrf - other.chrf, ((material.label, found), (rival.label, other))
    sections = []
    for name, sign in ((material.label, -1), (rival.label, 1)):
        made = []
        for place in lowest(sign * gaps, CARDS // 2):
            if sign * gaps[place] < 0:
                outputs = [(f"{label}, chrF {each.chrf[place]:.1f}", each.texts[place]) for label, each in runs]
                texts = pair_texts(data, material.split, int(found.places[place]), outputs)
                made.append(card(f'<span class="soft">row {int(found.outputs["rows"][place]):,}</span>', texts))
        share = percent(float((sign * gaps < 0).mean()))
        words = f"{name} has the higher chrF in {share} of {len(gaps):,} pairs. seqtrain compare has the interval."
        sections.append(Section(f"Translated better by {name}", [f"<p>{escape(words)}</p>", *made]))
    return sections


def unusual(shown: Shown, config: TranslationConfig) -> Section:
    """Translations that repeat themselves, are far too short or too long, or do not end: their number, and some."""
    rows, values, examples = [], list[list[object]](), []
    chrf = shown.found.chrf
    for what, which in shown.found.unusual(config).items():
        count, share = int(which.sum()), float(which.mean())
        mean = f"{chrf[which].mean():.1f}" if count else "-"
        rows.append([said(what), f"{count:,}", percent(share), Html(bar(share)), mean])
        values.append([said(what), count, share, share, float(chrf[which].mean()) if count else None])
        if count:
            places = np.flatnonzero(which)
            chosen = places[lowest(chrf[places], EXAMPLES)].tolist()
            examples.append(details(f"Some that {said(what)}", "".join(shown.cards(chosen))))
    header = ["translations that", "number", "of all", "", "mean chrF"]
    return Section("Unusual translations", [html_table(header, rows, values), *examples])


def aligned(material: Material, data: PairData, found: Translated) -> list[Section]:
    """What the model attends to as it writes the translations at even steps from the lowest chrF to the highest."""
    order = np.argsort(found.chrf, kind="stable")
    places = order[np.unique(np.linspace(0, len(order) - 1, EXAMPLES).astype(int))]
    tables = alignment_tables(material, data, found.places[places].tolist())
    if not tables:
        return []
    remark = (
        "A line for each token of the translation, a column for each token of the source; the background is as strong "
        "as the weight. Pairs are taken from the lowest chrF to the highest."
    )
    made = []
    for place, table in zip(places.tolist(), tables, strict=True):
        made.append(f"<p>{score_title(found, place)}</p>{table}")
    return [Section("Alignments", [soft(remark), *made])]


def by_pair(material: Material, data: PairData | None, found: Translated) -> Section:
    """The scores by length of the source and, if it can be read, by its rare and unknown tokens."""
    numbers, ends = quantile_bins(found.outputs["source_lengths"])
    names = [span(low, high, whole=True) for low, high in ends.tolist()]
    parts = ["<h3>By length of the source</h3>", score_table(found, numbers, names, "tokens")]
    if data is None:
        return Section("Scores by source", parts)
    rarest, unknown = rare_tokens(data, material.split)
    numbers, names = frequency_bins(rarest[found.places])
    parts += ["<h3>By the rarest token of the source</h3>", score_table(found, numbers, names, "times in train")]
    if unknown[found.places].any():
        numbers, ends = quantile_bins(unknown[found.places])
        names = [span(low, high, whole=False) for low, high in ends.tolist()]
        parts += ["<h3>By share of unknown tokens</h3>", score_table(found, numbers, names, "unknown")]
    return Section("Scores by source", parts)


def rare_tokens(data: PairData, split: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """How often train has the rarest token of each source, and the share of its tokens that are unknown."""
    rows = data.tokens[split]
    tokens, starts = np.asarray(rows.tokens[:]).astype(np.int64), rows.offsets[:-1]
    rarest = np.minimum.reduceat(data.token_counts()[tokens], starts)
    unknown = np.add.reduceat((tokens == UNKNOWN_ID).astype(np.float64), starts) / np.diff(rows.offsets)
    return rarest, unknown


def score_table(found: Translated, numbers: NDArray[np.integer], names: Sequence[str], first: str) -> str:
    """A table of groups of pairs with the scores of each group together.

    Args:
        found: the translations.
        numbers: number of each pair's group, (N,).
        names: the groups.
        first: heading of the groups.
    """
    rows, values = [], list[list[object]]()
    for group in np.unique(numbers).tolist():
        chosen = numbers == group
        count, scores = int(chosen.sum()), found.scores(chosen)
        texts = [f"{scores[0]:.1f}", Html(bar(scores[0] / 100)), f"{scores[1]:.1f}", f"{scores[2]:.3f}"]
        rows.append([names[group], f"{count:,}", *texts])
        values.append([group, count, scores[0], scores[0], *scores[1:]])
    return html_table([first, "pairs", "BLEU", "", "chrF", "loss"], rows, values)
