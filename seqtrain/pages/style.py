"""Style sheet and script of every page."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --soft: #5c5c5c; --line: #d8d8d8; --page: #ffffff; --tint: #f4f4f2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e4e2; --soft: #a2a2a0; --line: #3d3d3d; --page: #161616; --tint: #212121; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 1.5rem 1rem 4rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: 2rem 0 .4rem; }
p { max-width: 80ch; overflow-wrap: anywhere; }
ul { padding-left: 1.2rem; }
.soft, figcaption { color: var(--soft); font-size: .9rem; }
.warning { border-left: 4px solid #d97a07; background: var(--tint); padding: .5rem .8rem; margin: .6rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .95rem; }
th, td { padding: .3rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 600; vertical-align: bottom; white-space: normal; }
th.text, td.text { text-align: left; }
td.text { white-space: normal; min-width: 8rem; }
th button { all: unset; cursor: pointer; }
th button:focus-visible { outline: 2px solid currentColor; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
tbody tr:hover { background: var(--tint); }
tr.baseline td { color: var(--soft); font-style: italic; }
.badge { display: inline-block; min-width: 1.5em; padding: 0 .3em; margin-right: .5em; border-radius: 1em; color: #fff;
  font-size: .8rem; font-weight: 700; text-align: center; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.5rem 2rem;
  margin: 1.5rem 0; }
figure { margin: 0; min-width: 0; }
figure svg { width: 100%; height: auto; max-width: 36rem; display: block; }
svg text { fill: currentColor; font-family: inherit !important; }
details { margin: .8rem 0; }
summary { cursor: pointer; }
a { color: inherit; overflow-wrap: anywhere; }
pre { margin: .4rem 0; padding: .5rem .8rem; background: var(--tint); font-size: .85rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
.bar { display: inline-block; width: 4.5rem; height: .7em; border-radius: 2px;
  background: linear-gradient(to right, #4269d0 var(--share), var(--line) var(--share)); }
.card { border: 1px solid var(--line); border-radius: 6px; padding: .5rem .9rem; margin: .7rem 0; }
.card p { margin: .2rem 0; max-width: none; overflow-wrap: anywhere; }
.unknown { border-bottom: 2px dotted currentColor; }
.unread { color: var(--soft); opacity: .7; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 16rem), 1fr)); gap: .2rem 1.5rem; }
.alignment { font-size: .8rem; }
.alignment th, .alignment td { padding: .1rem .3rem; border: 0; white-space: nowrap; }
.alignment td { min-width: 1.4rem; border: 1px solid var(--line); }
.alignment thead span { writing-mode: vertical-rl; transform: rotate(180deg); font-weight: 400; }
.alignment tbody th { font-weight: 400; }
.heat { white-space: pre-wrap; font-size: .95rem; }
.excerpt { white-space: normal; min-width: 16rem; max-width: 34rem; overflow-wrap: anywhere; font-size: .9rem; }
@media (max-width: 600px) {
  th, td { padding: .25rem .4rem; font-size: .85rem; }
  td.text { min-width: 6.5rem; }
  .bar { width: 3rem; }
}
.matrix { font-size: .8rem; }
.matrix th, .matrix td { padding: .15rem .4rem; }
"""

SCRIPT = """
const key = (row, column) => {
  const text = row.cells[column].dataset.value;
  return text === "" || isNaN(text) ? text : +text;
};
const order = (x, y) => typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("th button").forEach((button) => button.addEventListener("click", () => {
    const head = button.parentElement, column = head.cellIndex, body = table.tBodies[0];
    const ascending = head.getAttribute("aria-sort") !== "ascending";
    const rows = [...body.rows].sort((a, b) => {
      const x = key(a, column), y = key(b, column);
      if (x === "" || y === "") return (x === "") - (y === "");
      return order(x, y) * (ascending ? 1 : -1);
    });
    table.querySelectorAll("th").forEach((th) => th.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    body.append(...rows);
  }));
}
"""
