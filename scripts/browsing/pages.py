"""What the pages of TensorBoard, and those that seqtrain writes, show in a browser."""

import json
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from browsing.chromium import WIDTH, Browser

TEXT = """(() => {
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
  walk(document.body);
  return parts.filter(part => part).join("\\n");
})()"""
"""The visible text of a page, within web components too, a line for each piece."""
CLICK = """(text => {
  const walk = root => {
    for (const element of root.querySelectorAll("*")) {
      if (element.nodeName === "PAPER-TAB" && element.textContent.trim().toLowerCase() === text) return element;
      const within = element.shadowRoot && walk(element.shadowRoot);
      if (within) return within;
    }
  };
  const found = walk(document);
  if (found) found.click();
  return Boolean(found);
})"""
"""Function that clicks the tab with a text, and says whether there is one."""
NARROW = 390
"""Width of a telephone in pixels."""


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

    def look(self, name: str, order: Sequence[str]) -> None:
        """Check that the open page comes to show texts in this order, without errors, and take its screenshot."""
        lines = json.dumps(list(order))
        ordered = (
            f"(lines => {lines}.every((wanted, i, all) => lines.indexOf(wanted) > (i ? lines.indexOf(all[i-1]) : -1)))"
        )
        shown = self.browser.becomes(f"{ordered}({TEXT}.split('\\n'))")
        if not shown:
            text = str(self.browser.evaluate(TEXT))
            missing = [line for line in order if line not in text.split("\n")]
            self.check(name, False, f"does not show {missing or f'in this order: {list(order)}'}")
        for error in self.browser.errors():
            self.check(name, False, error)
        self.take(name)
        print(f"{name}: {'shows' if shown else 'does not show'} {', '.join(order)}", flush=True)

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

    def hparams(self, address: str, order: Sequence[str], name: str) -> None:
        """Check that the three views of the HParams page show columns in this order."""
        for view in ("table view", "parallel coordinates view", "scatter plot matrix view"):
            self.browser.open(f"{address}#hparams", 1100)
            found = self.browser.becomes(f"{CLICK}({json.dumps(view)})")
            self.check(name, found, f"has no {view}")
            self.look(f"{name}-{view.partition(' ')[0]}", order)

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
