"""Times cases in turns: each lives in a process of its own, and one after the other plays a round.

So the peak of its memory is its own, and a machine that is busy for a while slows all of them alike.
"""

import multiprocessing
import signal
import statistics
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Self

from cyclegan.bench.cases import Case, Move, Prepared
from cyclegan.bench.floor import Floor, Work, measure, wait
from cyclegan.bench.memory import peak
from cyclegan.errors import StylError, out_of_memory

WARM_UP, MOST = 2.0, 50  # seconds and steps after which a case counts as warm, settled or not
SETTLED = 0.05  # how near the last two steps are to each other where it has settled
ALONE = 0.25  # of a round's length, for the largest operations by themselves
LAP = 0.1  # seconds at least between two looks at the clock, or the looking counts
Prepare = Callable[[Any], Prepared]


@dataclass(frozen=True)
class About:
    """What a prepared case says of itself; see `Prepared`."""

    pictures: int
    parameters: int
    precision: str
    work: Work
    device: str
    resident: int


@dataclass(frozen=True)
class Round:
    """What a round found: seconds a step, the peak of memory in bytes, how much longer the steps took that warmed up,
    in seconds, and operations a second that the case's own reach by themselves."""

    seconds: float
    peak: int
    warm_up: float = 0.0
    rate: float = 0.0


@dataclass
class Timing:
    """What was found of a case: seconds a step in each round, and what else they found; or why nothing was."""

    case: Any
    about: About | None = None
    rounds: list[float] = field(default_factory=list)
    peak: int = 0
    warm_up: float = 0.0
    rate: float = 0.0
    error: str = ""

    @property
    def seconds(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rounds)


class Failed(Exception):
    """A case that could not be timed."""


class Player:
    """A process in which one case lives; used in a with."""

    def __init__(self, case: Any, *, prepare: Prepare) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(prepare, case, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *rest: object) -> None:
        self._pipe.close()
        self._process.terminate()
        self._process.join()

    def about(self) -> About:
        """Return what the case says of itself once it is ready; to be asked once. Raises Failed or a StylError."""
        found = self._receive()
        assert isinstance(found, About)
        return found

    def round(self, seconds: float) -> Round:
        """Play for so long, at least a step, and return what was found."""
        try:
            self._pipe.send(seconds)
        except OSError:
            raise Failed("its process has ended") from None
        found = self._receive()
        assert isinstance(found, Round)
        return found

    def _receive(self) -> Any:
        try:
            found = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            raise Failed(f"its process ended with {self._process.exitcode}, perhaps for want of memory") from None
        if isinstance(found, Exception):
            raise found
        return found


def _serve(prepare: Prepare, case: Any, pipe: Connection) -> None:
    """Prepare a case and play a round whenever the other side says for how long."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who asks decides what Ctrl-C means
    try:
        ready = prepare(case)
        work = Work(ready.work.flops, ready.work.bytes)
        pipe.send(About(ready.pictures, ready.parameters, ready.precision, work, ready.device, ready.resident))
        warm, most = list[tuple[int, float]](), 0
        while True:
            seconds = pipe.recv()
            warm = warm or [_warmed(move, ready.device) for move in ready.moves]
            spent = sum(
                move.share * median_step(move, ready.device, steps=lap, seconds=move.share * seconds)
                for move, (lap, _) in zip(ready.moves, warm, strict=True)
            )
            most = most or peak(ready.device)  # before the operations take memory of their own
            rate = ready.work.rate(ready.device, precision=ready.precision, seconds=ALONE * seconds)
            pipe.send(Round(spent, most, sum(lost for _, lost in warm), rate))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # nobody asks any more
    except Exception as error:
        pipe.send(error if isinstance(error, StylError) else Failed(_reason(error)))


def _reason(error: Exception) -> str:
    if out_of_memory(error):
        return "not enough memory"
    return "".join(traceback.format_exception_only(error)).strip().splitlines()[0]


def _warmed(move: Move, device: str) -> tuple[int, float]:
    """Play until two steps take about the same; return how many a lap should have, and the time lost until then.

    What is compiled, on its first step or later, takes seconds once and is no part of a step.
    """
    times = list[float]()
    while len(times) < max(2, move.settles) or not (_settled(times) or len(times) >= MOST or sum(times[1:]) >= WARM_UP):
        start = time.perf_counter()
        move.play()
        wait(device)
        times.append(time.perf_counter() - start)
    usual = min(times[-2:])
    return max(1, round(LAP / usual)), max(0.0, sum(times) - len(times) * usual)


def _settled(times: Sequence[float]) -> bool:
    before, last = times[-2:]
    return abs(last - before) <= SETTLED * min(last, before)


def median_step(move: Move, device: str, *, steps: int, seconds: float) -> float:
    """Return the median time of a step over laps of so many steps, for so many seconds, at least one lap."""
    times = list[float]()
    while not times or sum(times) * steps < seconds:
        start = time.perf_counter()
        for _ in range(steps):
            move.play()
        wait(device)
        times.append((time.perf_counter() - start) / steps)
    return statistics.median(times)


def alternate(
    cases: Sequence[Any], *, prepare: Prepare, repeats: int, seconds: float, tell: Callable[[], None] = lambda: None
) -> list[Timing]:
    """Time cases in turns, forwards and backwards; all of them are in memory at once, only one plays.

    A case that fails is left out and says why; `tell` is called after every round. Raises StylErrors of the cases.
    """
    found = [Timing(case) for case in cases]
    with ExitStack() as stack:
        players: list[tuple[Timing, Player]] = []
        for timing in found:
            player = stack.enter_context(Player(timing.case, prepare=prepare))
            players.append((timing, player))
            _try(timing, lambda timing=timing, player=player: _introduce(timing, player))  # type: ignore[misc]
        for number in range(repeats):
            for timing, player in players[:: -1 if number % 2 else 1]:
                _try(timing, lambda timing=timing, player=player: _round(timing, player, seconds))  # type: ignore[misc]
                tell()
    return found


def _try(timing: Timing, play: Callable[[], None]) -> None:
    if not timing.error:
        try:
            play()
        except Failed as error:
            timing.error = str(error)


def _introduce(timing: Timing, player: Player) -> None:
    timing.about = player.about()


def _round(timing: Timing, player: Player, seconds: float) -> None:
    found = player.round(seconds)
    timing.rounds.append(found.seconds)
    timing.peak, timing.warm_up, timing.rate = found.peak, found.warm_up, max(timing.rate, found.rate)


def floors(devices: Sequence[str], *, seconds: float) -> Iterator[tuple[str, Floor]]:
    """Yield each device with its floor, measured in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        for device in devices:
            yield device, pool.submit(measure, device, seconds=seconds).result()


def groups(cases: Sequence[Case]) -> list[list[Case]]:
    """Return cases in groups that do the same to the same pictures: those are compared, so they take turns."""
    found: dict[tuple[object, ...], list[Case]] = {}
    for case in cases:
        found.setdefault((case.verb, case.size, case.batch), []).append(case)
    return list(found.values())
