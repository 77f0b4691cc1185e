"""Every YAML composes, every preset parses, and a run's identity is what determines its numbers."""

from __future__ import annotations

import itertools
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from smile.config.identity import identify, run_id, to_dict
from smile.config.parse import from_dict, parse, parse_step_size
from smile.config.run import RunConfig
from smile.options import ConfigError
from smile.paths import SCALES, conf_dir
from smile.preflight import compose, compose_jobs, parse_arguments, quote_functions
from smile.tables import load_spec, table_names


@cache
def jobs(*arguments: str) -> list[RunConfig]:
    return compose_jobs(parse_arguments(quote_functions(arguments)))


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


NETWORK = ("data", "model", "warm_start")
TEXTS = ("modern_shakespeare", "text", "gpt")  # data and models of target=nanogpt
GROUPS = (*NETWORK, "target", "noise", "sampler", "tuner", "grid", "scale", "tracker")
REQUIRED = {
    ("target", "custom"): ["target.factory=package.module.function"],
    ("model", "custom"): ["model.factory=package.module.function"],
    ("data", "csv"): ["data.path=a.csv", "data.target=y"],
    ("sampler", "mclmc"): ["noise=none"],
    ("tuner", "mclmc"): ["sampler=mclmc", "noise=none"],
}
CHOICES = [(group, choice) for group in GROUPS for choice in choices(group)]


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_composes(group: str, choice: str) -> None:
    target = "target=nanogpt" if choice in TEXTS else "target=bnn"
    network = [target] if group in NETWORK and choice != "none" else []
    config = compose([f"{group}={choice}", *network, *REQUIRED.get((group, choice), [])])
    if choice == "none" and group in NETWORK:
        assert getattr(config, group) is None
    elif group in (*NETWORK, "target", "noise", "sampler", "tuner"):
        assert getattr(config, group).name == choice


@pytest.mark.parametrize("choice", choices("rotation"))
def test_rotations_compose(choice: str) -> None:
    assert compose([f"+rotation={choice}", "noise=correlated"]).variant == choice


BASELINES = ("table1_baseline", "table1_baseline_grid", "uci_full_batch")  # one column for all rows

DESK = (
    "ablation_batch_size",
    "figure1",
    "figure2",
    "fmnist",
)  # networks with a protocol of a night of two cores

BLOCKS = {
    "uci": ["data=energy"],
    "small_tables": ["data=wine"],
    **{f"posteriors{kind}": ["target=breast_cancer"] for kind in ("", "_independent", "_contrast_friction")},
    "posteriors_full_batch": ["target=breast_cancer"],
    "control_variates": ["target=breast_cancer"],
    **{f"recommended{kind}": ["target=breast_cancer"] for kind in ("", "_independent")},
}

# Of these, an axis whose values differ in nothing but themselves has one at the paper's scale.
WHOLES = {
    "uci": ["seed=1"],
    "posteriors": ["target.batch_size=64"],
    "table1_published": ["sampler=smile,sghmc"],
}


@pytest.mark.parametrize("preset", choices("experiment"))
def test_every_preset_parses_at_every_scale_into_runs_of_a_table(preset: str) -> None:
    """The paper's scale as a whole, but for the variants of Table 1; of the others one block."""
    is_analytic = preset.startswith(("table1", "sghmc"))
    is_whole = not is_analytic or preset == "table1_published"  # whose grids depend on the cell
    whole = WHOLES.get(preset, [])
    block = BLOCKS.get(preset, [])
    if is_analytic:
        block = ["target=icg", *([] if preset in BASELINES else ["noise=correlated"])]
    for scale in SCALES:
        if scale == "full" and not is_analytic:  # networks have the published length at most
            continue
        if scale == "desk" and not is_analytic and preset not in DESK:
            continue
        configs = jobs(
            f"+experiment={preset}", f"scale={scale}", *(whole if scale == "paper" and is_whole else block)
        )
        assert configs and all(config.experiment in table_names() for config in configs)
        assert len({run_id(config) for config in configs}) == len(configs)
        if preset not in BASELINES:
            for config in configs:
                _is_known_to_its_table(config)


def _is_known_to_its_table(config: RunConfig) -> None:
    spec = load_spec(config.experiment)
    values = {
        "method": f"{config.sampler.name} {config.tuner.name}",
        "sampler": config.sampler.name,
        "variant": config.variant,
        "target": config.target.name,
        "noise": config.noise.name,
        "data": config.data.name if config.data else "none",
    }
    assert all(values[key] in spec.labels[key] for key in spec.keys), values


