"""The entities that tags mark: which scheme the tags follow, and where each entity begins and ends.

A tag is ``O``, or a letter and the type of an entity, such as ``B-PER``; without types it is the letter alone.

Shapes: N tokens of all sentences, one after another; C tags.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

OUTSIDE, BEGIN, INSIDE, END, SINGLE = range(5)

SCHEMES = {
    "IOB": {"B": BEGIN, "I": INSIDE},
    "IOE": {"I": INSIDE, "E": END},
    "BIOES": {"B": BEGIN, "I": INSIDE, "E": END, "S": SINGLE},
    "BILOU": {"B": BEGIN, "I": INSIDE, "L": END, "U": SINGLE},
    "BMES": {"B": BEGIN, "M": INSIDE, "E": END, "S": SINGLE},
}
"""What each letter of a scheme means. Tags follow the first scheme that has all their letters."""

TAG = re.compile(r"([BIESMLU])(?:-(.*))?", re.DOTALL)
SIMILAR = re.compile(r"[BI][-_:/].*|.*[-_:/][BI]", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Entities:
    """The entities of sentences, in arrays with a value for each token; it counts where an entity begins."""

    starts: NDArray[np.bool_]
    """Whether an entity begins at the token, (N,)."""
    ends: NDArray[np.int64]
    """The first token after the entity, (N,)."""
    types: NDArray[np.int64]
    """Number of the type of the entity, (N,)."""

    def shared(self, other: "Entities") -> NDArray[np.bool_]:
        """Whether an entity begins at the token that ``other`` has too, with the same last token and type, (N,)."""
        return self.starts & other.starts & (self.ends == other.ends) & (self.types == other.types)


@dataclass(frozen=True)
class EntityTags:
    """Tags that mark entities."""

    scheme: str
    """A key of ``SCHEMES``."""
    roles: NDArray[np.int64]
    """What each tag means, (C,): OUTSIDE, BEGIN, INSIDE, END or SINGLE."""
    types: NDArray[np.int64]
    """Number of the type of each tag, (C,); -1 of ``O``."""
    type_names: list[str]
    """Names of the types; a single empty one if tags have no types."""

    @classmethod
    def of(cls, names: Sequence[str]) -> "EntityTags | None":
        """What tags mean; None if they follow no scheme, as parts of speech do not."""
        parts = letters_and_types(names)
        letters = {letter for letter, _ in parts.values()}
        scheme = next((scheme for scheme, known in SCHEMES.items() if letters <= set(known)), None)
        outside, typed = "O" in names, {kind is not None for _, kind in parts.values()}
        if scheme is None or len(parts) + outside < len(names) or len(typed) > 1:
            return None
        if True not in typed and not ("B" in letters or ("I" in letters and outside)):
            return None  # such as S and O, which elsewhere are subject and object
        kinds = sorted({kind or "" for _, kind in parts.values()})
        roles = [SCHEMES[scheme][parts[name][0]] if name in parts else OUTSIDE for name in names]
        types = [kinds.index(parts[name][1] or "") if name in parts else -1 for name in names]
        return cls(scheme, np.array(roles), np.array(types), kinds)

    def find(self, labels: NDArray[np.integer], lengths: NDArray[np.integer]) -> Entities:
        """The entities of sentences.

        All schemes are read by one rule, which also says what tags mean where they break their scheme: an entity goes
        on at INSIDE or END after BEGIN or INSIDE of the same type, and at no other tag. Any other tag but ``O`` begins
        an entity.

        Args:
            labels: numbers of the tags of all tokens, (N,).
            lengths: number of tokens of each sentence; none is 0.

        Source: the script conlleval of Tjong Kim Sang and De Meulder 2003, section 2.3, and its extension to END and
        SINGLE in seqeval.
        """
        roles, types = self.roles[labels], self.types[labels]
        goes_on = np.isin(roles, (INSIDE, END))
        goes_on[1:] &= np.isin(roles[:-1], (BEGIN, INSIDE)) & (types[1:] == types[:-1])
        goes_on[np.cumsum(lengths) - lengths] = False
        bounds = np.append(np.flatnonzero(~goes_on), len(labels))
        return Entities((roles != OUTSIDE) & ~goes_on, bounds[np.cumsum(~goes_on)], types)


def letters_and_types(names: Sequence[str]) -> dict[str, tuple[str, str | None]]:
    """The letter, and the type or None, of each tag that has the form of a tag of entities; ``O`` is not among them."""
    return {name: (match[1], match[2]) for name in names if (match := TAG.fullmatch(name))}


def describe_scheme(names: Sequence[str], labels: NDArray[np.integer], lengths: NDArray[np.integer]) -> str | None:
    """A remark on the scheme that tags follow, and on how many entities break it.

    Args:
        names: names of the C tags.
        labels: numbers of the tags of all tokens, (N,).
        lengths: number of tokens of each sentence.

    Returns:
        The remark. If tags only resemble those of a scheme, why their entities are not scored; else None.
    """
    tags = EntityTags.of(names)
    if tags is None:
        odd = misfit(names)
        return odd and (
            f"tags: entities are not scored, since the tag {odd!r} is of no scheme that the others follow; tags of "
            "entities are O and letters with types, such as B-PER, of one of the schemes "
            + ", ".join(f"{scheme} ({' '.join(letters)})" for scheme, letters in SCHEMES.items())
        )
    scheme, broken = conformity(tags, labels, lengths)
    kinds = [kind for kind in tags.type_names if kind]
    types = f"{len(kinds)} types of entities ({', '.join(kinds[:20])}{', ...' if len(kinds) > 20 else ''})"
    note = f"tags: {scheme}, {types if kinds else 'entities without types'}"
    if broken.any():
        first = int(broken.argmax())
        sentence = int(np.searchsorted(np.cumsum(lengths), first, side="right"))
        place = f"token {first - int(lengths[:sentence].sum()) + 1} of sentence {sentence + 1}"
        note += (
            f"; {broken.sum()} entities of train break this scheme and are read as conlleval reads them (the first: "
            f"at {names[labels[first]]!r}, {place})"
        )
    return note


def conformity(
    tags: EntityTags, labels: NDArray[np.integer], lengths: NDArray[np.integer]
) -> tuple[str, NDArray[np.bool_]]:
    """The scheme in full, such as IOB1 or IOB2, and at which tokens entities begin that break it, (N,).

    In IOB2 every entity begins with BEGIN; in IOB1 only one that touches an entity of its type before it. In IOE2
    every entity ends with END; in IOE1 only one that touches an entity of its type after it.
    """
    entities = tags.find(labels, lengths)
    starts, types = entities.starts, entities.types
    first, last = tags.roles[labels], tags.roles[labels[entities.ends - 1]]
    touched = np.zeros(len(labels), dtype=bool)  # whether an entity of the same type ends just before
    touched[1:] = starts[1:] & (types[1:] == types[:-1])
    touched[np.cumsum(lengths) - lengths] = False
    if tags.scheme == "IOB":
        marked, needed = first == BEGIN, touched
    elif tags.scheme == "IOE":
        marked, needed = last == END, np.append(touched, False)[entities.ends]
    else:
        single = entities.ends - np.arange(len(labels)) == 1
        return tags.scheme, starts & ~np.where(single, first == SINGLE, (first == BEGIN) & (last == END))
    breaks = {f"{tags.scheme}1": starts & (marked != needed), f"{tags.scheme}2": starts & ~marked}
    return min(reversed(breaks.items()), key=lambda item: item[1].sum())


def misfit(names: Sequence[str]) -> str | None:
    """The first tag that keeps the others from following a scheme; None if they do not look like tags of entities."""
    if not any(SIMILAR.fullmatch(name) for name in names) and not {"B", "I", "O"} <= set(names):
        return None
    parts = letters_and_types(names)
    typed = [name for name, (_, kind) in parts.items() if kind is not None]
    known = max(SCHEMES.values(), key=lambda known: sum(letter in known for letter, _ in parts.values()))
    fitting = {"O", *(typed or parts)} & {"O", *(name for name, (letter, _) in parts.items() if letter in known)}
    return next(name for name in names if name not in fitting)
