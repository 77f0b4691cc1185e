"""Generated options: every one ends in one line that names it, or in a config that has what was meant.

``SMILE_CAMPAIGN_CASES=5000 pytest -n0 -s tests/test_options_campaign.py`` runs more of them, other ones every time, and
prints how many of each kind there were.
"""

from __future__ import annotations

import dataclasses
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from smile.config.parse import GROUPS
from smile.config.run import RunConfig
from smile.options import ConfigError
from smile.preflight import compose, compose_jobs, parse_arguments, quote_functions
from smile.tracking.trackers import TRACKERS

CASES = int(os.environ.get("SMILE_CAMPAIGN_CASES", 0))
FEW = 25  # of each kind, in the suite
BOOKKEEPING = ("name", "code", "digest")

BASES = {
    "target": {
        "bnn": "target=bnn",
        "nanogpt": "target=nanogpt",
        "custom": "target=custom target.factory=a.b",
    },
    "data": {
        "csv": "target=bnn data=csv data.path=a.csv data.target=y",
        "text": "target=nanogpt data=text",
        "modern_shakespeare": "target=nanogpt data=modern_shakespeare",
    },
    "model": {"custom": "target=bnn model=custom model.factory=a.b", "gpt": "target=nanogpt"},
    "sampler": {"mclmc": "noise=none sampler=mclmc"},
    "tuner": {"mclmc": "noise=none sampler=mclmc"},
    "warm_start": {"adamw": "target=bnn"},
}
# What is a text: a name, a path or a label, which may look like anything.
TEXTS = {
    "variant",
    "results_dir",
    "data.path",
    "data.dir",
    "data.target",
    "scale",
    "tracker.tensorboard.dir",
    "tracker.wandb.project",
    "study",
}
WORDS: dict[str, tuple[Any, ...]] = {"inf": (None, float("inf")), "none": (None, "none"), "null": (None,)}
WORDS["1e999"] = WORDS["inf"]  # as a number it is infinite, too

WRONG = [
    "banana",
    "[1]",
    "[]",
    "{a:1}",
    "[a,b]",
    "''",
    "nan",
    "1e999",
    "-1e999",
    "true1",
    "1.2.3",
    "0x10",
    "1,5",
]
EDGES = [
    "1" + "0" * 400,
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1",
    "2",
    "3",
    "0.5",
    "-0.5",
    "1.5",
    "1e308",
    "1e-308",
    "1e20",
]
EDGES += [
    "-1e20",
    "1e6",
    "inf",
    "-inf",
    "2147483648",
    "4294967296",
    "1_000",
    "[1,2]",
    "[0]",
    "[1.5]",
    "[-1]",
    "'1'",
]
EDGES += ["auto", "none"]


class Case(NamedTuple):
    """One wrong, or not so wrong, option on the command line.

    Attributes:
        base: the options around it.
        option: its name.
        value: as it is typed.
        typed: how the option is typed, misspelt where that is the fault.
    """

    base: tuple[str, ...]
    option: str
    value: str
    typed: str = ""

    @property
    def arguments(self) -> list[str]:
        return [*self.base, f"{self.typed or self.option}={self.value}"]


def options() -> list[tuple[tuple[str, ...], str]]:
    """Every option of the schema, with options around it that make it one."""
    found = []
    for group, choices in GROUPS.items():
        for name, cls in choices.items():
            network = group in ("data", "model", "warm_start")
            usual = f"target=bnn {group}={name}" if network else f"{group}={name}"
            base = tuple(BASES.get(group, {}).get(name, usual).split())
            for field in dataclasses.fields(cls) if cls else ():
                if field.name not in BOOKKEEPING:
                    found.append((base, f"{group}.{field.name}"))
    plain = [field.name for field in dataclasses.fields(RunConfig) if "convert" in field.metadata]
    plain = [name for name in plain if name != "experiment"]  # of which test_names_of_experiments tells
    plain += ["step_size", "grid.min", "grid.max", "grid.num", "study"]
    for name, tracker in TRACKERS.items():
        found += [
            ((f"tracker={name}",), f"tracker.{name}.{field.name}") for field in dataclasses.fields(tracker)
        ]
    return found + [((), name) for name in plain]


OPTIONS = options()


def sample(cases: list[Case], seed: int) -> list[Case]:
    """The same cases in every run of the suite, other ones in every campaign."""
    count = CASES // 3 or FEW
    return random.Random(None if CASES else seed).sample(cases, min(count, len(cases)))


def outcome(case: Case) -> RunConfig | str:
    """The config, or the one line; anything else that is raised is a fault of ours."""
    try:
        return compose(case.arguments)
    except ConfigError as error:
        message = str(error)
    assert "\n" not in message
    assert any(words in message for words in ("; valid: ", "no such option", "not given")), message
    return message


def given_in(config: RunConfig, option: str) -> Any:
    if option.startswith("grid."):
        return None
    value: Any = config
    for part in ("experiment" if option == "study" else option).split("."):
        value = getattr(value, part)
    return value


