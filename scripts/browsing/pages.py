"""What the pages of TensorBoard, and those that seqtrain writes, show in a browser."""

import json
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from browsing.chromium import WIDTH, Browser

FIND = """
const find = (root, holds) => {
  for (const element of root.querySelectorAll("*")) {
    if (holds(element)) return element;
    const within = element.shadowRoot && find(element.shadowRoot, holds);
    if (within) return within;
  }
};"""
"""JavaScript function: the first element for which something holds, within web components too."""
TEXT = (
    "(selector => {"
    + FIND
    + """
  const parts = [];
  const walk = node => {
    if (node.nodeType === Node.TEXT_NODE) parts.push(node.data.trim());
    if (node.nodeType === Node.ELEMENT_NODE) {
      if (["STYLE", "SCRIPT"].includes(node.nodeName)) return;
      if (!node.getClientRects().length && getComputedStyle(node).display !== "contents") return;
      if (node.shadowRoot) node.shadowRoot.childNodes.forEach(walk);
      node.childNodes.forEach(walk);
    }
  };
  const root = find(document, element => element.matches(selector));
  if (root) walk(root);
  return parts.join("");
})"""
)
"""Function: the visible text of an element, without blanks between its parts."""
ORDERED = """((text, wanted) => {
  let place = 0;
  for (const each of wanted) {
    place = text.indexOf(each, place);
    if (place < 0) return each;
    place += each.length;
  }
  return "";
})"""
"""Function: the first of some texts that another one does not contain after those before it; empty if none."""
CLICK = f"""(text => {{{FIND}
  const found = find(document, each => each.nodeName === "PAPER-TAB" && each.textContent.trim().toLowerCase() === text);
  if (found) found.click();
  return Boolean(found);
}})"""
"""Function that clicks the tab with a text, and says whether there is one."""
VIEWS = {
    "table view": "tf-hparams-table-view",
    "parallel coordinates view": "tf-hparams-parallel-coords-view",
    "scatter plot matrix view": "tf-hparams-scatter-plot-matrix-view",
}
"""Elements of the HParams page by the texts of their tabs."""
LINES = f"""(() => {{{FIND}
  const plot = find(document, each => each.nodeName === "TF-HPARAMS-PARALLEL-COORDS-PLOT");
  return plot ? (plot.shadowRoot || plot).querySelectorAll("g.foreground path").length : 0;
}})()"""
"""Number of runs that have a line in the parallel coordinates."""
NARROW = 390
"""Width of a telephone in pixels."""
SETTLE = 3
"""Seconds in which charts are drawn once a page shows their names."""


class Pages:
    """Opens pages one after the other, and collects what is wrong.

    Args:
        browser: the browser.
        out: folder of the screenshots; None takes none.
    """

    def __init__(self, browser: Browser, out: Path | None):
        self.browser, self.out = browser, out
        self.wrong: list[str] = []

    def check(self, name: str, holds: bool, what: str) -> None:
        """Note what is wrong with a page, unless it holds."""
        if not holds:
            self.wrong.append(f"{name}: {what}")

    def look(self, name: str, order: Sequence[str], within: str = "body") -> None:
        """Check that the open page comes to show texts in this order, without errors, and take its screenshot.

        Args:
            name: what the page is called.
            order: the texts.
            within: selector of the element that shows them.
        """
        missing = f"{ORDERED}({TEXT}({json.dumps(within)}), {json.dumps(list(order))})"
        if shown := self.browser.becomes(f"{missing} === ''"):
            time.sleep(SETTLE)
        self.check(
            name, shown, f"does not show {self.browser.evaluate(missing)!r}, or not in this order: {list(order)}"
        )
        for error in self.browser.errors():
            self.check(name, False, error)
        self.take(name)
        print(f"{name}: {'shows' if shown else 'DOES NOT SHOW'} {', '.join(order)}", flush=True)

    def take(self, name: str) -> None:
        """Take a screenshot."""
        if self.out is not None:
            self.browser.picture().save(self.out / f"{name}.png")

    def dashboard(self, address: str, page: str, order: Sequence[str]) -> None:
        """Open a page of TensorBoard, and check what it shows and that it asks no other host."""
        self.browser.open(f"{address}#{page}", 1100)
        self.look(page, order)
        others = self.browser.hosts() - {urlsplit(address).netloc}
        self.check(page, not others, f"asks other hosts: {sorted(others)}")

    def hparams(self, address: str, order: Sequence[str], name: str, runs: int) -> None:
        """Check that the three views of the HParams page show columns in this order, and so many runs."""
        for view, element in VIEWS.items():
            self.browser.open(f"{address}#hparams", 1100)
            found = self.browser.becomes(f"{CLICK}({json.dumps(view)})")
            self.check(name, found, f"has no {view}")
            if view == "parallel coordinates view":
                self.check(name, self.browser.becomes(f"{LINES} === {runs}"), f"{runs} runs should have a line")
            self.look(f"{name}-{view.partition(' ')[0]}", order, element)

    def descriptions(self, address: str) -> None:
        """Check that every tag of scalars and images has a description."""
        with urllib.request.urlopen(f"{address}data/plugin/timeseries/tags") as answer:
            tags = json.load(answer)
        for kind in ("scalars", "images"):
            found = tags[kind].get("runTagInfo") or tags[kind].get("tagRunSampledInfo")
            names = set(found) if kind == "images" else {tag for run in found.values() for tag in run}
            lacking = sorted(names - tags[kind]["tagDescriptions"].keys())
            self.check(kind, not lacking, f"without a description: {lacking}")
            print(f"{kind}: {len(names)} tags, {len(names) - len(lacking)} described", flush=True)

    def document(self, path: Path, order: Sequence[str]) -> None:
        """Check a page that seqtrain wrote: nothing from elsewhere, and no wider than the window."""
        for width in (WIDTH, NARROW):
            name = f"{path.stem}-{width}"
            self.browser.open(path.resolve().as_uri(), 1100, width)
            self.look(name, order)
            hosts = self.browser.hosts()
            self.check(name, not hosts, f"asks hosts: {sorted(hosts)}")
            wide = self.browser.evaluate("document.scrollingElement.scrollWidth")
            self.check(name, wide <= width, f"is {wide} pixels wide")
