"""What an HTML page contains, as a test reads it."""

from html.parser import HTMLParser
from typing import Self

VOID = ("meta", "br")


class Page(HTMLParser):
    """Checks that elements are nested correctly, and collects attributes, text, and the cells of tables by heading."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        """Those that lead out of the page."""
        self.tags: list[str] = []
        self.text = ""
        self.heading = ""
        self.tables: dict[str, list[list[list[str]]]] = {}
        """Heading -> tables below it -> rows of cells, the header first."""
        self.cards: dict[str, list[str]] = {}
        """Heading -> text of the cards below it."""

    @classmethod
    def of(cls, text: str) -> Self:
        """The page in a text, which ends with all elements closed."""
        page = cls()
        page.feed(text)
        assert page.open == []
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        links = [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.links += [link for link in links if not link.startswith("#")]
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("h1", "h2", "h3"):
            self.heading = ""
        elif tag == "table":
            self.tables.setdefault(self.heading, []).append([])
        elif tag == "tr":
            self.tables[self.heading][-1].append([])
        elif tag in ("td", "th"):
            self.tables[self.heading][-1][-1].append("")
        elif tag == "article":
            self.cards.setdefault(self.heading, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if {"h1", "h2", "h3"} & set(self.open):
            self.heading += data
        if {"td", "th"} & set(self.open):
            self.tables[self.heading][-1][-1][-1] += data
        if "article" in self.open:
            self.cards[self.heading][-1] += data

    def table(self, heading: str, number: int = 0) -> list[list[str]]:
        """Rows of a table below a heading, without its header."""
        return self.tables[heading][number][1:]


def stands_alone(text: str) -> bool:
    """Whether a page needs nothing from elsewhere; links to files beside it may be followed."""
    links = Page.of(text).links
    return not any(":" in link or link.startswith("//") for link in links) and not any(
        each in text for each in ("@import", "url(http", "<link", "<img")
    )
