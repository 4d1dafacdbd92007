"""Many files through one translator: damaged ones are named and never stop the rest, finished ones are left alone."""

import contextlib
import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from cyclegan.curation.familiar import Judgement
from cyclegan.errors import InputError, OutOfMemory, StylError, UsageError, memory_for, shown
from cyclegan.files import Job, sweep_stale
from cyclegan.media.animation import Animation
from cyclegan.media.image import Picture
from cyclegan.media.kinds import is_film
from cyclegan.translation.ahead import ahead
from cyclegan.translation.film import beside
from cyclegan.translation.manifest import Manifest
from cyclegan.translation.onefile import Outcome, open_still, save
from cyclegan.translation.progress import Progress
from cyclegan.translation.settings import Settings
from cyclegan.translation.translator import PIXELS, Translator
from cyclegan.translation.unlike import unlike
from cyclegan.translation.voice import VoiceTranslator

AHEAD = 4  # pictures read while the network works

Applied = Translator | VoiceTranslator


@dataclass
class Summary:
    """What became of every file: targets written, sources (and reasons) of what failed or was cut short.

    `judged` says of sources how unusual they are among what was learnt from, where the weights know.
    """

    done: list[Path] = field(default_factory=list)
    finished: list[Path] = field(default_factory=list)  # by an earlier run, or by another process
    partial: list[tuple[Path, str]] = field(default_factory=list)  # done as far as they could be read
    failed: list[tuple[Path, str]] = field(default_factory=list)
    judged: list[tuple[Path, Judgement]] = field(default_factory=list)
    short_of_memory: bool = False  # some failed for want of it alone
    seconds: float = 0.0

    @property
    def whole(self) -> bool:
        """Tell whether everything was translated from its first to its last pixel."""
        return not (self.failed or self.partial)

    def encode(self) -> dict[str, Any]:
        """Return the summary as plain values."""
        done = {"done": [str(p) for p in self.done], "finished": [str(p) for p in self.finished]}
        return done | {
            "partial": [{"path": str(path), "reason": reason} for path, reason in self.partial],
            "failed": [{"path": str(path), "reason": reason} for path, reason in self.failed],
            "inputs": [
                {"path": str(path), "unusualness": round(found.unusualness, 4), "unlike": found.unlike}
                for path, found in self.judged
            ],
            "seconds": round(self.seconds, 3),
        }


@contextlib.contextmanager
def open_manifest(
    folder: Path | None, weights: Path, translator: Applied, settings: Settings
) -> Iterator[Manifest | None]:
    """Open the list of what is finished in an output folder, for these weights and settings; None without a folder."""
    if folder is None:
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    chosen = dataclasses.replace(settings, batch=1, strict=False)  # these change nothing that is written
    digest.update(repr((translator.target, translator.scale_to, translator.precision, chosen)).encode())
    with Manifest(folder, work=digest.hexdigest()) as manifest:
        yield manifest


def translate_files(
    translator: Applied,
    jobs: Sequence[Job],
    *,
    settings: Settings = Settings(),  # noqa: B008 - frozen
    manifest: Manifest | None = None,
    again: bool = False,
    progress: Progress = Progress(),  # noqa: B008 - without state
) -> Summary:
    """Translate every job's source into its target; what is damaged is listed in the summary, and the rest goes on.

    With a manifest what is finished is left alone (unless `again`), and what another process works on is waited for at
    the end. Raises OSError when a target cannot be written.
    """
    start = time.monotonic()
    work = _Work(translator, settings, progress, manifest, total=len(jobs))
    waiting: Iterable[Job] = jobs
    if isinstance(translator, Translator):
        long = list[Job]()
        stills = (job for job in _without_long(jobs, long) if work.claim(job, again=again))
        waiting = [*work.stills(translator, stills), *long]
    for job in waiting:
        if work.claim(job, again=again):
            work.alone(job)
    for job in work.elsewhere:
        if work.wait(job):
            work.alone(job)
    if note := unlike(work.summary.judged, source=translator.source):
        progress.note(note)
    work.summary.seconds = time.monotonic() - start
    return work.summary


def _without_long(jobs: Iterable[Job], long: list[Job]) -> Iterator[Job]:
    """Yield the jobs whose sources may be single pictures; films and folders are put aside on the way."""
    for job in jobs:
        if is_film(job.source) or job.source.is_dir():
            long.append(job)
        else:
            yield job


