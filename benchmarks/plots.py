"""Lines over the number of pages, as SVG, both axes logarithmic."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from math import ceil, floor, log10
from statistics import median

from .results import UNITS, Result

__all__ = ["plot"]

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 60, 250, 20, 45  # margins
COLORS = ("#0b6e99", "#d9730d", "#0f7b6c", "#ad1a72", "#6940a5", "#dfab01", "#e03e3e", "#64473a", "#9b9a97")

Line = list[tuple[float, float]]


def lines(results: Iterable[Result], measure: str) -> dict[str, Line]:
    """The medians of *measure* in memory by driver, over the number that the case begins with."""
    found: dict[str, Line] = {}
    for one in results:
        size = re.match(r"[\d,]+", one.case)
        if size and one.store == "memory" and one.samples.get(measure):
            at = float(size[0].replace(",", "")), median(one.samples[measure])
            found.setdefault(one.driver, []).append(at)
    return {driver: sorted(line) for driver, line in found.items()}


def decades(values: Iterable[float]) -> range:
    """The powers of ten around *values*."""
    logs = [log10(value) for value in values]
    return range(floor(min(logs)), max(ceil(max(logs)), floor(min(logs)) + 1) + 1)


def plot(results: Iterable[Result], measure: str) -> str:
    """Return the SVG; empty if there are not two sizes."""
    series = {driver: [at for at in line if min(at) > 0] for driver, line in lines(results, measure).items()}
    points = [at for line in series.values() for at in line]
    if len({x for x, _ in points}) < 2:
        return ""
    xs, ys = decades(x for x, _ in points), decades(y for _, y in points)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (log10(x) - xs[0]) / (xs[-1] - xs[0])
        up = (log10(y) - ys[0]) / (ys[-1] - ys[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for power in xs:
        x, _ = place(10.0**power, 10.0 ** ys[0])
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{10**power:,}</text>'
        )
    for power in ys:
        _, y = place(10.0 ** xs[0], 10.0**power)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for number, (driver, line) in enumerate(series.items()):
        color = COLORS[number % len(COLORS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*at) for at in line))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        y = TOP + 14 + 18 * number
        parts.append(f'<rect x="{WIDTH - RIGHT + 14}" y="{y - 9}" width="10" height="10" fill="{color}"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 30}" y="{y}">{escape(driver)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">pages</text>')
    parts.append(f'<text x="{LEFT}" y="14">{escape(UNITS[measure])}</text>')
    return "\n".join([*parts, "</svg>\n"])
