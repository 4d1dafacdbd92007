"""Progress for people: a live display in a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from cyclegan.cli.edge import say
from cyclegan.media.folder import passed_over, told_passed_over
from cyclegan.reporting.log import Comparison
from cyclegan.reporting.words import against, aimed
from cyclegan.translation.progress import Progress

PLAIN_SECONDS = 5.0  # between lines where there is no terminal
NAMED = 3  # skipped steps of a line that are told one by one


class Display(Progress):
    """Shows how far things are: of a training share done, images/s, time left and losses; of a folder the count."""

    def __init__(self) -> None:
        self.live: Any = None
        self.task: Any = None
        self.start: tuple[float, float] | None = None  # (time, progress) of the first line, for the time left
        self.frames = 0  # written of the film that was shown last
        self.printed = time.monotonic()  # when the last plain line was; what is quick needs none

    def __enter__(self) -> "Display":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (TextColumn("{task.percentage:3.0f} %"), BarColumn(), TextColumn("{task.description}"))
            self.live = Progress(*columns, console=Console(stderr=True))
            self.live.start()
            self.task = self.live.add_task("starting", total=1.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.live.stop()

    def show(self, line: Mapping[str, Any]) -> None:
        """Show one line of the log."""
        if "losses" in line:
            self._progress(line)
        elif "looked" in line:
            self._update(line["looked"] / line["of"], f"looking through {line['looked']:,} of {line['of']:,} files")
        elif "learnt" in line:
            self._update(line["learnt"], "a closer look: learning what is usual")
        elif "note" in line:
            self.note(line["note"])
        elif "failed" not in line:  # the error is told at the end
            figures = line.get("measure") or line["untranslated"]
            distances = ", ".join(f"{aimed(name, found)} {1000 * found['kid']:.1f}" for name, found in figures.items())
            what = "sheet written; " if "measure" in line else "before translating: "
            than = f"; mean {against(Comparison(**line['compared']))}" if "compared" in line else ""
            self.note(f"{line['images']:,} images: {what}KID × 1000 {distances}{than}")
            for name, found in line.get("teacher", {}).items():
                self.note(f"  the teacher: KID × 1000 to {name} {1000 * found['kid']:.1f}")
            for alarm in line.get("alarms", ()):
                self.note(f"  {alarm}")

    def _progress(self, line: Mapping[str, Any]) -> None:
        now, progress = time.monotonic(), float(line["progress"])
        self.start = self.start or (now, progress)
        gained, spent = progress - self.start[1], now - self.start[0]
        left = f"{_clock(spent / gained * (1 - progress))} left" if gained > 0 else "…"
        losses = " ".join(f"{name} {value:.2f}" for name, value in line["losses"].items())
        self._update(progress, f"{line['images']:,} images, {line['images_per_second']:.1f}/s, {left}  {losses}")
        self._skipped(line.get("skipped", ()))

    def _skipped(self, steps: Sequence[Mapping[str, Any]]) -> None:
        for step in steps[:NAMED]:
            what = "step skipped, its loss or a gradient was NaN or infinite"
            self.note(f"{step['images']:,} images: {what}: {step['files']}")
        if len(steps) > NAMED:
            self.note(f"  and {len(steps) - NAMED} more; log.jsonl names them")

    def count(self, done: int, total: int) -> None:
        """Show that `done` of `total` pictures are dealt with."""
        self._update(done / total, f"{done:,} of {total:,}")

    def sound(self, seconds: float, *, of: float | None) -> None:
        """Show how much of a recording is converted."""
        self._update(min(seconds / of, 1) if of else 0, f"{_clock(seconds)}{f' of {_clock(of)}' if of else ''}")

    def film(self, frames: int, *, of: int | None, seconds: float | None) -> None:
        """Show how many frames of a film are written, how fast, and how that compares to watching it."""
        now = time.monotonic()
        if self.start is None or frames < self.frames:  # another film
            self.start = (now, frames)
        self.frames = frames
        speed = (frames - self.start[1]) / max(now - self.start[0], 1e-9)
        parts = [f"{frames:,}{f' of {of:,}' if of else ''} frames", f"{speed:.1f}/s"]
        if of and seconds:
            parts.append(f"{speed * seconds / of:.2g} × real time")
        if of and speed:
            parts.append(f"{_clock(max(of - frames, 0) / speed)} left")
        self._update(min(frames / of, 1) if of else 0, ", ".join(parts))

    def _update(self, progress: float, text: str) -> None:
        now = time.monotonic()
        if self.live:
            self.live.update(self.task, completed=progress, description=text)
        elif now - self.printed >= PLAIN_SECONDS:
            self.printed = now
            say(f"{100 * progress:3.0f} %  {text}")

    def passed_over(self, paths: Iterable[Path]) -> dict[str, int]:
        """Return how many files in folders cannot be read, by their suffix, and say so in a line."""
        passed = passed_over(path for path in paths if path.is_dir())
        if passed:
            self.note(told_passed_over(passed))
        return passed

    def note(self, text: str) -> None:
        """Show a line that stays."""
        if self.live:
            self.live.console.print(text, markup=False, highlight=False)
        else:
            say(text)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