class _Work:
    """What is known while files are translated."""

    def __init__(
        self, translator: Applied, settings: Settings, progress: Progress, manifest: Manifest | None, *, total: int
    ) -> None:
        self.translator, self.settings, self.progress, self.manifest = translator, settings, progress, manifest
        self.summary, self.total = Summary(), total
        self.elsewhere = list[Job]()  # other processes work on these
        self.swept = set[Path]()  # folders without what killed processes left
        self.underway = dict[Job, None]()  # claimed, and neither done nor given up

    def claim(self, job: Job, *, again: bool) -> bool:
        """Tell whether a job is to be done here and now."""
        if job.target.parent not in self.swept:
            sweep_stale(job.target.parent)
            self.swept.add(job.target.parent)
        if self.manifest and not self.manifest.claim(job):
            self.elsewhere.append(job)
            return False
        return self._begun(job) if again or self._unfinished(job) else False

    def wait(self, job: Job) -> bool:
        """Wait until no other process works on a job, and tell whether it is still to be done."""
        assert self.manifest
        self.manifest.wait(job)
        return self._begun(job) if self._unfinished(job) else False

    def _begun(self, job: Job) -> bool:
        self.underway[job] = None
        return True

    def _unfinished(self, job: Job) -> bool:
        if self.manifest and self.manifest.finished(job):
            self._release(job)
            self.summary.finished.append(job.target)
            self._count()
            return False
        return True

    def stills(self, translator: Translator, jobs: Iterable[Job]) -> list[Job]:
        """Translate pictures, those of one size together; return the jobs that turn out to have several frames.

        Where memory does not suffice for some together, each of them is tried alone.
        """
        moving, jobs = list[Job](), iter(jobs)
        while True:
            try:
                self._together(translator, jobs, moving)
            except OutOfMemory:
                pass
            else:
                return moving
            for job in list(self.underway):
                self.alone(job)

    def _together(self, translator: Translator, jobs: Iterator[Job], moving: list[Job]) -> None:
        read = ahead((self._read(job) for job in jobs), depth=AHEAD)
        small = self._set_apart(translator, read, moving)
        stream = partial(translator.stream, batch=self.settings.batch)
        translated = ahead(beside(stream, small, key=lambda pair: pair[1].pixels), depth=AHEAD)
        for (job, picture), pixels in translated:
            self._guard(job, partial(self._save, translator, job, picture, pixels))

    def _read(self, job: Job) -> tuple[Job, Picture | Animation | StylError]:
        try:
            with memory_for(job.source):
                found = open_still(job.source)
        except (InputError, OutOfMemory) as error:
            return job, error
        if not isinstance(found, Picture):
            found.close()  # opened again when its turn comes
        return job, found

    def _set_apart(
        self, translator: Translator, read: Iterable[tuple[Job, Picture | Animation | StylError]], moving: list[Job]
    ) -> Iterator[tuple[Job, Picture]]:
        """Yield the pictures that are small enough to be translated together; large ones are done on the way."""
        for job, found in read:
            if isinstance(found, StylError):
                self._fail(job, found)
            elif not isinstance(found, Picture):
                moving.append(job)
                self._release(job)
            elif found.pixels.shape[0] * found.pixels.shape[1] > PIXELS:
                self._guard(job, partial(self._large, translator, job, found))
            else:
                yield job, found

    def _large(self, translator: Translator, job: Job, picture: Picture) -> Outcome:
        return self._save(translator, job, picture, translator(picture.pixels))

    def _save(self, translator: Translator, job: Job, picture: Picture, pixels: Any) -> Outcome:
        outcome = save(picture, pixels, job.target, settings=self.settings)
        return dataclasses.replace(outcome, judgement=translator.judge(picture.pixels))

    def alone(self, job: Job) -> None:
        """Translate one file that has its time to itself."""
        how = partial(self.translator.file, settings=self.settings, progress=self.progress)
        self._guard(job, partial(how, job.source, job.target))

    def _guard(self, job: Job, work: Callable[[], Outcome]) -> None:
        try:
            with memory_for(job.source):
                outcome = work()
        except (InputError, UsageError, OutOfMemory) as error:
            self._fail(job, error)
        else:
            self._settle(job, outcome)

    def _settle(self, job: Job, outcome: Outcome) -> None:
        for note in outcome.notes:
            self.progress.note(f"note: {shown(job.source)}: {note}")
        if outcome.flicker:
            self.progress.note(f"{shown(job.source)}: {outcome.flicker}")
        if outcome.lost:
            self.summary.partial.append((job.source, outcome.lost))
            self.progress.note(f"cut short: {shown(job.source)}: {outcome.lost}")
            self._release(job)  # not finished: the next run tells of it again
        elif self.manifest:
            self.manifest.record(job)
        self.underway.pop(job, None)
        self.summary.done.append(job.target)
        self.summary.judged += [(job.source, outcome.judgement)] if outcome.judgement else []
        self._count()

    def _fail(self, job: Job, error: StylError) -> None:
        self.summary.failed.append((job.source, error.what))
        self.summary.short_of_memory |= isinstance(error, OutOfMemory)
        self.progress.note(f"failed: {error.what}" + (f"; {error.hint}" if error.hint else ""))
        self._release(job)
        self._count()

    def _release(self, job: Job) -> None:
        self.underway.pop(job, None)
        if self.manifest:
            self.manifest.release(job)

    def _count(self) -> None:
        found = self.summary
        self.progress.count(len(found.done) + len(found.finished) + len(found.failed), self.total)