@pytest.mark.parametrize("arguments", [["+experiment=uci", "scale=desk"], ["target=bnn", "scale=full"]])
def test_a_scale_without_a_protocol_of_the_network_is_refused(arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"^scale: got '(desk|full)'; valid: paper, quick, smoke$"):
        jobs(*arguments)


@pytest.mark.parametrize("preset", ["figure1", "figure2", "fmnist"])
def test_a_night_at_the_desk_has_three_seeds_and_a_thousand_steps_or_more(preset: str) -> None:
    configs = jobs(f"+experiment={preset}", "scale=desk")
    assert {config.seed for config in configs} == {1, 2, 3}
    assert all(config.num_steps >= 1000 and len(config.step_size) == 4 for config in configs)


@pytest.mark.parametrize(
    ("preset", "method", "expected"),
    [
        ("fmnist", "psmile", (15000, 5000, 100, 8, 512)),
        ("figure1", "smile", (15000, 5000, 100, 8, 512)),
        ("resnet18", "csgld", (15000, 0, 150, 8, 512)),
        ("vit", "psmile", (15000, 5000, 100, 4, 128)),
        ("vit", "adasghmc", (30000, 10000, 200, 4, 128)),
        ("figure2", "psmile", (1200, 200, 100, 4, 128)),
    ],
)
def test_the_published_protocol_of_images_and_text(
    preset: str, method: str, expected: tuple[int, ...]
) -> None:
    config, *_ = [
        c for c in jobs(f"+experiment={preset}", "scale=paper", f"+method={method}") if c.sampler.name in
        {"psmile": "psmile", "smile": "smile", "csgld": "sgld", "adasghmc": "adasghmc"}[method]
    ]  # fmt: skip
    found = (config.num_steps, config.burn_in, config.thinning, config.replications, config.target.batch_size)
    assert found == expected


def test_run_ids_outlive_new_options() -> None:
    """Of results that lie in this repository: an option added later must not orphan them."""
    table1 = ["target=icg", "noise=isotropic", "sampler=smile", "target.start=mode", "noise.rotation=aligned"]
    for experiment, scale, options, expected in (
        ("table1", "paper", table1, "f60dc7d76048"),
        (
            "table1_rotations",
            "paper",
            ["noise=diagonal", "sampler=smile", "+rotation=aligned"],
            "917a57a70155",
        ),
        ("sghmc_friction", "paper", ["target=icg", "noise=isotropic"], "bd58439d1b4f"),
        ("uci", "quick", ["data=airfoil", "+method=smile_naive"], "b51f7ff18f19"),
    ):
        assert run_id(jobs(f"+experiment={experiment}", f"scale={scale}", *options)[0]) == expected


def test_the_default_preconditioner_depends_on_what_is_sampled() -> None:
    """Runs of the older rule keep their ids, wherever it is chosen."""
    assert compose(["target=icg"]).sampler.preconditioner == "noise_scale"
    assert compose(["target=custom", "target.factory=a.b"]).sampler.preconditioner == "auto"
    network = compose(["target=bnn"])
    assert (network.sampler.preconditioner, network.step_size) == ("posterior_scale", (0.03,))
    assert compose(["target=bnn", "sampler=smile"]).step_size == (0.001,)
    older = compose(["target=bnn", "sampler.preconditioner=noise_scale"])
    assert "preconditioner" not in identify(older)["sampler"]
    reference = compose(["target=bnn", "+compat=reference"]).sampler
    assert (reference.preconditioner, reference.reference) == ("noise_scale", "network")
    of_the_table = ["+experiment=uci", "scale=quick", "+method=psmile_naive"]
    assert run_id(jobs(*of_the_table, "sampler.preconditioner=noise_scale")[0]) == "e69228c2cf3c"
    assert run_id(jobs(*of_the_table)[0]) != "e69228c2cf3c"


def test_what_only_divides_the_work_is_no_part_of_the_id() -> None:
    base = ["target=bnn", "data=digits", "model=resnet18"]
    divided = [
        "target.chains_at_once=1",
        "target.rows_at_once=9",
        "target.microbatches=2",
        "model.remat=true",
    ]
    assert run_id(compose([*base, *divided])) == run_id(compose(base))
    for option in ("model.dtype=bfloat16", "data.limit=100", "warm_start.b2=0.9", "model.width=8"):
        assert run_id(compose([*base, option])) != run_id(compose(base))


