"""Speech on its way to networks and back: what is lost is known, pitch and loudness go where they should."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from voices import say

from cyclegan import codecs
from cyclegan.codecs import Voice, cepstrum, world
from cyclegan.codecs.voice import Speaker, as_loud, features, fitted
from cyclegan.codecs.world import Speech, analyse, resample, synthesise
from cyclegan.errors import CheckpointError, UsageError
from cyclegan.media.sounds.loudness import USUAL, loudness
from cyclegan.media.sounds.reader import read_sound
from cyclegan.media.spectrogram import mel
from cyclegan.metrics.speech import mel_cepstral_distortion

pyworld: Any = pytest.importorskip("pyworld")

RATE, PERIOD, COEFFICIENTS = 16_000, 5.0, 36
SPOKEN = Path(__file__).parents[2] / "shared/data/voice"

Array = NDArray[np.float64]


# --- mel-cepstra


def test_envelopes_that_are_sums_of_cosines_come_back_exactly() -> None:
    wanted = np.random.default_rng(0).normal(0, 1 / (1 + np.arange(24)), (5, 24))
    power = cepstrum.decode(wanted, rate=RATE, bins=257)
    assert power.shape == (5, 257)
    np.testing.assert_allclose(cepstrum.encode(power, rate=RATE, coefficients=24), wanted, atol=1e-9)
    np.testing.assert_allclose(cepstrum.encode(power, rate=RATE, coefficients=36)[:, 24:], 0, atol=1e-9)


def test_the_first_coefficient_is_the_level_and_the_second_the_tilt() -> None:
    flat, tilted = np.array([[0.7, 0, 0]]), np.array([[0.0, 0.5, 0]])
    np.testing.assert_allclose(cepstrum.decode(flat, rate=RATE, bins=9), np.exp(1.4))
    spectrum = np.log(cepstrum.decode(tilted, rate=RATE, bins=9))[0] / 2
    np.testing.assert_allclose(spectrum[[0, -1]], [0.5, -0.5], atol=1e-12)  # cos 0 and cos π
    assert np.all(np.diff(spectrum) < 0)


def test_distances_of_cepstra_are_distances_of_envelopes_in_decibels() -> None:
    """Parseval on the mel axis, which even steps of mel show; the figure by hand: 8.6859 √(½ (0.3² + 0.4²)) dB."""
    one, other = np.zeros((1, 30)), np.zeros((1, 30))
    other[0, [3, 17]] = 0.3, 0.4
    by_hand = 8.685889638 * np.sqrt(0.5 * (0.09 + 0.16))
    assert mel_cepstral_distortion(one, other) == pytest.approx(by_hand)
    bins = 4097
    decibels = [10 * np.log10(cepstrum.decode(c, rate=RATE, bins=bins))[0] for c in (one, other)]
    hertz = np.linspace(0, RATE / 2, bins)
    places = np.interp(np.linspace(0, mel(np.array(RATE / 2)), 5000), mel(hertz), hertz)
    difference = np.interp(places, hertz, decibels[0] - decibels[1])
    assert np.sqrt(np.mean(difference**2)) == pytest.approx(by_hand, rel=2e-3)


def test_an_envelope_with_more_detail_is_fitted_evenly_along_the_mel_axis() -> None:
    bins = 4097
    hertz = np.linspace(0, RATE / 2, bins)
    bumps = np.exp(-(((hertz - 700) / 150) ** 2)) + 2 * np.exp(-(((hertz - 5000) / 600) ** 2))
    even = np.linspace(0, mel(np.array(RATE / 2)), 4000)
    cosines = np.cos(np.arange(8) * np.linspace(0, np.pi, 4000)[:, None])
    wanted = np.linalg.lstsq(cosines, np.interp(np.interp(even, mel(hertz), hertz), hertz, bumps), rcond=None)[0]
    found = cepstrum.encode(np.exp(2 * bumps)[None], rate=RATE, coefficients=8)[0]
    np.testing.assert_allclose(found, wanted, atol=2e-3)


# --- taken apart and put together again


@pytest.mark.parametrize(("rate", "count"), [(16_000, 8000), (16_000, 8079), (16_000, 1), (22_050, 5003)])
def test_lengths_are_exact(rate: int, count: int) -> None:
    samples = say(0, speaker="low", seconds=1.0, rate=rate)[:count]
    speech = analyse(samples, rate=rate, period=PERIOD, coefficients=COEFFICIENTS)
    frames = int(count * 1000 / (rate * PERIOD)) + 1
    assert speech.pitch.shape == (frames,)
    assert speech.envelope.shape == (frames, COEFFICIENTS)
    assert features(speech).shape == (COEFFICIENTS + 1, frames)
    for wanted in (1, count, count + 999):
        made = synthesise(speech, rate=rate, period=PERIOD, count=wanted)
        assert made.shape == (wanted,)
        assert np.isfinite(made).all()


@pytest.mark.parametrize("count", [1, 50, 4000])
def test_digital_silence_stays_silent_and_finite(count: int) -> None:
    speech = analyse(np.zeros(count), rate=RATE, period=PERIOD, coefficients=COEFFICIENTS)
    assert np.isfinite(speech.envelope).all()
    assert (speech.pitch == 0).all()
    made = synthesise(speech, rate=RATE, period=PERIOD, count=count)
    assert np.abs(made).max() < 1e-4  # -80 dB


@pytest.mark.parametrize("hertz", [75.0, 140.0, 310.0])
def test_the_pitch_is_right_within_two_percent(hertz: float) -> None:
    time = np.arange(RATE // 2) / RATE
    voice = sum(np.sin(2 * np.pi * hertz * k * time + k) / k for k in range(1, 20)) * 0.05
    pitch = analyse(np.asarray(voice), rate=RATE, period=PERIOD, coefficients=COEFFICIENTS).pitch
    assert np.mean(pitch > 0) > 0.9
    np.testing.assert_allclose(pitch[pitch > 0][3:-3], hertz, rtol=0.02)


def test_taking_apart_is_a_function_of_the_samples() -> None:
    samples = say(5, speaker="high", seconds=0.5)
    before = samples.copy()
    one, other = (analyse(samples, rate=RATE, period=PERIOD, coefficients=COEFFICIENTS) for _ in range(2))
    np.testing.assert_array_equal(features(one), features(other))
    made = [synthesise(one, rate=RATE, period=PERIOD, count=8000) for _ in range(2)]
    np.testing.assert_array_equal(made[0], made[1])
    np.testing.assert_array_equal(samples, before)


def log_mel(samples: Array, *, rate: int, loudest: float) -> Array:
    """Return decibels of 40 mel bands every 10 ms, down to 60 below the loudest."""
    size = rate // 32
    starts = np.arange(0, len(samples) - size, rate // 100)
    power = np.abs(np.fft.rfft(samples[starts[:, None] + np.arange(size)] * np.hanning(size))) ** 2
    edges = np.linspace(mel(np.array(60.0)), mel(np.array(rate / 2)), 42)
    place = mel(np.linspace(0, rate / 2, size // 2 + 1))
    width = edges[1] - edges[0]
    bands = power @ np.clip(1 - np.abs(place[:, None] - edges[1:-1]) / width, 0, None)
    return np.asarray(10 * np.log10(np.maximum(bands, loudest * 1e-6)))


def with_full_envelope(samples: Array, *, rate: int) -> Array:
    """Return samples taken apart and put together again without a codec between."""
    how: dict[str, Any] = {"f0_floor": world.LOWEST, "f0_ceil": world.HIGHEST, "frame_period": PERIOD}
    coarse, times = pyworld.dio(samples, rate, allowed_range=world.LENIENCE, **how)
    pitch = pyworld.stonemask(samples, coarse, times, rate)
    power = np.maximum(pyworld.cheaptrick(samples, pitch, times, rate), world.FLOOR)
    made = pyworld.synthesize(pitch, power, pyworld.d4c(samples, pitch, times, rate), rate, PERIOD)
    return np.pad(made, (0, rate))[: len(samples)]


def cost_of_coding(samples: Array, *, rate: int, coefficients: int = COEFFICIENTS) -> float:
    """Return by how many decibels of log-mel distance coding makes a recording worse than the vocoder alone does."""
    samples = samples * (USUAL / loudness([samples], rate=rate))
    speech = analyse(samples, rate=rate, period=PERIOD, coefficients=coefficients)
    made = with_full_envelope(samples, rate=rate), synthesise(speech, rate=rate, period=PERIOD, count=len(samples))
    loudest = float(10 ** (log_mel(samples, rate=rate, loudest=1e-9).max() / 10))
    original, full, coded = (log_mel(one, rate=rate, loudest=loudest) for one in (samples, *made))
    vocoder, both = (float(np.sqrt(np.mean((original - one) ** 2))) for one in (full, coded))
    assert vocoder < 5, "the vocoder itself is no good"
    return both - vocoder


@pytest.mark.parametrize("speaker", ["low", "high"])
def test_thirty_six_coefficients_cost_little(speaker: Any) -> None:
    for rate in (16_000, 22_050):
        assert cost_of_coding(say(1, speaker=speaker, seconds=1.0, rate=rate), rate=rate) < 0.3
    assert cost_of_coding(say(1, speaker=speaker, seconds=1.0), rate=RATE, coefficients=8) > 0.3


@pytest.mark.skipif(not shutil.which("flite"), reason="no flite")
@pytest.mark.parametrize("voice", ["slt", "awb"])
def test_thirty_six_coefficients_cost_little_for_speech_synthesis(tmp_path: Path, voice: str) -> None:
    file, text = tmp_path / "said.wav", "The words of one speaker."
    subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(file)], check=True, timeout=60)
    sound = read_sound(file)
    assert cost_of_coding(sound.samples.mean(1, dtype=np.float64), rate=sound.rate) < 0.3


@pytest.mark.skipif(not SPOKEN.is_dir(), reason="no recordings beside the checkout")
def test_thirty_six_coefficients_cost_little_for_people() -> None:
    for path in sorted(SPOKEN.glob("*/[0-3]_*_1.wav")):
        sound = read_sound(path)
        samples = resample(sound.samples.mean(1, dtype=np.float64), rate=sound.rate, to=RATE)
        assert cost_of_coding(samples, rate=RATE) < 0.3, path


@pytest.mark.parametrize(("rate", "to"), [(44_100, 16_000), (16_000, 44_100), (8000, 16_000), (48_000, 22_050)])
def test_resampling_shifts_nothing(rate: int, to: int) -> None:
    click = np.zeros((rate // 10 + 7, 2))
    click[rate // 20, 1] = 1.0
    made = resample(click, rate=rate, to=to)
    assert made.shape == (-(-len(click) * to // rate), 2)
    assert np.abs(made[:, 0]).max() == 0
    assert int(np.abs(made[:, 1]).argmax()) == pytest.approx(rate // 20 * to / rate, abs=0.51)
    assert resample(click, rate=rate, to=rate) is click
    assert len(resample(np.ones(1), rate=rate, to=to)) >= 1


def test_resampling_there_and_back_keeps_what_both_rates_hold() -> None:
    time = np.arange(4410) / 44_100
    tone = np.sin(2 * np.pi * 1000 * time) * np.hanning(4410)
    back = resample(resample(tone, rate=44_100, to=16_000), rate=16_000, to=44_100)[:4410]
    np.testing.assert_allclose(back, tone, atol=5e-3)


# --- speakers


def recording(envelope: Any, pitch: Any) -> NDArray[np.float32]:
    """Return what is learnt from, of coefficients (C, T) and pitch (T,)."""
    return np.vstack([envelope, pitch]).astype(np.float32)


def learnt(**folders: Any) -> Voice:
    return Voice.learn(folders, rate=RATE, coefficients=2, period=PERIOD)


def test_speakers_are_learnt_by_their_mean_and_deviation() -> None:
    a = [recording([[0, 2], [1, 5]], [100, 0]), recording([[4], [3]], [400])]
    b = [recording([[1, 1], [0, 2]], [200, 200])]
    voice = learnt(a=a, b=b)
    assert voice.of("a").mean == (2.0, 3.0)
    assert voice.of("b").mean == (1.0, 1.0)
    variance = (8 / 3 + 0) / 2, (8 / 3 + 1) / 2  # the mean over both speakers
    assert voice.of("a").spread == voice.of("b").spread == pytest.approx(np.sqrt(variance), abs=1e-6)
    assert voice.of("a").pitch == pytest.approx((np.log(200), np.log(2)), abs=1e-6)  # 100 and 400 Hz
    assert voice.of("b").pitch == pytest.approx((np.log(200), 0.01), abs=1e-6)  # never nothing


def test_pauses_do_not_count() -> None:
    spoken = recording([[0.0, 0.2, 0.1, 0.3], [1, 2, 3, 4]], [100, 110, 120, 130])
    pause = recording([[-4.8] * 4, [9.0] * 4], [0] * 4)  # 41 dB and more below the loudest
    hushed = recording([[-4.2] * 4, [9.0] * 4], [0] * 4)
    alone, paused, soft = (
        learnt(a=[one], b=[spoken])
        for one in (spoken, np.hstack([pause, spoken, pause]), np.hstack([hushed, spoken, hushed]))
    )
    assert paused == alone
    assert soft != alone


def test_whispers_have_a_pitch_all_the_same() -> None:
    voice = learnt(a=[recording([[0, 1], [0, 1]], [0, 0])], b=[recording([[0, 1], [0, 1]], [100, 200])])
    assert np.isfinite(voice.moved(np.array([0.0, 150.0]), source="a", target="b")).all()


@pytest.fixture
def voice() -> Voice:
    chance = np.random.default_rng(0)
    scale = tuple((0.2 + chance.random(8)).round(6).tolist())
    means = [tuple(chance.normal(0, 1, 8).round(6).tolist()) for _ in range(2)]
    speakers = {
        "a": Speaker(means[0], (np.log(110.0), 0.2), scale),
        "b": Speaker(means[1], (np.log(210.0), 0.1), scale),
    }
    return Voice(RATE, 8, PERIOD, speakers)


def test_a_network_that_does_nothing_shifts_the_mean(voice: Voice) -> None:
    frames = torch.randn(3, 1, 9, 20, generator=torch.Generator().manual_seed(0))
    before = frames.clone()
    encoded = voice.of("a").encode(frames)
    assert encoded.shape == (3, 1, 8, 20)
    shift = np.array(voice.of("b").mean) - np.array(voice.of("a").mean)
    wanted = frames[:, :, :8] + torch.tensor(shift, dtype=torch.float32)[:, None]
    torch.testing.assert_close(voice.of("b").decode(encoded), wanted, rtol=0, atol=1e-5)
    torch.testing.assert_close(voice.of("a").decode(encoded), frames[:, :, :8], rtol=0, atol=1e-5)
    assert torch.equal(frames, before)


def test_what_a_file_says_builds_the_same_codec(voice: Voice) -> None:
    assert codecs.build(json.loads(json.dumps(voice.spec()))) == voice


DAMAGE: dict[str, Any] = {
    "no rate": lambda s: s.pop("rate"),
    "a rate of words": lambda s: s.update(rate="fast"),
    "an impossible rate": lambda s: s.update(rate=1),
    "no period": lambda s: s.update(period=float("nan")),
    "more than is known": lambda s: s.update(size=3),
    "no spread": lambda s: s.pop("spread"),
    "a spread of nothing": lambda s: s["spread"].__setitem__(3, 0.0),
    "a spread of no number": lambda s: s["spread"].__setitem__(3, float("nan")),
    "a short spread": lambda s: s["spread"].pop(),
    "a number for spread": lambda s: s.update(spread=1.0),
    "other coefficients": lambda s: s.update(coefficients=9),
    "no speakers": lambda s: s.update(speakers={}),
    "a list of speakers": lambda s: s.update(speakers=["a", "b"]),
    "a speaker without a mean": lambda s: s["speakers"]["a"].pop("mean"),
    "an infinite mean": lambda s: s["speakers"]["a"]["mean"].__setitem__(0, float("inf")),
    "a mean beyond all numbers": lambda s: s["speakers"]["a"]["mean"].__setitem__(0, 10**400),
    "a long mean": lambda s: s["speakers"]["b"]["mean"].append(0.0),
    "a mean of words": lambda s: s["speakers"]["b"].update(mean=["one"] * 8),
    "no pitch": lambda s: s["speakers"]["b"].pop("pitch"),
    "half a pitch": lambda s: s["speakers"]["b"].update(pitch=[5.0]),
    "a pitch of no number": lambda s: s["speakers"]["b"].update(pitch=[float("nan"), 0.1]),
    "a pitch that never moves": lambda s: s["speakers"]["a"].update(pitch=[5.0, 0.0]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_description_is_refused(voice: Voice, damage: str) -> None:
    spec = json.loads(json.dumps(voice.spec()))
    DAMAGE[damage](spec)
    with pytest.raises(CheckpointError, match="the codec 'voice' cannot be understood") as caught:
        codecs.build(spec)
    assert caught.value.hint


def test_the_pitch_becomes_the_targets(voice: Voice) -> None:
    pitch = np.exp(np.random.default_rng(0).normal(np.log(110), 0.2, 2000))
    pitch[::3] = 0
    moved = voice.moved(pitch, source="a", target="b")
    assert (moved[::3] == 0).all()
    spoken = moved[moved > 0]
    assert len(spoken) == np.count_nonzero(pitch)
    assert np.median(spoken) == pytest.approx(210, rel=0.02)
    assert np.log(spoken).std() == pytest.approx(0.1, rel=0.05)
    assert voice.moved(np.array([110.0]), source="a", target="b")[0] == pytest.approx(210)
    assert voice.moved(np.array([110 * np.exp(0.2)]), source="a", target="b")[0] == pytest.approx(210 * np.exp(0.1))
    back = voice.moved(moved, source="b", target="a")
    np.testing.assert_allclose(back, pitch, rtol=1e-9)


# --- what a network makes of speech


def test_loudness_stays_in_every_frame() -> None:
    chance = np.random.default_rng(0)
    made, like = chance.normal(0, 0.5, (2, 7, 12))
    like[3, 0] = -9  # a pause
    found = as_loud(made, like=like, rate=RATE)
    powers = [cepstrum.decode(one, rate=RATE, bins=257).sum(1) for one in (found, like)]
    np.testing.assert_allclose(powers[0], powers[1], rtol=1e-9)
    np.testing.assert_array_equal(found[:, 1:], made[:, 1:])


class Remembering(nn.Module):
    """A network that does nothing, and knows what it was given."""

    multiple, smallest = 4, 16

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.given = x
        return x


@pytest.mark.parametrize(("frames", "wanted"), [(1, 16), (3, 16), (5, 16), (16, 16), (17, 20), (63, 64)])
def test_any_number_of_frames_fits(frames: int, wanted: int) -> None:
    signals = torch.randn(1, 1, 8, frames, generator=torch.Generator().manual_seed(0))
    made = fitted(signals, Remembering())
    assert made.shape == (1, 1, 8, wanted)
    assert torch.equal(made[..., :frames], signals)
    to_and_fro = torch.cat([signals, signals.flip(-1)] * 16, dim=-1)[..., :wanted]
    assert torch.equal(made, to_and_fro)
    assert fitted(signals, nn.Identity()) is signals


@pytest.mark.parametrize("frames", [1, 3, 63])
def test_speech_of_any_length_is_converted(voice: Voice, frames: int) -> None:
    chance = np.random.default_rng(0)
    pitch = np.where(np.arange(frames) % 2, 110.0, 0.0)
    speech = Speech(pitch, chance.normal(0, 0.3, (frames, 8)), np.full((frames, 257), 0.5))
    network = Remembering()
    made = voice.converted(speech, network, source="a", target="b")
    assert network.given.shape[-1] % 4 == 0
    assert made.breath is speech.breath
    np.testing.assert_allclose(made.pitch, np.where(pitch > 0, 210.0, 0.0))
    shift = np.array(voice.of("b").mean) - np.array(voice.of("a").mean)
    np.testing.assert_allclose(made.envelope[:, 1:], (speech.envelope + shift)[:, 1:], atol=1e-5)


# --- loudness


def test_pauses_make_speech_no_softer() -> None:
    tone = 0.2 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)
    assert loudness([tone], rate=RATE) == pytest.approx(0.2 / np.sqrt(2))
    assert loudness([tone, np.zeros(5 * RATE)], rate=RATE) == pytest.approx(0.2 / np.sqrt(2))
    assert loudness([tone, 0.001 * tone], rate=RATE) == pytest.approx(0.2 / np.sqrt(2))  # 60 dB below
    assert loudness([tone, 0.1 * tone], rate=RATE) == pytest.approx(0.2 * np.sqrt(1.01 / 4))  # 20 dB: speech


def test_loudness_does_not_depend_on_blocks() -> None:
    samples = say(3, speaker="low", seconds=1.0)
    whole = loudness([samples], rate=RATE)
    assert loudness(np.split(samples, 5), rate=RATE) == pytest.approx(whole, rel=1e-12)  # of whole moments
    uneven = [samples[:1], samples[1:5000], samples[5000:5000], samples[5000:]]
    assert loudness(uneven, rate=RATE) == pytest.approx(whole, rel=0.02)


@pytest.mark.parametrize("blocks", [[], [np.zeros(3)], [np.zeros(900)], [np.zeros(0)], [np.full(900, 1e-6)]])
def test_silence_has_no_loudness(blocks: list[Array]) -> None:
    assert loudness(blocks, rate=RATE) == 0.0


# --- without pyworld


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(world, "import_module", missing)
    world._party.cache_clear()
    for work in (
        lambda: analyse(np.zeros(99), rate=RATE, period=PERIOD, coefficients=8),
        lambda: resample(np.zeros(99), rate=RATE, to=8000),
        lambda: world.made_by(),
    ):
        with pytest.raises(UsageError, match=r"voices need the package \w+, which is not installed") as caught:
            work()
        assert caught.value.hint == "pip install 'styl[voice]'"
