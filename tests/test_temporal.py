"""Steadied films: less flicker and no less truth, nothing mixed that should not be, in constant memory."""

import itertools
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cyclegan.translation.temporal import SHORT_SIDE, Flicker, Motion, motions, steady

PROGRAM = Path(__file__).parents[1] / "tools" / "flicker.py"
Pixels = NDArray[np.uint8]


def texture(seed: int, height: int = 64, width: int = 64, *, detail: float = 2.0) -> Pixels:
    values = np.random.default_rng(seed).standard_normal((height, width, 3))
    smooth = cv2.GaussianBlur(values, (0, 0), detail, borderType=cv2.BORDER_REFLECT_101)
    return np.clip(128 + 50 * smooth.reshape(height, width, 3) / smooth.std(), 0, 255).astype(np.uint8)


def pan(count: int, height: int = 64, width: int = 64) -> list[Pixels]:
    wide = texture(0, height, width + 2 * count)
    return [wide[:, 2 * t : 2 * t + width] for t in range(count)]


def tinted(film: list[Pixels], levels: int = 12) -> list[Pixels]:
    """Plant the plainest flicker: every second frame is brighter."""
    return [np.clip(pixels.astype(int) + levels * (t % 2), 0, 255).astype(np.uint8) for t, pixels in enumerate(film)]


def steadied(inputs: list[Pixels], translated: list[Pixels]) -> list[Pixels]:
    return list(steady(zip(motions(inputs), translated, strict=True)))


def difference(one: Pixels, other: Pixels) -> float:
    return float(np.abs(one.astype(int) - other).max())


def test_on_a_known_film_steady_wins_and_the_moving_average_loses() -> None:
    command = [sys.executable, PROGRAM, "--size", "96", "--frames", "12"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:]]
    table = {name: [float(figure) for figure in figures] for name, *figures in lines}
    (raw_error, raw_psnr, _), (control_error, control_psnr, _) = table["raw"][:3], table["moving average"][:3]
    error, psnr, sharpness = table["steady"][:3]
    assert control_error < 0.25 * raw_error, "warp error alone is fooled by the control"
    assert control_psnr < raw_psnr - 2
    assert error < 0.1 * raw_error
    assert psnr > raw_psnr + 5
    assert 0.93 < sharpness < 1.15


def test_a_weight_worked_out_by_hand() -> None:
    still = np.full((32, 32, 3), 100, np.uint8)
    brighter = np.full((32, 32, 3), 110, np.uint8)
    first, second = steady(zip(motions([still, still]), [still, brighter], strict=True), reach=1, sigma=1.0)
    near = 0.6065  # exp(-1/2), one frame away with sigma 1; the input is the same, so M = 1
    assert first.min() == first.max() == round((100 + 110 * near) / (1 + near))
    assert second.min() == second.max() == round((110 + 100 * near) / (1 + near))


def test_likeness_of_the_input_worked_out_by_hand() -> None:
    dark, bright = (np.full((32, 32, 3), level, np.uint8) for level in (100, 120))
    black, white = (np.full((32, 32, 3), level, np.uint8) for level in (0, 250))
    first, _ = steady(zip(motions([dark, bright]), [black, white], strict=True), reach=1, sigma=1.0)
    likeness = np.exp(-50 * 3 * (20 / 255) ** 2)  # 0.397
    weight = likeness * np.exp(-0.5)
    assert abs(int(first[16, 16, 0]) - 250 * weight / (1 + weight)) <= 1


def test_a_still_film_without_flicker_stays_as_it_is() -> None:
    inputs, translated = [texture(1)] * 9, [texture(2)] * 9
    assert all(np.array_equal(*pair) for pair in zip(steadied(inputs, translated), translated, strict=True))


def test_a_moving_film_without_flicker_stays_sharp() -> None:
    film = pan(9)
    inside = (slice(8, -8), slice(16, -16))  # at the edges nothing is known of what comes in
    for pixels, result in zip(film, steadied(film, film), strict=True):
        assert np.abs(pixels[inside].astype(int) - result[inside]).mean() < 1