def test_images_in_another_encoding_are_other_data(tmp_path) -> None:
    (tmp_path / "train-0.parquet").write_bytes(b"12345")
    base = ["target=bnn", "data=cifar10", "model=resnet7"]
    folder = [*base, f"data.dir={tmp_path}"]
    first = run_id(compose(folder))
    assert first != run_id(compose(base))
    (tmp_path / "train-0.parquet").write_bytes(b"123456")
    assert run_id(compose(folder)) != first


@pytest.mark.parametrize(
    "arguments", [["target=icg"], ["target=nanogpt", "+method=psmile"], ["target=bnn", "data=digits"]]
)
def test_a_config_survives_its_yaml(arguments: list[str]) -> None:
    config = compose(arguments)
    assert from_dict(OmegaConf.to_container(OmegaConf.create(OmegaConf.to_yaml(to_dict(config))))) == config


def test_table1_has_48_different_runs() -> None:
    configs = jobs("+experiment=table1", "scale=paper")
    assert len({run_id(config) for config in configs}) == len(configs) == 48
    cells = {(c.target.name, c.noise.name, c.sampler.name) for c in configs}
    targets, noises = (
        ("icg", "rosenbrock", "funnel"),
        ("isotropic", "diagonal", "correlated", "spatially_varied"),
    )
    assert cells == set(itertools.product(targets, noises, ("smile", "psmile", "sgld", "sghmc")))
    assert {(c.num_steps, c.replications, len(c.step_size), c.thinning, c.burn_in) for c in configs} == {
        (10**6, 7, 15, 10, 0)
    }


def test_baseline_adapts_its_step_size() -> None:
    configs = jobs("+experiment=table1_baseline")
    assert [(c.experiment, c.sampler.name, c.noise.name, c.step_size) for c in configs] == [
        ("table1", "mclmc", "none", ())
    ] * 3


def test_rotation_variants_are_24_runs() -> None:
    configs = jobs("+experiment=table1_rotations")
    assert len({(c.variant, c.noise.name, c.sampler.name) for c in configs}) == len(configs) == 24
    seen = {c.variant: (c.target.rotation, c.noise.rotation) for c in configs}
    assert seen == {"aligned": (1, "aligned"), "independent": (1, 43), "target_axis_aligned": (None, 43)}


def test_published_grid_depends_on_the_cell_and_an_explicit_step_size_wins() -> None:
    cell = ["grid=published", "target=icg", "noise=correlated", "sampler=smile"]
    config = compose(cell)
    np.testing.assert_allclose(config.step_size, np.geomspace(1e-5, 1e-3, 15))
    assert compose([*cell, "step_size=0.1"]).step_size == (0.1,)
    assert (
        compose(["scale=smoke", "grid.num=7"]).step_size
        == compose(["step_size=logspace(1e-6, 1e-1, 7)"]).step_size
    )


def test_reference_behaviour_works_with_every_sampler_and_yields_to_explicit_options() -> None:
    for config in jobs("-m", "+compat=reference", "sampler=smile,psmile,sgld,sghmc", "target=funnel"):
        assert config.target.moments == "reference"
        assert getattr(config.sampler, "reference", "analytic") == "analytic"
    assert compose(["+compat=reference", "target.moments=exact"]).target.moments == "exact"


@pytest.mark.parametrize("given", ["null", "inf"])
def test_no_refresh_has_several_spellings(given: str) -> None:
    assert compose(["sampler=smile", f"sampler.L={given}"]).sampler.L is None


def test_run_id_ignores_where_results_go_and_the_order_of_keys() -> None:
    base = run_id(compose())
    same = [
        "results_dir=/elsewhere",
        "tracker.wandb.mode=disabled",
        "force=true",
        "dry_run=true",
        "devices=3",
        "variant=x",
    ]
    assert all(run_id(compose([option])) == base for option in same)
    assert (
        run_id(compose(["precision=float32", "seed=0"]))
        == run_id(compose(["seed=0", "precision=float32"]))
        == base
    )
    different = [
        "seed=1",
        "sampler.L=10",
        "num_steps=1000",
        "step_size=0.1",
        "target.dim=12",
        "precision=float64",
    ]
    assert len({base, *(run_id(compose([option])) for option in different)}) == 1 + len(different)


