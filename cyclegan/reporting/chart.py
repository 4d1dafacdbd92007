"""Curves as SVG text: readable ticks, bands, levels, a mark; colours come from the page, by class."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby, pairwise

WIDTH, HEIGHT = 480, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 18, 12, 38  # what is left for labels
BINS = 160  # more points than this are averaged
Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """Hold a curve: points (x, y) with x rising, half-widths of a band around them; `tone` chooses the colour.

    What is no number is a gap. `dots` marks every point, which then tells its value under the pointer.
    """

    name: str
    points: Sequence[Point]
    band: Sequence[float] = ()
    tone: int = 0
    dots: bool = False
    faint: bool = False  # behind the others, and not in the legend


@dataclass(frozen=True)
class Level:
    """Hold a value to compare with, drawn as a dashed line from side to side."""

    name: str
    value: float
    tone: int = 0


@dataclass(frozen=True)
class Mark:
    """Hold a place on the x axis worth a line and a word."""

    x: float
    label: str


@dataclass(frozen=True)
class Chart:
    """Hold curves that share their axes; `unit` says what the y axis counts, `x_end` where the x axis ends at least."""

    title: str
    unit: str
    series: Sequence[Series]
    levels: Sequence[Level] = ()
    mark: Mark | None = None
    x_name: str = "pictures seen"
    x_end: float = 0
    note: str = ""

    @property
    def svg(self) -> str:
        """The chart as an SVG element whose texts are escaped."""
        return "".join(_draw(self))

    @property
    def legend(self) -> list[Series]:
        """The curves that need a name beside them."""
        named = [series for series in self.series if not series.faint]
        return named if len(named) > 1 or self.levels else []

    @property
    def told(self) -> str:
        """What is read out in the chart's place: its title and where every curve begins and ends."""
        ends = {s.name: [y for _, y in s.points if math.isfinite(y)] for s in self.series if not s.faint}
        told = [f"{name} from {known[0]:.4g} to {known[-1]:.4g}" for name, known in ends.items() if known]
        return ": ".join([self.title, *([", ".join(told)] if told else [])])

    @property
    def drawn(self) -> bool:
        """Whether there is any number to draw."""
        return any(math.isfinite(y) for series in self.series for _, y in series.points)


class _Axes:
    """Turns values into places on the paper."""

    def __init__(self, chart: Chart) -> None:
        each, levels = [_extremes(s) for s in chart.series], [v.value for v in chart.levels if math.isfinite(v.value)]
        self.peak = max((y for values in each for y in values), default=0.0)
        low = min([0.0, *levels, *(y for values in each for y in values)])
        self.y_ticks = ticks(low, max([low, *levels, *(_cap(values) for values in each if values)]))
        self.low, self.high = self.y_ticks[0], self.y_ticks[-1]
        ends = [s.points[-1][0] for s in chart.series if s.points]
        self.x_high = max([chart.x_end, *ends]) or 1.0
        self.x_ticks = [tick for tick in ticks(0.0, self.x_high, about=5) if tick <= self.x_high]

    def x(self, value: float) -> float:
        return LEFT + value / self.x_high * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - max(-0.5, min(1.5, share)) * (HEIGHT - TOP - BOTTOM)


def ticks(low: float, high: float, *, about: int = 4) -> list[float]:
    """Return round numbers (1, 2 or 5 times a power of ten apart) from at most `low` to at least `high`."""
    span = high - low if high - low > 1e-6 * abs(high) else abs(high) or 1.0
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(max(high, low + step / 2) / step - 1e-9)
    digits = 3 - math.floor(math.log10(step))  # as many as tell them apart, whatever their size
    return [round(i * step, digits) for i in range(first, last + 1)]


def tick_texts(values: Sequence[float]) -> list[str]:
    """Return ticks as texts of one kind: thousands as 20k, and as many decimals as tell them apart."""
    top = max(map(abs, values))
    unit, letter = next(((u, t) for u, t in ((1e6, "M"), (1e3, "k")) if top >= 10 * u), (1.0, ""))
    step = min((b - a for a, b in pairwise(values)), default=1.0) / unit
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step < 1 else 0
    return [f"{v / unit:,.{decimals}f}{letter if v else ''}".replace("-", "−") for v in values]


def _extremes(series: Series) -> list[float]:
    points = _thinned(series.points)
    widths = series.band if len(series.band) == len(points) else [0.0] * len(points)
    known = [(y, width if math.isfinite(width) else 0.0) for (_, y), width in zip(points, widths, strict=True)]
    return [edge for y, width in known if math.isfinite(y) for edge in (y - width, y + width)]