@pytest.mark.parametrize("detail", [1.0, 3.0, 8.0])
def test_a_cut_mixes_nothing(detail: float) -> None:
    before, after = texture(1, detail=detail), texture(2, detail=detail)
    film = [before] * 5 + [after] * 5
    assert all(np.array_equal(*pair) for pair in zip(steadied(film, film), film, strict=True))


def test_what_a_moving_thing_uncovers_is_not_smeared() -> None:
    ground = texture(3, 96, 96)
    film = [ground.copy() for _ in range(7)]
    for t, pixels in enumerate(film):
        pixels[30:62, 8 + 8 * t : 40 + 8 * t] = 255 - texture(4, 32, 32) // 3
    for pixels, result in zip(film, steadied(film, film), strict=True):
        assert np.abs(pixels.astype(int) - result).mean() < 1.5


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 2), (7, 15), (16, 16), (17, 255), (1, 4000), (33000, 1)])
def test_every_size_works_and_a_still_film_of_it_is_kept(size: tuple[int, int]) -> None:
    film = [texture(5, *size)] * 3
    assert all(np.array_equal(*pair) for pair in zip(steadied(film, film), film, strict=True))
    moving = [texture(seed, *size) for seed in range(3)]
    assert [pixels.shape for pixels in steadied(moving, moving)] == [(*size, 3)] * 3


