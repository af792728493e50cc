"""The charts of `calibrate`: how far sessions went, as a histogram of words and as one SVG card.

The card has a ground of its own, and can be read on a light and on a dark page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from navicert.intent.calibration import Path

BINS: Final = 10
DRAWN: Final = 400
"""So many sessions are drawn at most of each kind: the newest."""
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 760, 360, 60, 20, 64, 46
_STYLE: Final = """\
<style>
.ground{fill:#ffffff;stroke:#d0d7de}.ink{fill:#1f2328}.soft{fill:#59636e}.line{stroke:#8c959f}
.good{stroke:#2f6fb0}.bad{stroke:#c0782c}.path{fill:none;stroke-width:1.4;stroke-opacity:.55}
.limit{stroke:#b3261e;stroke-dasharray:5 4}.limitword{fill:#b3261e}
@media (prefers-color-scheme:dark){
.ground{fill:#161b22;stroke:#3d444d}.ink{fill:#e6edf3}.soft{fill:#9198a1}.line{stroke:#656c76}
.good{stroke:#6cabea}.bad{stroke:#e0a15a}.limit{stroke:#ff8a80}.limitword{fill:#ff8a80}}
text{font:12px system-ui,-apple-system,"Segoe UI",sans-serif}.title{font-size:15px;font-weight:600}
</style>"""


def histogram(paths: Sequence[Path], limit: int, width: int) -> list[str]:
    """Return lines of text: sessions by the highest sum that they reached; the bin that begins at the limit says so."""
    peaks = [(max(each.sums), each.good) for each in paths]
    grain = max(limit // (BINS // 2), 1)
    last = min(max(limit, *(peak for peak, _ in peaks)) // grain, BINS)
    most = max(sum(min(peak // grain, BINS) == place for peak, _ in peaks) for place in range(last + 1))
    lines = []
    for place in range(last + 1):
        here = [good for peak, good in peaks if min(peak // grain, BINS) == place]
        good, bad = sum(here), len(here) - sum(here)
        scale = max(most, width) / width
        bar = "█" * round(good / scale) + "▒" * round(bad / scale)
        mark = "  <- limit" if place == BINS // 2 else ""
        more = "+" if place == BINS else " "
        lines.append(f"{place * grain / 1e6:7.2f}{more} {bar}{' ' if bar else ''}{len(here) or ''}{mark}")
    return lines


def card(paths: Sequence[Path], limit: int, *, said: str) -> str:
    """Return an SVG: the cumulative sum of each session, action by action, and the limit. said: the line under it."""
    kept = [each for good in (True, False) for each in [item for item in paths if item.good is good][-DRAWN:]]
    longest = max(len(each.sums) for each in kept)
    top = max(limit * 5 // 4, *(max(each.sums) for each in kept))
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def at(place: int, value: int) -> str:
        return f"{_LEFT + wide * place / longest:.1f},{_TOP + high * (1 - value / top):.1f}"

    def text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
        return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{words}</text>'

    level = _TOP + high * (1 - limit / top)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img">',
        f"<title>Cumulative drift of {len(paths)} sessions</title>",
        _STYLE,
        f'<rect class="ground" x=".5" y=".5" width="{_WIDTH - 1}" height="{_HEIGHT - 1}" rx="6"/>',
        text(16, 26, "Cumulative drift, session by session", "ink title"),
        text(16, 44, said, "soft"),
    ]
    lines += (
        f'<polyline class="path {"good" if each.good else "bad"}" points="'
        + " ".join([at(0, 0), *(at(place, value) for place, value in enumerate(each.sums, 1))])
        + '"/>'
        for each in kept
    )
    lines += [
        f'<line class="line" x1="{_LEFT}" y1="{_TOP + high}" x2="{_WIDTH - _RIGHT}" y2="{_TOP + high}"/>',
        f'<line class="limit" x1="{_LEFT}" y1="{level:.1f}" x2="{_WIDTH - _RIGHT}" y2="{level:.1f}"/>',
        text(_WIDTH - _RIGHT, level - 5, f"limit {limit / 1e6:.2f}", "limitword", "end"),
        text(_LEFT - 8, _TOP + high + 4, "0", "soft", "end"),
        text(_LEFT - 8, _TOP + 4, f"{top / 1e6:.1f}", "soft", "end"),
        text(_LEFT, _HEIGHT - 24, "0", "soft"),
        text(_WIDTH - _RIGHT, _HEIGHT - 24, f"{longest} actions", "soft", "end"),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"
