"""The charts of a run, as SVG written by hand: one card each, legible on a light and on a dark page.

A card has a ground of its own, so that it can be read whatever it is put on; where the reader's system is dark, ground
and ink change places. Bars (points, where the axis is logarithmic) show medians, whiskers the lowest and the highest
round, dashed lines the targets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape
from typing import Any, NamedTuple

from harness import number

WIDTH, LEFT, RIGHT, TOP, ROW, GAP = 760, 250, 96, 58, 18, 14
_STYLE = """\
<style>
.ground{fill:#ffffff;stroke:#d0d7de}.ink{fill:#1f2328}.soft{fill:#59636e}.a{fill:#2f6fb0}.b{fill:#c0782c}
.line{stroke:#8c959f}.target{stroke:#b3261e;stroke-dasharray:5 4}.targetword{fill:#b3261e}
.whisker{stroke:#1f2328}.plot{fill:none;stroke-width:2}.pa{stroke:#2f6fb0}.pb{stroke:#c0782c}
@media (prefers-color-scheme:dark){
.ground{fill:#161b22;stroke:#3d444d}.ink{fill:#e6edf3}.soft{fill:#9198a1}.a{fill:#6cabea}.b{fill:#e0a15a}
.line{stroke:#656c76}.target{stroke:#ff8a80}.targetword{fill:#ff8a80}.whisker{stroke:#e6edf3}
.pa{stroke:#6cabea}.pb{stroke:#e0a15a}}
text{font:12px system-ui,-apple-system,"Segoe UI",sans-serif}.title{font-size:15px;font-weight:600}
</style>"""


class Bar(NamedTuple):
    """One bar: its words, its figure, and whether it belongs to the first or the second kind."""

    words: str
    figure: dict[str, Any]
    second: bool = False


def draw(results: dict[str, Any]) -> dict[str, str]:
    """Return the charts by file name; a chart without figures is left out."""
    by_id = {item["id"]: item for item in results["figures"]}
    found: dict[str, str] = {}

    def add(name: str, title: str, under: str, bars: list[list[tuple[str, str, bool]]], *, log: bool = False) -> None:
        groups = [[Bar(words, by_id[key], second) for words, key, second in group if key in by_id] for group in bars]
        groups = [group for group in groups if group]
        if groups:
            found[name] = _bars(title, under, groups, log=log)

    add(
        "evaluate.svg",
        "One decision, by the number of rules loaded",
        "µs, median; up to 25 rules about the tool, all looked at before it is permitted",
        [
            [
                (f"{count:,} rules: {way.upper()}", f"evaluate.{way}.{count}", way != "allow")
                for way in ("allow", "modify")
            ]
            for count in (10, 100, 1000)
        ],
    )
    callers = (("one", "1 caller"), ("threads", "16 threads"), ("tasks", "16 tasks"))
    for part, title, under in (
        ("cpu", "CPU per governed action", "µs of the whole process, one core, 100 rules, two signed receipts"),
        (
            "rate",
            "Governed actions per second",
            "one core, 100 rules, two signed receipts; in memory nothing is durable",
        ),
    ):
        add(
            f"loop-{part}.svg",
            title,
            under,
            [
                [
                    (
                        f"{words}, {'on disk' if kind == 'disk' else 'in memory'}",
                        f"loop.{kind}.core.{key}.{part}",
                        kind != "disk",
                    )
                    for kind in ("disk", "shm")
                ]
                for key, words in callers
            ],
        )
    lengths = [
        [by_id.get(f"loop.length.{kind}.{key}.cpu") for key in ("start", "middle", "long")] for kind in ("disk", "shm")
    ]
    if all(item for series in lengths for item in series):
        found["loop-length.svg"] = _lines(
            "CPU per action, by the length of the session", "µs, 1 caller; actions already in the session", lengths
        )
    add(
        "peer-evaluate.svg",
        "`evaluate` beside Agent Governance Toolkit 4.1.0",
        "µs, median, logarithmic; the same rules, up to 25 about the tool",
        [
            [
                (f"{count:,} rules: {word}", f"peer.evaluate.{count}.{key}", key == "agt")
                for key, word in (("navicert", "navicert"), ("agt", "AGT"))
            ]
            for count in (10, 100, 1000)
        ],
        log=True,
    )
    add(
        "peer-call.svg",
        "Governed call beside Agent Governance Toolkit 4.1.0",
        "µs, median, logarithmic; navicert: two signed receipts on disk; AGT: entry in memory",
        [
            [
                (f"{count:,} rules: {word}", f"peer.call.{count}.{key}", key == "agt")
                for key, word in (("navicert", "navicert"), ("agt", "AGT"))
            ]
            for count in (10, 100, 1000)
        ],
        log=True,
    )
    return found


def _bars(title: str, under: str, groups: list[list[Bar]], *, log: bool) -> str:
    flat = [bar.figure for group in groups for bar in group]
    bounds = {item["target"]["bound"] for item in flat if item["target"]}
    top = max([item["max"] for item in flat] + list(bounds)) * (1.6 if log else 1.05)
    low = min(item["min"] for item in flat) / 2 if log else 0.0
    at = _scale(low, top, log=log)
    height = TOP + sum(len(group) * ROW + GAP for group in groups) + 16
    parts = _card(title, under, height)
    y = TOP
    for group in groups:
        for bar in group:
            item = bar.figure
            middle = y + ROW / 2
            end = at(item["median"])
            parts.append(
                f'<text class="ink" x="{LEFT - 10}" y="{middle + 4:.1f}" text-anchor="end">{escape(bar.words)}</text>'
            )
            kind = "b" if bar.second else "a"
            if log:  # the length of a bar would say nothing on this axis
                parts.append(f'<path class="line" d="M{LEFT} {middle:.1f}H{end:.1f}" stroke-dasharray="1 4"/>')
                parts.append(f'<circle class="{kind}" cx="{end:.1f}" cy="{middle:.1f}" r="5"/>')
            else:
                length = max(1.0, end - LEFT)
                parts.append(
                    f'<rect class="{kind}" x="{LEFT}" y="{y + 2}" width="{length:.1f}" height="{ROW - 4}" rx="2"/>'
                )
            first, last = at(item["min"]), at(item["max"])
            if item["rounds"] > 1:
                ends = "".join(f"M{x:.1f} {middle - 3:.1f}v6" for x in (first, last))
                parts.append(f'<path class="whisker" d="M{first:.1f} {middle:.1f}H{last:.1f}{ends}"/>')
            parts.append(
                f'<text class="soft" x="{max(end, last) + 6:.1f}" y="{middle + 4:.1f}">{number(item["median"])}</text>'
            )
            y += ROW
        y += GAP
    for bound in sorted(bounds):
        x = at(bound)
        parts.append(f'<path class="target" d="M{x:.1f} {TOP - 4}V{height - 22}"/>')
        parts.append(
            f'<text class="targetword" x="{x:.1f}" y="{height - 8}" text-anchor="middle">target {bound:,g}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _lines(title: str, under: str, series: list[list[Any]]) -> str:
    height, bottom = 260, 210
    top = max(item["max"] for points in series for item in points) * 1.1
    places = [140, 380, 620]

    def at(value: float) -> float:
        return bottom - (bottom - TOP) * value / top

    parts = [*_card(title, under, height), f'<path class="line" d="M90 {bottom}H680"/>']
    for item, x in zip(series[0], places, strict=True):
        length = item["title"].partition("after ")[2].partition(" ")[0]
        parts.append(f'<text class="soft" x="{x}" y="{bottom + 18}" text-anchor="middle">{length}</text>')
    for kind, points, other, name in zip("ab", series, series[::-1], ("on disk", "in memory"), strict=True):
        path = "L".join(f"{x} {at(item['median']):.1f}" for x, item in zip(places, points, strict=True))
        parts.append(f'<path class="plot p{kind}" d="M{path}"/>')
        for item, rival, x in zip(points, other, places, strict=True):
            y = at(item["median"])
            above = item["median"] > rival["median"] or (item["median"] == rival["median"] and kind == "a")
            parts.append(f'<path class="whisker" d="M{x} {at(item["min"]):.1f}V{at(item["max"]):.1f}"/>')
            parts.append(f'<circle class="{kind}" cx="{x}" cy="{y:.1f}" r="4"/>')
            words = number(item["median"])
            parts.append(f'<text class="soft" x="{x + 8}" y="{y + (-9 if above else 18):.1f}">{words}</text>')
        x = 90 + 170 * "ab".index(kind)
        parts.append(f'<rect class="{kind}" x="{x}" y="{height - 20}" width="10" height="10"/>')
        parts.append(f'<text class="soft" x="{x + 16}" y="{height - 11}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _card(title: str, under: str, height: int) -> list[str]:
    plain = title.replace("`", "")
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img"',
        f' aria-label="{escape(plain)}">',
        _STYLE,
        f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        f'<text class="ink title" x="20" y="28">{escape(plain)}</text>',
        f'<text class="soft" x="20" y="46">{escape(under)}</text>',
    ]


def _scale(low: float, top: float, *, log: bool) -> Callable[[float], float]:
    span = WIDTH - LEFT - RIGHT
    if not log:
        return lambda value: LEFT + span * value / top
    first, last = math.log10(low), math.log10(top)
    return lambda value: LEFT + span * (math.log10(max(value, low)) - first) / (last - first)
