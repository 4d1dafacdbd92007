"""Many files through one translator: damaged ones are named and never stop the rest."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cyclegan.errors import InputError
from cyclegan.files import Job
from cyclegan.media.image import Picture, read_picture, write_picture
from cyclegan.translation.translator import Translator

AHEAD = 4  # pictures read while the network works


@dataclass
class Summary:
    """What became of every file: targets written, and (source, reason) of what failed."""

    done: list[Path] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    seconds: float = 0.0

    def encode(self) -> dict[str, Any]:
        """Return the summary as plain values."""
        failed = [{"path": str(path), "reason": reason} for path, reason in self.failed]
        return {"done": [str(p) for p in self.done], "failed": failed, "seconds": round(self.seconds, 3)}


def translate_files(
    translator: Translator,
    jobs: Sequence[Job],
    *,
    batch: int = 8,
    quality: int = 95,
    tell: Callable[[str], None] = lambda _: None,
    count: Callable[[int, int], None] = lambda done, total: None,
) -> Summary:
    """Translate every job's source into its target, reading ahead; damaged files are listed in the summary.

    `tell` gets a line for whatever is notable, `count` how many of how many are dealt with. Raises OSError when a
    target cannot be written.
    """
    summary, start = Summary(), time.monotonic()
    reading: list[tuple[Job, Picture]] = []  # given to the network, not back yet

    def pixels() -> Iterator[Any]:
        for job, picture in _read_ahead(jobs, summary, tell):
            reading.append((job, picture))
            yield picture.pixels

    for translated in translator.stream(pixels(), batch=batch):
        job, picture = reading.pop(0)
        write_picture(job.target, translated, alpha=picture.alpha, quality=quality)
        summary.done.append(job.target)
        count(len(summary.done) + len(summary.failed), len(jobs))
        for note in picture.notes:
            tell(f"note: {job.source}: {note}")
    summary.seconds = time.monotonic() - start
    return summary


def _read_ahead(jobs: Sequence[Job], summary: Summary, tell: Callable[[str], None]) -> Iterator[tuple[Job, Picture]]:
    """Yield jobs with their pictures, in order, a few of them read while others are translated."""
    with ThreadPoolExecutor(1) as pool:
        waiting = [(job, pool.submit(read_picture, job.source)) for job in jobs[:AHEAD]]
        for position in range(len(jobs)):
            job, future = waiting.pop(0)
            if position + AHEAD < len(jobs):
                later = jobs[position + AHEAD]
                waiting.append((later, pool.submit(read_picture, later.source)))
            try:
                yield job, future.result()
            except InputError as error:
                summary.failed.append((job.source, error.what))
                tell(f"failed: {error.what}")
