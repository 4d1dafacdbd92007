"""Experiments: read, changed, checked, explained and written, without losing anything on the way."""

import dataclasses
import inspect
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cyclegan import recipes
from cyclegan.errors import InputError, StylError, UsageError
from cyclegan.experiment import PARTS, Data, Experiment, presets
from cyclegan.networks import NETWORKS
from cyclegan.objectives import OBJECTIVES, TOLD_ELSEWHERE, assemble
from cyclegan.tables import flat

PLAYS = settings(max_examples=150, deadline=None, derandomize=True, database=None)
EXPERIMENT = "default"


def options_of(kind: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted name, annotation, field) of every option, of every choice of table."""
    hints = get_type_hints(kind)
    for spec in dataclasses.fields(kind):
        hint = hints[spec.name]
        tables = [t for t in (hint, *get_args(hint)) if dataclasses.is_dataclass(t)]
        for table in tables:
            yield from options_of(table, f"{prefix}{spec.name}.")
        if not tables:
            yield f"{prefix}{spec.name}", hint, spec


OPTIONS = list(options_of(Experiment))


def values(hint: Any, spec: Any) -> st.SearchStrategy[Any]:
    """Return any value an option may have."""
    low, high = spec.metadata["low"], spec.metadata["high"]
    bounds = {"min_value": None if low == float("-inf") else low, "max_value": None if high == float("inf") else high}
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if hint == tuple[str, ...]:
        return st.lists(texts(), max_size=3).map(tuple)
    if get_origin(hint) is tuple:
        return st.tuples(*(values(inner, spec) for inner in get_args(hint)))
    if hint is int:
        return st.integers(bounds["min_value"], bounds["max_value"] or 2**62)
    if hint is float:
        return st.floats(**bounds, allow_nan=False, allow_infinity=False)
    return {bool: st.booleans(), str: texts()}[hint]


def texts() -> st.SearchStrategy[str]:
    """Return any text at all, and what file names of other alphabets and bytes become in Python."""
    odd = [
        'a"b',
        "it's",
        "C:\\new\\table",
        "a\nb\tc\r",
        "#no comment",
        "\x00\x1f\x7f\x85\u2028",
        "🦓",
        "]x = 1",
        "\udcff\udc80",
    ]
    return st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.sampled_from(odd))


def tables(kind: Any) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    built = {}
    for spec in dataclasses.fields(kind):
        hint = hints[spec.name]
        choices = [t for t in (hint, *get_args(hint)) if dataclasses.is_dataclass(t)]
        built[spec.name] = st.one_of([tables(t) for t in choices]) if choices else values(hint, spec)
    return st.builds(kind, **built)


def read(text: str, folder: Path, *, overrides: tuple[str, ...] = ()) -> Experiment:
    path = folder / "mine.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return Experiment.load(str(path), overrides=overrides)


def refused(*overrides: str, source: str = EXPERIMENT) -> UsageError:
    with pytest.raises(UsageError) as caught:
        Experiment.load(source, overrides=overrides)
    assert caught.value.hint
    return caught.value


# --- written and read again


def test_the_presets_are_these() -> None:
    assert set(presets()) >= {"autoencoder", "cyclegan-2017", "default", "resnet", "tiny", "unet", "vae"}


@pytest.mark.parametrize("name", presets())
def test_a_preset_written_down_is_the_preset(name: str, tmp_path: Path) -> None:
    preset = Experiment.load(name)
    assert read(preset.toml(), tmp_path) == preset
    assert Experiment.decode(preset.encode()) == preset
    assert list(preset.differences(read(preset.toml(), tmp_path))) == []


@PLAYS
@given(tables(Experiment))
def test_any_experiment_written_down_is_itself(experiment: Experiment) -> None:
    written = experiment.toml()
    assert Experiment.decode(tomllib.loads(written)) == experiment
    assert Experiment.decode(tomllib.loads(written)).toml() == written


def test_folders_whose_names_are_no_utf8_come_back_from_a_file(tmp_path: Path) -> None:
    odd = Experiment().replace(data__folders=("horses\udcff", "zebras"))
    assert read(odd.toml(), tmp_path).data.folders == ("horses\udcff", "zebras")


def test_an_experiment_may_be_windows_text(tmp_path: Path) -> None:
    assert read("seed = 3\r\n[training]\r\nbatch = 2\r\n", tmp_path).training.batch == 2


# --- explained


@pytest.mark.parametrize(("name", "spec"), [(name, spec) for name, _, spec in OPTIONS])
def test_every_option_is_explained_and_its_default_allowed(name: str, spec: Any) -> None:
    explained = spec.metadata["explained"]
    assert 3 < len(explained) < 120
    assert "\n" not in explained
    default = spec.default
    for number in default if isinstance(default, tuple) else (default,):
        if isinstance(number, int | float):
            assert spec.metadata["low"] <= number <= spec.metadata["high"]


@pytest.mark.parametrize("name", presets())
def test_what_is_printed_explains_every_option(name: str) -> None:
    lines = Experiment.load(name).toml().splitlines()
    for line in lines:
        if " = " in line:
            assert "  # " in line, line
    stated = sum(" = " in line.split("  # ")[0] for line in lines)
    assert stated == len(list(flat(Experiment.load(name).encode())))


# --- changed


@pytest.mark.parametrize(
    ("override", "name", "value"),
    [
        ("training.batch=4", "training.batch", 4),
        (" training.batch = 4 ", "training.batch", 4),
        ("training.images=1_000", "training.images", 1000),
        ("training.learning_rate=1e-3", "training.learning_rate", 0.001),
        ("training.learning_rate=1", "training.learning_rate", 1.0),
        ("training.betas=0,0.9", "training.betas", (0.0, 0.9)),
        ("training.betas=[0, 0.9]", "training.betas", (0.0, 0.9)),
        ("data.flip=false", "data.flip", False),
        ("data.domains=horse, zebra", "data.domains", ("horse", "zebra")),
        ('data.domains=["a, b", "c"]', "data.domains", ("a, b", "c")),
        ("data.domains=", "data.domains", ()),
        ("data.domains=1,2", "data.domains", ("1", "2")),
        ("data.fit=stretch", "data.fit", "stretch"),
        ("objective.adversarial=hinge", "objective.adversarial", "hinge"),
        ("seed=7", "seed", 7),
    ],
)
def test_an_override_takes_the_type_of_its_option(override: str, name: str, value: Any) -> None:
    changed = Experiment.load(EXPERIMENT, overrides=[override])
    found = dict(flat(changed.encode()))[name]
    assert found == value
    assert type(found) is type(value)
    assert {n for n, _, _ in changed.differences(Experiment.load(EXPERIMENT))} <= {name}


def test_the_last_of_two_overrides_counts() -> None:
    assert Experiment.load(EXPERIMENT, overrides=["training.batch=4", "training.batch=8"]).training.batch == 8


@pytest.mark.parametrize("order", [1, -1])
def test_another_translator_replaces_the_options_whatever_the_order(order: int) -> None:
    overrides = ["translator.name=unet", "translator.depth=5"][::order]
    changed = Experiment.load("tiny", overrides=overrides).translator
    assert changed == recipes.UNet(depth=5)  # the width of tiny's resnet is not the unet's
    names = {"translator__name": "unet", "translator__depth": 5}
    assert Experiment.load("tiny").replace(**dict(list(names.items())[::order])).translator == changed


def test_the_same_translator_said_again_keeps_its_options() -> None:
    tiny = Experiment.load("tiny")
    assert Experiment.load("tiny", overrides=["translator.name=resnet"]) == tiny
    assert tiny.replace(translator__name="resnet") == tiny


def test_options_of_the_translator_that_was_left_do_not_fit_the_new_one() -> None:
    error = refused("translator.blocks=6", "translator.name=unet")
    assert error.what.startswith("translator.blocks")


# --- refused


@pytest.mark.parametrize(
    ("override", "named", "hint"),
    [
        ("training.bach=4", "training.bach", "did you mean 'training.batch'?"),
        ("learning_rate=1", "learning_rate", "did you mean 'training.learning_rate'?"),
        ("trainning.batch=4", "trainning", "did you mean 'training'?"),
        ("translator.width_=3", "translator.width_", "did you mean 'translator.width'?"),
        ("translator.name=unett", "translator.name", "did you mean 'unet'?"),
        ("objective.adversarial=hing", "objective.adversarial", "did you mean 'hinge'?"),
        ("data.fit=qqqq", "data.fit", "known: stretch, cover"),
        ("training.batch=four", "training.batch", "a whole number"),
        ("training.batch=4.0", "training.batch", "a whole number"),
        ("training.batch=true", "training.batch", "a whole number"),
        ("training.batch=", "training.batch", "a whole number"),
        ("training.batch=4 # of course", "", ""),
        ("data.flip=1", "data.flip", "true or false"),
        ("data.flip=True", "data.flip", "true or false"),
        ("objective.cycle=nan", "objective.cycle", "a number"),
        ("objective.cycle=inf", "objective.cycle", "a number"),
        ("objective.cycle=-inf", "objective.cycle", "a number"),
        ("objective.cycle=1e400", "objective.cycle", "a number"),
        (f"objective.cycle={'9' * 400}", "objective.cycle", "a number"),
        (f"objective.cycle={'9' * 5000}", "objective.cycle", "a number"),
        (f"training.batch={'[' * 5000}", "training.batch", "a whole number"),
        ("training.betas=0.5", "training.betas", "2 values"),
        ("training.betas=0.5,0.9,0.9", "training.betas", "2 values"),
        ("training.betas=0.5,x", "training.betas", "a number"),
        ("training.betas=0.5,1.5", "training.betas", "0 to 1"),
        ("training.batch=0", "training.batch", "1 to 4096"),
        ("data.size=-64", "data.size", "16 to 4096"),
        ("seed=-1", "seed", "0 to"),
        ("translator=unet", "translator", "translator.name"),
        ("training=3", "training", "known: images"),
        ("training.batch.size=3", "training.batch", "a whole number"),
        ("training.batch", "training.batch", "key=value"),
        ("=4", "=4", "training.batch=4"),
        ("extends=tiny", "extends", "known"),
        ("", "", "training.batch=4"),
    ],
)
def test_what_does_not_fit_is_named_with_a_way_out(override: str, named: str, hint: str) -> None:
    if "#" in override:  # a comment is TOML's, and no harm
        assert Experiment.load(EXPERIMENT, overrides=[override]).training.batch == 4
        return
    error = refused(override)
    assert named in error.what
    assert hint in f"{error.what} {error.hint}"


@pytest.mark.parametrize("name", [name for name, hint, _ in OPTIONS if hint in (int, float)])
def test_the_ends_of_every_range_are_inside_it(name: str) -> None:
    hint, spec = next((h, s) for n, h, s in OPTIONS if n == name)
    overrides = ["translator.name=unet"] if name == "translator.depth" else []
    if name == "translator.blocks":
        overrides = ["translator.name=resnet"]
    overrides = overrides or list(_choosing(name))
    for edge, step in ((spec.metadata["low"], -1), (spec.metadata["high"], 1)):
        if edge not in (float("inf"), float("-inf")):
            Experiment.load(EXPERIMENT, overrides=[*overrides, f"{name}={hint(edge)!r}"])
            refused(*overrides, f"{name}={hint(edge + step)!r}")


def _choosing(name: str) -> Iterator[str]:
    """Yield what chooses, of several tables, the first that has an option, where the usual one lacks it."""
    table, _, option = name.partition(".")
    if option and not hasattr(getattr(Experiment(), table), option):
        choices = get_args(get_type_hints(Experiment)[table])
        yield f"{table}.name={next(choice().name for choice in choices if hasattr(choice(), option))}"


def test_an_unknown_preset_is_met_with_the_nearest() -> None:
    error = refused(source="cyclgan-2017")
    assert "cyclgan-2017" in error.what
    assert error.hint == "did you mean 'cyclegan-2017'?"


@pytest.mark.parametrize(
    "text",
    [
        "seed =",
        "[nowhere]\nx = 1",
        "seed = 'text'",
        "training = 3",
        "translator = 3",
        "translator = []",
        "[translator]\nname = 3",
        "[translator]\nname = ['resnet']",
        "[[translator]]\nname = 'resnet'",
        "[objective]\nadversarial = ['hinge']",
        "[data]\nfolders = 'horses'",
        "[data]\nfolders = [1, 2]",
        "[training]\nbetas = [[0.5], 0.9]",
        "seed = 2024-01-01",
        f"seed = {'9' * 5000}",
        f"seed = {'[' * 5000}",
        "extends = 3",
        "extends = ''",
        "extends = 'tinny'",
        "extends = 'mine.toml'",
        "extends = 'nowhere.toml'",
        "\x00",
        "\udcff",
    ],
)
def test_a_file_that_makes_no_sense_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises((UsageError, InputError)) as caught:
        read(text, tmp_path)
    assert caught.value.hint


NAMES = st.sampled_from(
    ["translator", "training", "data", "objective", "seed", "name", "width", "betas", "folders", "batch", "unet", "x"]
)
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), NAMES)
TABLES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))


@PLAYS
@given(st.dictionaries(NAMES, TABLES, max_size=2))
def test_any_table_is_an_experiment_or_refused(table: dict[str, Any]) -> None:
    try:
        experiment = Experiment.decode(table)
    except StylError:
        return
    assert Experiment.decode(tomllib.loads(experiment.toml())) == experiment


# --- extended


def test_a_file_extends_a_preset_and_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "below.toml").write_text("extends = 'tiny'\n[training]\nbatch = 2\n[data]\nsize = 32\n")
    above = read("extends = 'below.toml'\n[training]\nbatch = 8\n", tmp_path)
    assert above == Experiment.load("tiny").replace(training__batch=8, data__size=32)


def test_files_that_extend_one_another_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("extends = 'mine.toml'\n")
    with pytest.raises(UsageError, match="extends itself"):
        read("extends = 'other.toml'\n", tmp_path)


def test_a_layer_with_another_translator_starts_from_its_defaults(tmp_path: Path) -> None:
    assert read("extends = 'tiny'\n[translator]\nname = 'unet'\n", tmp_path).translator == recipes.UNet()


# --- settled


def test_what_was_left_open_is_chosen_as_in_the_paper() -> None:
    paper = Experiment.load("cyclegan-2017")
    assert paper.settled(1000).training.images == 200_000
    assert paper.settled(1000).translator == recipes.ResNet(blocks=9)
    assert paper.replace(data__size=128).settled(5).translator == recipes.ResNet(blocks=6)
    assert paper.replace(training__images=50).settled(1000).training.images == 50
    assert paper.replace(training__minutes=1.0).settled(1000).training.images == 0
    assert Experiment.load("unet").settled(1).translator == recipes.UNet(depth=8)
    assert Experiment.load("unet").replace(data__size=96).settled(1).translator == recipes.UNet(depth=5)
    assert paper.settled(1000).settled(7) == paper.settled(1000)


@pytest.mark.parametrize(
    "overrides",
    [
        {"data__size": 30},
        {"data__size": 18, "critic__layers": 2},
        {"translator__name": "unet", "data__size": 30},
        {"translator__name": "unet", "translator__depth": 5, "data__size": 48},
        {"data__size": 16, "critic__layers": 3},
        {"data__size": 128, "critic__layers": 6},
    ],
)
def test_a_size_the_networks_cannot_take_is_refused_before_the_work(overrides: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"data\.size"):
        Experiment.load("tiny").replace(**overrides).settled(10)


def test_a_kernel_without_a_middle_is_refused_before_the_work() -> None:
    with pytest.raises(UsageError, match="no middle"):
        Experiment.load("tiny").replace(translator__kernel=4).settled(10)


@pytest.mark.parametrize("name", ["resnet", "unet"])
@pytest.mark.parametrize("layers", range(5))
@pytest.mark.parametrize("size", [16, 20, 24, 30, 32, 44, 48, 64])
def test_the_sizes_that_are_accepted_are_those_the_networks_take(name: str, layers: int, size: int) -> None:
    """Networks say what they take (`multiple`, `smallest`); the experiment knows it without them."""
    tried = Experiment().replace(
        translator__name=name, translator__width=1, critic__layers=layers, critic__width=1, data__size=size
    )
    try:
        settled = tried.settled(1)
    except UsageError:
        settled = None
    translator = settled or tried.replace(data__size=64, critic__layers=0).settled(1)
    options = dataclasses.asdict(translator.translator)
    if name == "unet" and not settled:
        options["depth"] = max(2, min(8, (size & -size).bit_length() - 1))
    with torch.device("meta"):
        network = NETWORKS[options.pop("name")](**options)
        critic = NETWORKS["patchgan"](layers=layers, width=1)
        fits = size % network.multiple == 0 and size >= max(network.smallest, critic.smallest)
        assert fits == (settled is not None)
        if fits:
            picture = torch.empty(1, 3, size, size)
            assert network(picture).shape == picture.shape
            assert min(critic(picture).shape[-2:]) >= 1


# --- the same in the networks


PARTNERS: list[tuple[Any, Callable[..., Any]]] = [
    (recipes.ResNet, NETWORKS["resnet"]),
    (recipes.UNet, NETWORKS["unet"]),
    (recipes.PatchGAN, NETWORKS["patchgan"]),
    (recipes.TwoOneTwo, NETWORKS["2-1-2d"]),
    (recipes.GatedPatchGAN, NETWORKS["gated-patchgan"]),
    (recipes.Autoencoder, NETWORKS["autoencoder"]),
    (recipes.R3Generator, NETWORKS["r3-generator"]),
    (recipes.R3Critic, NETWORKS["r3-critic"]),
    (recipes.DCGANGenerator, NETWORKS["dcgan-generator"]),
    (recipes.DCGANCritic, NETWORKS["dcgan-critic"]),
    (recipes.CycleGAN, OBJECTIVES["cyclegan"]),
    (recipes.MaskCycleGAN, OBJECTIVES["mask-cyclegan"]),
    (recipes.Distillation, OBJECTIVES["distillation"]),
    (recipes.VAE, OBJECTIVES["vae"]),
    (recipes.GAN, OBJECTIVES["gan"]),
]


@pytest.mark.parametrize(("options", "built"), PARTNERS, ids=[kind.__name__ for kind, _ in PARTNERS])
def test_options_are_those_of_what_is_built(options: Any, built: Any) -> None:
    assert options.__name__ == built.__name__
    taken = inspect.signature(built).parameters
    annotations, hints = get_type_hints(built.__init__), get_type_hints(options)
    for spec in dataclasses.fields(options):
        if spec.name in ("name", *TOLD_ELSEWHERE):
            continue
        assert spec.name in taken, f"{built.__name__} knows no {spec.name}"
        parameter = taken[spec.name]
        assert parameter.kind is parameter.KEYWORD_ONLY
        automatic = spec.name in ("blocks", "depth") and spec.default == 0
        assert automatic or parameter.default == spec.default, spec.name
        wanted, choices = annotations[spec.name], hints[spec.name]
        if get_origin(choices) is Literal and get_origin(wanted) is Literal:
            assert set(get_args(choices)) <= set(get_args(wanted)), spec.name
        elif get_origin(choices) is Literal:
            assert wanted is str
        else:
            assert choices == wanted, spec.name


TABLES_OF_CHOICE = ("codec", "translator", "critic", "objective")


def test_every_choice_of_name_can_be_built() -> None:
    hints = get_type_hints(Experiment)
    named = {table: {kind().name for kind in get_args(hints[table])} for table in TABLES_OF_CHOICE}
    assert named["translator"] | named["critic"] == {*NETWORKS, "none"}
    assert named["objective"] == set(OBJECTIVES) == set(PARTS)
    for game, parts in PARTS.items():
        assert all(set(fitting) <= named[part] for part, fitting in parts.items()), game


@pytest.mark.parametrize("generator", ["r3-generator", "dcgan-generator"])
@pytest.mark.parametrize("critic", ["r3-critic", "dcgan-critic"])
@pytest.mark.parametrize("size", [16, 20, 24, 28, 30, 48])
def test_a_gan_of_any_pair_takes_the_sizes_that_are_accepted(generator: str, critic: str, size: int) -> None:
    kinds = {"translator__name": generator, "critic__name": critic, "objective__name": "gan"}
    tried = Experiment().replace(**kinds, translator__width=2, critic__width=2, data__size=size)
    assert tried.folders == 1
    if size == 30:
        with pytest.raises(UsageError, match=r"data\.size"):
            tried.settled(1)
        return
    with torch.device("meta"):
        objective = assemble(tried.settled(1), channels=3)
        painted = objective.get_submodule("G")(torch.empty(2, tried.translator.latent))
        assert painted.shape == (2, 3, size, size)
        assert objective.get_submodule("D")(painted).shape == (2, 1)


@pytest.mark.parametrize("name", presets())
def test_a_preset_builds_without_memory_and_keeps_the_size(name: str) -> None:
    settled = Experiment.load(name).settled(larger_folder=100)
    with torch.device("meta"):
        size, voice = settled.data.size, isinstance(settled.codec, recipes.Voice)
        picture = torch.empty(1, 1, settled.codec.coefficients, size) if voice else torch.empty(1, 3, size, size)
        objective = assemble(settled, channels=picture.shape[1], teacher=NETWORKS["resnet"](width=1))
        for name in objective.averaged:
            network = objective.get_submodule(name)
            taken = torch.empty(1, settled.translator.latent) if name == "G" and settled.folders == 1 else picture
            assert network(taken).shape == picture.shape
        for critic in {"D", "D_x", "D_y", "D2_x", "D2_y"} & dict(objective.named_children()).keys():
            assert objective.get_submodule(critic)(picture).shape[:2] == (1, 1)


def test_enlarging_is_the_papers_286_of_256() -> None:
    assert round(Data().size * Data().enlarge) == 286