def meant(value: str, found: Any, option: str) -> bool:
    """Whether a config holds what was typed."""
    if option in TEXTS:
        return str(found) == value.strip("'") or (value == "null" and found is None)
    if value in WORDS and found in WORDS[value]:
        return True
    if isinstance(found, bool):
        return value == str(found).lower()
    entries = value.strip("[]").split(",") if value.startswith("[") else [value]
    values = list(found) if isinstance(found, tuple) else [found]
    if all(isinstance(one, int | float) for one in values):
        try:
            return [float(one) for one in values] == sorted(
                float(entry.replace("_", "")) for entry in entries
            )
        except ValueError:
            return False
    return [str(one) for one in values] == [entry.strip("'") for entry in entries]


def is_named(option: str, message: str) -> bool:
    """The line names the option, first or as what another one must fit to."""
    names = (option, "experiment") if option == "study" else (option,)  # two names for one thing
    return any(re.search(rf"(^|[^\w.]){re.escape(name)}\b", message) for name in names)


def run(cases: list[Case], check: Callable[[Case, RunConfig | str], str]) -> None:
    """Every case; the answer of ``check`` is counted, and is empty where something is wrong."""
    counts, wrong = Counter[str](), []
    for case in cases:
        try:
            found = outcome(case)
            kind = check(case, found)
        except Exception as error:
            found, kind = f"{type(error).__name__}: {error}", ""
        counts[kind or "WRONG"] += 1
        if not kind:
            wrong.append(f"{' '.join(case.arguments)[:200]} -> {str(found)[:300]}")
    print(f"{counts.total()} cases: {dict(counts)}")
    assert not wrong, "\n".join(wrong)


def check_value(case: Case, found: RunConfig | str) -> str:
    if isinstance(found, str):
        return "refused by name" if is_named(case.option, found) else ""
    if case.option.startswith("grid."):
        return "accepted" if case.value in EDGES and case.value not in ("null", "nan") else ""
    return "accepted as meant" if meant(case.value, given_in(found, case.option), case.option) else ""


def test_every_value_of_every_option_is_meant_or_refused_by_name() -> None:
    cases = [Case(base, option, value) for base, option in OPTIONS for value in (*WRONG, *EDGES)]
    run(sample(cases, 1), check_value)


def misspelt(name: str) -> Iterator[str]:
    """A name with a letter too many, too few, another one, or two in the wrong order."""
    head, dot, tail = name.rpartition(".")
    for i in range(len(tail)):
        yield from (f"{head}{dot}{wrong}" for wrong in (tail[:i] + tail[i + 1 :], tail[:i] + "x" + tail[i:]))
        if i and tail[i] != tail[i - 1]:
            yield f"{head}{dot}{tail[: i - 1]}{tail[i]}{tail[i - 1]}{tail[i + 1 :]}"


def check_misspelt(case: Case, found: RunConfig | str) -> str:
    if not isinstance(found, str):
        return ""
    leaf = case.option.rpartition(".")[2]
    if is_named(case.typed, found) and f"did you mean {leaf!r}?" in found:
        return "the right name is offered"
    return "refused by name" if is_named(case.typed, found) and "no such option" in found else ""


def test_every_misspelt_option_is_refused_by_name() -> None:
    known = {option for _, option in OPTIONS} | {*GROUPS, "experiment"}
    cases = [
        Case(base, option, "1", plus + typed)
        for base, option in OPTIONS
        for typed in misspelt(option)
        for plus in ("", "+")
        if typed not in known and typed.rpartition(".")[2]
    ]
    run([case._replace(typed=case.typed) for case in sample(cases, 2)], check_plus)


def check_plus(case: Case, found: RunConfig | str) -> str:
    return check_misspelt(case._replace(typed=case.typed.removeprefix("+")), found)


CHARACTERS = "aB0._-/ üß日'\"\\()[]{}:=,$#~%&;!?*@+\t"


def check_text(case: Case, found: RunConfig | str) -> str:
    if isinstance(found, str):
        return "refused by name" if is_named(case.option, found) else ""
    value = given_in(found, case.option)
    return "accepted as typed" if value == case.value or value == case.value.strip() else ""


