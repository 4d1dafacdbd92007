"""What a person should know about the folders before hours are spent on them, of pictures or of recordings."""

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence

from cyclegan.errors import shown
from cyclegan.experiment import Data, Experiment
from cyclegan.recipes import GAN, Voice
from cyclegan.training.album import Album, Facts, Scan

FEW = 20  # pictures of a domain
TOO_FEW_TO_DRAW = 500  # pictures: of 90, a GAN learns copies (lucidrains/lightweight-gan, issue 28)
LARGER = 5  # times the pictures of the other domain
LONG = 4  # times the short side
GREY = 3.0  # levels between the channels, in the mean over a picture; JPEG makes 1 of none
MOSTLY = 0.8
LEAST_SPEECH, GOOD_SPEECH = 60.0, 600.0  # seconds of a voice


def summary(scan: Scan) -> list[str]:
    """Say in a line for every domain what there is to learn from."""
    lines = []
    for album in scan.albums:
        kept = _kept(album)
        if _heard(album):
            lines.append(_spoken(album))
            continue
        heights, widths = sorted(f.height for f in kept), sorted(f.width for f in kept)
        sizes = f"{widths[0]} × {heights[0]} to {widths[-1]} × {heights[-1]}"
        middle = f"most about {statistics.median_low(widths)} × {statistics.median_low(heights)}"
        lines.append(f"{album.name}: {len(kept):,} pictures, {sizes} pixels, {middle}")
    return lines


def _spoken(album: Album) -> str:
    kept = _kept(album)
    rates = Counter(facts.rate for facts in kept).most_common()
    mostly = "mostly " if len(rates) > 1 else ""
    usual = statistics.median_low(facts.seconds for facts in kept)
    speech = f"{_minutes(_speech(album))} of speech, most about {usual:.1f} s"
    return f"{album.name}: {_many(len(kept))}, {speech}, {mostly}{rates[0][0]:,} Hz"


def remarks(scan: Scan, experiment: Experiment) -> list[str]:
    """Say what may spoil a training, or what it cannot be expected to do, in a line each."""
    if isinstance(experiment.codec, Voice):
        heard = [*_unheard(scan), *_twice(scan, what="recordings"), *_hours(scan.albums)]
        heard += _dull(scan.albums, experiment.codec)
        return [*heard, *(f"recordings are taken apart again whenever they are drawn: {why}" for why in scan.unstored)]
    found = [*_left_out(scan), *_twice(scan), *_sizes(scan.albums, experiment.data)]
    found += [*_numbers(scan.albums), *_grey(scan.albums)]
    if isinstance(experiment.objective, GAN):
        found += _by_heart(scan.albums)
    return [*found, *(f"pictures are decoded again whenever they are drawn: {why}" for why in scan.unstored)]


def _left_out(scan: Scan) -> Iterator[str]:
    for album in scan.albums:
        constant = [name for name, f in album.facts.items() if f.fault and not f.problem]
        if constant:
            names = ", ".join(map(shown, constant[:3])) + (", …" if len(constant) > 3 else "")
            yield f"{album.name}: {len(constant)} of one colour left out, gradients would blow up on them ({names})"
        damaged = sum(bool(f.problem) for f in album.facts.values())
        if damaged:
            yield f"{album.name}: {damaged} of {len(album.facts):,} files cannot be read and are left out"


def _unheard(scan: Scan) -> Iterator[str]:
    for album in scan.albums:
        left = [f"{shown(name)}: {facts.problem}" for name, facts in album.facts.items() if facts.problem]
        if left:
            share = f"{len(left)} of {len(album.facts):,} files"
            yield f"{album.name}: {share} are silent or damaged and are left out ({left[0]})"