def test_motion_of_large_frames_is_found_at_a_smaller_size_and_still_holds() -> None:
    film = pan(4, SHORT_SIDE * 5 // 4, SHORT_SIDE * 5 // 4 + 60)
    found = list(motions(film))
    assert found[1].scene.shape[0] == SHORT_SIDE
    assert found[1].back is not None
    assert np.median(found[1].back[..., 0]) == pytest.approx(2 * SHORT_SIDE / film[0].shape[0], abs=0.05)
    inside = (slice(8, -8), slice(16, -16))
    for pixels, result in zip(film, steady(zip(found, film, strict=True)), strict=True):
        assert np.abs(pixels[inside].astype(int) - result[inside]).mean() < 1
    flicker = Flicker()
    list(steady(zip(found, tinted(film), strict=True), flicker=flicker))
    assert flicker.after < 0.2 * flicker.before


def test_nothing_comes_from_outside_the_picture() -> None:
    flat, far = np.full((32, 32, 3), 100, np.uint8), np.full((32, 32, 2), 40, np.float32)
    film = [Motion((32, 32), flat), Motion((32, 32), flat, back=far, forth=far)]
    translated = [np.full_like(flat, level) for level in (0, 250)]
    assert all(
        np.array_equal(*pair) for pair in zip(steady(zip(film, translated, strict=True)), translated, strict=True)
    )


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_films_shorter_than_the_window(count: int) -> None:
    film = pan(count)
    assert len(steadied(film, film)) == count
    if count == 1:
        assert np.array_equal(steadied(film, film)[0], film[0])


def test_frames_of_another_size_begin_anew() -> None:
    film = [texture(1)] * 3 + [texture(1, 48, 80)] * 3 + [texture(1)] * 2
    assert [motion.back is None for motion in motions(film)] == [True, False, False, True, False, False, True, False]
    assert all(np.array_equal(*pair) for pair in zip(steadied(film, film), film, strict=True))


def test_turned_and_read_only_views_are_frames_too() -> None:
    film = [np.rot90(pixels) for pixels in pan(3, 40, 56)]
    for pixels in film:
        pixels.setflags(write=False)
    assert all(
        np.array_equal(a, b)
        for a, b in zip(steadied(film, film), steadied([f.copy() for f in film], film), strict=True)
    )


def test_a_frame_needs_no_more_than_reach_frames_behind_it() -> None:
    film, taken = pan(12), 0

    def watched() -> Iterator[tuple[Motion, Pixels]]:
        nonlocal taken
        for pair in zip(motions(film), film, strict=True):
            taken += 1
            yield pair

    for number, _ in enumerate(steady(watched(), reach=2)):
        assert taken == min(number + 1 + 2, len(film))


def test_results_are_never_averaged_again() -> None:
    """A disturbance reaches `reach` frames far and no farther: there is no recursion."""
    film = [texture(6)] * 12
    disturbed = [*film[:4], 255 - film[4], *film[5:]]
    changed = [not np.array_equal(*pair) for pair in zip(steadied(film, disturbed), film, strict=True)]
    assert changed == [1 <= t <= 7 for t in range(12)]


def test_memory_does_not_grow_with_the_film() -> None:
    film = itertools.cycle(pan(10, 128, 128))
    inputs, translated = itertools.tee(itertools.islice(film, 60))
    results = steady(zip(motions(p.copy() for p in inputs), (p.copy() for p in translated), strict=True))
    tracemalloc.start()
    try:
        for _ in itertools.islice(results, 15):
            pass
        tracemalloc.reset_peak()
        early = tracemalloc.get_traced_memory()[0]
        list(zip(range(40), results, strict=False))
        assert abs(tracemalloc.get_traced_memory()[0] - early) < 4 * 128 * 128 * 3
    finally:
        tracemalloc.stop()


def test_flicker_is_measured_before_and_after() -> None:
    film, flicker = [texture(7)] * 8, Flicker()
    assert str(flicker) == "flicker 0.0 → 0.0"
    result = list(steady(zip(motions(film), tinted(film, 20), strict=True), flicker=flicker))
    assert flicker.before == pytest.approx((20 / 255) ** 2, rel=0.05)  # a few pixels are white already
    apart = [np.square((a.astype(float) - b) / 255).mean() for a, b in itertools.pairwise(result)]
    assert flicker.after == pytest.approx(np.mean(apart), rel=0.01)
    assert str(flicker) == f"flicker {1000 * flicker.before:.1f} → {1000 * flicker.after:.1f}"


def test_flicker_leaves_out_what_only_one_frame_shows() -> None:
    """A thing that jumps has a large difference behind it, and none of it is flicker."""
    ground = texture(8, 96, 96)
    film = [ground.copy() for _ in range(4)]
    for t, pixels in enumerate(film):
        pixels[30:62, 10 + 6 * t : 42 + 6 * t] = texture(9, 32, 32)
    flicker = Flicker()
    list(steady(zip(motions(film), film, strict=True), flicker=flicker))
    plain = np.mean([np.square((a.astype(float) - b) / 255).mean() for a, b in itertools.pairwise(film)])
    assert flicker.before < 0.2 * plain


def test_other_threads_run_while_motion_is_found() -> None:
    """Holds OpenCV to its promise: with a switch interval of a minute, only a released lock lets others count."""
    film = pan(2, 480, 640)
    counted, stop = [0], threading.Event()

    def count() -> None:
        while not stop.is_set():
            counted[0] += 1
            stop.wait(0.0001)

    interval = sys.getswitchinterval()
    other = threading.Thread(target=count)
    sys.setswitchinterval(60)
    other.start()
    try:
        before = counted[0]
        list(motions(film))
        assert counted[0] - before > 10
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        other.join()


def test_a_texture_that_slides_keeps_its_contrast() -> None:
    """Stripes that shift by half a period from frame to frame average to grey; their contrast is given back."""
    still = np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    across = np.arange(64)[None, :, None]
    stripes = [np.broadcast_to(128 + 60 * np.sin(across / 1.6 + shift), (64, 64, 3)) for shift in (0, 1.9, 0, 1.9, 0)]
    raw = [stripe.round().astype(np.uint8) for stripe in stripes]
    steadied = list(steady(zip(motions([still] * 5), raw, strict=True)))
    mean = np.mean(raw, axis=0)
    assert mean[20:44, 20:44].std() < 0.65 * raw[2][20:44, 20:44].std(), "the control: an average takes contrast"
    assert steadied[2][20:44, 20:44].std() > 0.9 * raw[2][20:44, 20:44].std()
    changes = [
        np.abs(np.diff([f[20:44, 20:44].astype(float) for f in film], axis=0)).mean() for film in (raw, steadied)
    ]
    assert changes[1] < changes[0] / 2


def test_noise_is_not_raised_where_there_is_nothing() -> None:
    still, chance = np.full((64, 64, 3), 120, np.uint8), np.random.default_rng(4)
    raw = [(still + chance.normal(0, 1.5, still.shape)).round().astype(np.uint8) for _ in range(7)]
    steadied = list(steady(zip(motions([still] * 7), raw, strict=True)))
    assert steadied[3].std() < 0.75 * raw[3].std()