def _cap(values: Sequence[float]) -> float:
    """Return where the axis may end for a curve: a few wild values (a first look at noise) must not flatten it."""
    ordered = sorted(values)
    most = ordered[max(0, min(len(ordered) - 3, int(0.97 * len(ordered))))]
    return 1.3 * most if 0 < 3 * most < ordered[-1] else ordered[-1]


def _thinned(points: Sequence[Point]) -> list[Point]:
    """Return at most BINS points: means of neighbours; a bin without any number is a gap."""
    if len(points) <= BINS:
        return list(points)
    size = len(points) / BINS
    bins = (points[round(i * size) : round((i + 1) * size)] for i in range(BINS))
    return [(sum(x for x, _ in b) / len(b), _mean([y for _, y in b if math.isfinite(y)])) for b in bins if b]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _draw(chart: Chart) -> Iterator[str]:
    axes = _Axes(chart)
    yield f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.told)}">'
    yield from _grid(axes, chart.x_name)
    frame = f'x="{LEFT}" y="{TOP - 6}" width="{WIDTH - LEFT - RIGHT + 6}" height="{HEIGHT - TOP - BOTTOM + 12}"'
    yield f'<svg {frame} viewBox="{frame_box()}">'  # an inner window clips without an id
    if chart.mark:
        x = axes.x(chart.mark.x)
        yield f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
    for level in chart.levels:
        if math.isfinite(level.value):
            y = axes.y(level.value)
            yield f'<line class="level t{level.tone}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    for series in chart.series:
        yield from _curve(series, axes)
    yield "</svg>"
    yield from _words(chart, axes)
    yield "</svg>"


def frame_box() -> str:
    """Return the part of the paper where curves are drawn, as a viewBox."""
    return f"{LEFT} {TOP - 6} {WIDTH - LEFT - RIGHT + 6} {HEIGHT - TOP - BOTTOM + 12}"


def _grid(axes: _Axes, x_name: str) -> Iterator[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for value, text in zip(axes.y_ticks, tick_texts(axes.y_ticks), strict=True):
        y = axes.y(value)
        kind = "axis" if value == 0 or value == axes.low else "grid"
        yield f'<line class="{kind}" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 7}" y="{y + 3.5:.1f}" text-anchor="end">{text}</text>'
    for value, text in zip(axes.x_ticks, tick_texts(axes.x_ticks), strict=True):
        x = axes.x(value)
        yield f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>'
        x = min(x, WIDTH - 4.5 * len(text))  # about half of the text's width, also where the window is narrow
        yield f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{text}</text>'
    yield f'<text class="name" x="{right}" y="{HEIGHT - 5}" text-anchor="end">{escape(x_name)}</text>'


def _curve(series: Series, axes: _Axes) -> Iterator[str]:
    points = _thinned(series.points)
    tone = f"t{series.tone}"
    if series.band:
        yield from _band(series, axes)
    runs = [list(run) for known, run in groupby(points, key=lambda p: math.isfinite(p[1])) if known]
    path = "".join("M" + "L".join(f"{axes.x(x):.1f} {axes.y(y):.1f}" for x, y in run) for run in runs)
    if path:
        yield f'<path class="curve {tone}{" faint" if series.faint else ""}" d="{path}"/>'
    lonely = [run[0] for run in runs if len(run) == 1]
    for x, y in [p for p in points if math.isfinite(p[1])] if series.dots and len(points) <= 60 else lonely:
        tip = escape(f"{series.name}: {y:.4g} at {x:,.0f}")
        yield f'<circle class="{tone}" cx="{axes.x(x):.1f}" cy="{axes.y(y):.1f}" r="2.6"><title>{tip}</title></circle>'


def _band(series: Series, axes: _Axes) -> Iterator[str]:
    edges = [
        (x, y, w) for (x, y), w in zip(series.points, series.band, strict=True) if math.isfinite(y) and math.isfinite(w)
    ]
    if len(edges) > 1:
        corners = [(x, y + w) for x, y, w in edges] + [(x, y - w) for x, y, w in reversed(edges)]
        text = " ".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y in corners)
        yield f'<polygon class="band t{series.tone}" points="{text}"/>'


def _words(chart: Chart, axes: _Axes) -> Iterator[str]:
    """Write what stands on the curves: the mark's word, and a value that is off the top."""
    if chart.mark:
        x = axes.x(chart.mark.x)
        anchor, shift = ("end", -5) if x > WIDTH / 2 else ("start", 5)
        text = escape(chart.mark.label)
        yield f'<text class="word" x="{x + shift:.1f}" y="{TOP + 9}" text-anchor="{anchor}">{text}</text>'
    if axes.peak > axes.high:
        yield f'<text class="word" x="{LEFT + 12}" y="{TOP + 9}">↑ {axes.peak:,.4g}</text>'