def _hours(albums: Sequence[Album]) -> Iterator[str]:
    for album in albums:
        if len(_kept(album)) < FEW:
            yield f"{album.name}: only {_many(len(_kept(album)))}, too few to hold many back: the figures are coarse"
        if _speech(album) < LEAST_SPEECH:
            lasts = f"{_speech(album):.0f} seconds of speech in all"
            yield f"{album.name}: {lasts}, the voice may become blurred; {GOOD_SPEECH / 60:.0f} minutes are good"
    fewest, most = (choose(albums, key=_speech) for choose in (min, max))
    times = _speech(most) / _speech(fewest)
    if times >= LARGER:
        yield f"{most.name} has {times:.0f} times the speech: what {fewest.name} says is heard as much more often"


def _dull(albums: Sequence[Album], codec: Voice) -> Iterator[str]:
    """Speak of recordings that hold less than the codec could learn."""
    for album in albums:
        low = [facts.rate for facts in _kept(album) if 0 < facts.rate < codec.rate]
        if low:
            least = f"nothing above {min(low) // 2:,} Hz is learnt from them"
            yield f"{album.name}: {len(low):,} of {_many(len(_kept(album)))} have fewer than {codec.rate:,} Hz, {least}"


def _heard(album: Album) -> bool:
    return any(facts.seconds for facts in _kept(album))


def _speech(album: Album) -> float:
    """Return the seconds of speech of a voice."""
    return sum(facts.seconds for facts in _kept(album))


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes" if seconds < 3600 else f"{seconds / 3600:.1f} hours"


def _many(count: int) -> str:
    return f"{count:,} recording{'' if count == 1 else 's'}"


def _twice(scan: Scan, *, what: str = "pictures") -> Iterator[str]:
    contents = [Counter(f.digest for f in _kept(album)) for album in scan.albums]
    for album, counter in zip(scan.albums, contents, strict=True):
        again = counter.total() - len(counter)
        if again:
            yield f"{album.name}: {again} {what} are copies of others, and are learnt more often"
    for i, counter in enumerate(contents):
        for j, other in enumerate(contents[:i]):
            both = len(counter.keys() & other.keys())
            if both:
                yield f"{both} {what} are in both {scan.albums[j].name} and {scan.albums[i].name}"


def _sizes(albums: Sequence[Album], data: Data) -> Iterator[str]:
    for album in albums:
        kept = _kept(album)
        small = sum(min(f.height, f.width) < data.size for f in kept)
        if small:
            yield f"{album.name}: {small} pictures are smaller than {data.size} pixels and are enlarged"
        long = sum(max(f.height, f.width) > LONG * min(f.height, f.width) for f in kept)
        if long:
            fate = "squashed" if data.fit == "stretch" else "seen in part"
            yield f"{album.name}: {long} pictures are more than {LONG} times as long as wide and are {fate}"


def _numbers(albums: Sequence[Album]) -> Iterator[str]:
    for album in albums:
        count = len(_kept(album))
        if count < FEW:
            yield f"{album.name}: only {count} pictures, none can be held back; colours may be learnt, hardly shapes"
    fewest, most = (choose(albums, key=lambda album: len(_kept(album))) for choose in (min, max))
    times = len(_kept(most)) / len(_kept(fewest))
    if times >= LARGER:
        yield f"{most.name} has {times:.0f} times the pictures: each one of {fewest.name} is seen as much more often"


def _by_heart(albums: Sequence[Album]) -> Iterator[str]:
    for album in albums:
        count = len(_kept(album))
        if count < TOO_FEW_TO_DRAW:
            more = (
                "its samples may be copies: the sheets show the nearest picture beside each; --preset vae needs fewer"
            )
            yield f"{album.name}: {count} pictures are few for a GAN, {more}"


def _grey(albums: Sequence[Album]) -> Iterator[str]:
    shares = [sum(f.colour < GREY for f in _kept(album)) / len(_kept(album)) for album in albums]
    for album, share in zip(albums, shares, strict=True):
        if share >= MOSTLY and min(shares) <= 1 - MOSTLY:
            yield f"{album.name}: {share:.0%} of the pictures are grey, the others' are not: colour will be invented"


def _kept(album: Album) -> list[Facts]:
    return [facts for facts in album.facts.values() if not facts.fault]
