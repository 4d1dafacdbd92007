"""Compare two films, property by property: python tools/compare_films.py A B. Exit code 1 where one differs."""

import hashlib
import sys
from fractions import Fraction
from typing import Any

import av

Facts = dict[str, Any]


def main() -> int:
    """Print one line a property, and return 1 where one differs."""
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    source, result = (facts(name) for name in sys.argv[1:])
    ticks = max(source.pop("tick"), result.pop("tick"))
    same = [_line(name, source.get(name), result.get(name), ticks) for name in sorted(source | result)]
    return 0 if all(same) else 1


def _line(name: str, a: Any, b: Any, tick: Fraction) -> bool:
    equal = _times(a, b, tick) if name == "times" else _near(a, b) if name == "duration" else a == b
    shown = f"{len(a)} of them" if name == "times" and a else _short(a)
    print(f"{'equal' if equal else 'DIFFERENT':<10} {name:<24} {shown}" + ("" if equal else f"  |  {_short(b)}"))
    return equal


def _times(a: list[Fraction], b: list[Fraction], tick: Fraction) -> bool:
    return len(a) == len(b) and all(abs(x - y) <= tick for x, y in zip(a, b, strict=True))


def _near(a: tuple[Fraction, Fraction], b: tuple[Fraction, Fraction]) -> bool:
    """Compare ends, and allow one frame."""
    return abs(a[0] - b[0]) <= max(a[1], b[1])


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} of them"
    if isinstance(value, tuple) and value and isinstance(value[0], Fraction):
        return f"{float(value[0]):.4f} s"
    return str(value)


def facts(name: str) -> Facts:
    """Read what a translation must not change."""
    av.logging.set_level(None)
    with av.open(name) as container:
        films = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        film = max(films, key=lambda s: (bool(s.disposition & 1), s.width * s.height, -s.index))
        found: Facts = {"tick": film.time_base, "chapters": _chapters(container)}
        found["streams"] = [(s.type, s.metadata.get("language")) for s in container.streams if s.type != "data"]
        _read(container, film, found)
    return found


def _chapters(container: Any) -> list[tuple[float, float, str]]:
    spans = [(c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]) for c in container.chapters()]
    return [(round(float(start), 3), round(float(end), 3), words.get("title", "")) for start, end, words in spans]


def _read(container: Any, film: Any, found: Facts) -> None:
    times, digests, counts = [], {}, {}
    last: Any = None
    for packet in container.demux():
        stream = packet.stream
        if stream.index == film.index:
            for frame in packet.decode():
                if last is None:
                    found |= _looks(film, frame)
                times.append(frame.pts * film.time_base)
                last = frame
        elif packet.size:
            key = f"packets {stream.index} {stream.type}"
            digest = digests.setdefault(key, hashlib.sha256())
            digest.update(bytes(packet))
            digest.update(str(round(float(packet.pts * packet.time_base), 3)).encode())
            counts[key] = counts.get(key, 0) + 1
    length = Fraction(last.duration or 0) * film.time_base
    found |= {"frames": len(times), "times": times, "duration": (times[-1] + length, length or Fraction(1, 25))}
    found |= {key: f"{counts[key]} ({digest.hexdigest()[:12]})" for key, digest in digests.items()}


def _looks(film: Any, frame: Any) -> Facts:
    levels = frame.color_range or 1  # not said is limited
    tags = frame.colorspace, frame.color_primaries, frame.color_trc, levels
    shape = film.sample_aspect_ratio or 1
    return {"size": (frame.width, frame.height), "rotation": frame.rotation, "pixel shape": shape, "colours": tags}


if __name__ == "__main__":
    sys.exit(main())