def test_run_id_is_the_same_in_every_release() -> None:
    """A changed hash orphans every result on disk: change this value only together with the schema."""
    assert run_id(compose(["scale=paper", "target.start=mode"])) == "64a6f424c6cc"


def test_shuffled_keys_parse_to_the_same_run() -> None:
    values = OmegaConf.create(
        {"target": {"name": "funnel", "moments": "exact", "dim": 4}, "noise": {"name": "none"}}
        | {group: {"name": "none"} for group in NETWORK}
    )
    rest = {
        "sampler": {"name": "sgld", "temperature": 1}, "tuner": {"name": "none"}, "step_size": 1e-3, "replications": 1,
        "tracker": {"wandb": {"mode": "auto", "project": "smile"}}, "num_steps": 1e3, "thinning": 1, "burn_in": 0,
        "seed": 0, "precision": "float32", "scale": "smoke", "experiment": "adhoc", "variant": "", "force": False,
        "dry_run": False, "distributed": False,
        "devices": "auto", "results_dir": "results",
    }  # fmt: skip
    forward = OmegaConf.merge(values, rest)
    backward = OmegaConf.create(dict(reversed(list(OmegaConf.to_container(forward).items()))))
    assert parse(forward) == parse(backward)
    assert run_id(parse(forward)) == run_id(parse(backward))


@given(
    exponents=st.tuples(st.floats(-12, 2), st.floats(0.01, 8)),
    num=st.integers(2, 100),
)
def test_grids_are_increasing_between_their_ends_with_a_constant_ratio(
    exponents: tuple[float, float], num: int
) -> None:
    low, high = 10 ** exponents[0], 10 ** (exponents[0] + exponents[1])
    grid = np.array(parse_step_size(f"logspace({low!r}, {high!r}, {num})"))
    assert len(grid) == num and np.all(np.diff(grid) > 0)
    np.testing.assert_allclose(grid[[0, -1]], [low, high], rtol=1e-12)
    np.testing.assert_allclose(np.diff(np.log(grid)), math.log(high / low) / (num - 1), rtol=1e-6)


@given(st.lists(st.floats(1e-12, 1e3), min_size=1, max_size=20, unique=True))
def test_lists_are_sorted_and_lose_nothing(values: list[float]) -> None:
    assert list(parse_step_size(values)) == sorted(values)


@given(
    st.one_of(
        st.floats(max_value=0),
        st.just(math.nan),
        st.just(math.inf),
        st.text(max_size=8),
        st.booleans(),
        st.none(),
    )
)
def test_what_is_no_step_size_is_refused_in_one_line(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^step_size: got ") as caught:
        parse_step_size(value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("step_size: [1e-3", "mine.yaml, line 3 (expected ',' or ']'"),
        ("a: 1\n\tb: 2", "mine.yaml, line 3 (found character '\\t'"),
        ("step_size: ${a.b_${c}}", "token recognition error at: '{' (step_size)"),
        ("step_size: ${nowhere}", "Interpolation key 'nowhere' not found"),
    ],
)
def test_a_wrong_line_of_ones_own_yaml_is_told(line: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "experiment" / "mine.yaml"
    file.parent.mkdir()
    file.write_text(f"# @package _global_\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        jobs("--config-dir", str(tmp_path), "+experiment=mine")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("problem", "sampler", "step_size"),
    [
        (["target=bnn"], "psmile", 3e-2),
        (["target=breast_cancer", "target.batch_size=16"], "psmile", 0.3 * 16 / 569),
        (["target=custom", "target.factory=mine.posterior"], "psmile", 3e-2),
        (["target=icg", "noise=correlated"], "contrast_friction", 0.1),
        (["target=icg", "noise=correlated", "step_size=0.2"], "contrast_friction", 0.2),
    ],
)
def test_what_is_recommended_needs_no_grid(problem: list[str], sampler: str, step_size: float) -> None:
    """It depends on where the noise of gradients comes from."""
    (config,) = jobs(*problem, "+method=recommended")
    assert (config.sampler.name, config.tuner.name) == (sampler, "none")
    assert config.step_size == pytest.approx((step_size,), rel=1e-3)
    assert getattr(config.sampler, "preconditioner", "posterior_scale") == "posterior_scale"


def test_what_is_recommended_needs_noise() -> None:
    with pytest.raises(ConfigError, match=r"target\.batch_size: got 'full'; .*; on all rows sampler=mclmc"):
        jobs("target=breast_cancer", "target.batch_size=full", "+method=recommended")