def test_texts_come_out_as_typed_or_are_refused_by_name() -> None:
    """Quotes, brackets, backslashes and interpolations belong to Hydra where they can be read as such."""
    rng = random.Random(None if CASES else 3)
    csv = ("target=bnn", "data=csv")
    bases = {
        "data.path": (*csv, "data.target=y"),
        "data.target": (*csv, "data.path=a.csv"),
        "results_dir": (),
        "variant": (),
        "study": (),
        "tracker.wandb.project": (),
    }
    cases = []
    while len(cases) < (CASES // 3 or FEW):
        option = rng.choice(list(bases))
        text = "".join(rng.choice(CHARACTERS) for _ in range(rng.randint(1, 8)))
        if not set(text) & set("'\"\\,$()[]{}"):
            cases.append(Case(bases[option], option, text))
    run(cases, check_text)


NO_NAMES = ("1", "0.5", "true", "null", "1e308", "{a:1}", "[1]", "nan", "")
NAMED = (
    *GROUPS,
    "grid",
    "scale",
    "tracker",
    "protocol",
    "compat",
    "+method",
    "+compat",
    "+rotation",
    "hydra",
)


def test_a_group_that_is_given_no_name_says_its_names() -> None:
    cases = [Case(sweep, group, value) for group in NAMED for value in NO_NAMES for sweep in ((), ("-m",))]
    for case in sample(cases, 4):
        with pytest.raises(ConfigError) as error:
            compose_jobs(parse_arguments(quote_functions(case.arguments)))
        assert is_named(case.option.removeprefix("+"), str(error.value)), error.value


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("=3", "command line: got '=3'; valid: option=value"),
        ("-m sampler=1,2", "sampler: got 1; valid: adasghmc"),
        ("-m seed=range(0,0)", "valid: 1 to 100000 runs, not 0"),
        ("-m seed=range(0,1000000000)", "valid: 1 to 100000 runs, not 1000000000"),
        ("-m seed=range(0,1000) replications=range(1,1000)", "valid: 1 to 100000 runs, not 999000"),
        ("step_size=logspace(1e-3,1e-1,1e9)", "a whole num from 2 to 10000"),
        ("grid.num=1e308", "grid.num: got 1e+308; valid: a whole number >= 2 and <= 10000"),
        ("grid.min=1", "grid.min: got 1.0; valid: a number > 0 below grid.max=0.1"),
        ("hydra.job.chdir=true", "hydra.job.chdir: got True; valid: false"),
        ("hydra.launcher=4", "hydra.launcher: got 4"),
        ("hydra/launcher=cors", "hydra/launcher: got 'cors'; valid: basic, cores"),
        (
            "+hydra.sweeper.params={seed:1}",
            "hydra.sweeper.params: got '{seed:1}'; valid: -m option=value,value",
        ),
        ("-m hydra.sweeper.params.seed=1,2", "hydra.sweeper.params.seed: got '1,2'; valid: -m option="),
        (
            "-m target=bnn data=energy,airfoil data.dri=x",
            "data.dri: no such option of data=energy; valid: dir",
        ),
        ("seed=1" + "0" * 5000, "seed: got '10000000000000000000...'; valid: at most 4300 digits"),
        ("-m +experiment=table1,uci", "experiment: got 'table1,uci'; valid: one preset a command"),
        ("--config-name=other", "--config-name: got 'other'; valid: nothing"),
        ("--package=other", "--package: got 'other'"),
        ("replications=1000000000", "less: 1.5e+10 chains of 10 numbers need 7.19e+05 GiB, more than 1 TiB"),
        ("target.dim=1000000", "target.dim: got 1000000; valid: less"),
        ("devices=100000", "auto or a whole number >= 1 and <= 1024"),
        ("step_size=1e-60", "step_size: got 1e-60"),
        ("target.condition_number=1e308", "of a size from 1.17549e-38 to 3.4e+38"),
    ],
)
def test_what_was_a_traceback_a_hang_or_silence_is_one_line(arguments: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        compose_jobs(parse_arguments(quote_functions(arguments.split(" "))))
    assert words in str(error.value)


def test_options_of_choices_that_are_swept() -> None:
    """They belong to every one of them, though not to the default."""
    swept = "-m target=bnn data=energy,airfoil data.dir=folder seed=range(0,2)"
    configs = compose_jobs(parse_arguments(quote_functions(swept.split())))
    assert [(c.data.name, c.data.dir, c.seed) for c in configs] == [
        (name, "folder", seed) for name in ("energy", "airfoil") for seed in (0, 1)
    ]


def test_names_of_experiments() -> None:
    assert compose(["experiment=mystudy"]).experiment == "mystudy"
    assert compose(["experiment=2024"]).experiment == "2024"
    assert compose(["+experiment=sghmc_friction", "experiment=mine", "seed=3", *TABLE]).experiment == "mine"
    swept = compose_jobs(parse_arguments(quote_functions(["-m", "experiment=mine,yours"])))
    assert [job.experiment for job in swept] == ["mine", "yours"]
    for near in ("table1", "tabel1", "table"):
        with pytest.raises(ConfigError, match=r"^experiment: got .*\+experiment=table1"):
            compose([f"experiment={near}"])
    with pytest.raises(ConfigError, match=r"^experiment: got null"):
        compose(["experiment=null"])
    with pytest.raises(ConfigError, match=r"^experiment: got 'a/b'; valid: a name of letters"):
        compose(["experiment=a/b"])


TABLE = ("target=icg", "noise=isotropic", "step_size=0.1")
