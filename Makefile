# Everything a fresh clone needs. `make` lists the targets.

# The first Python that works and is new enough; 3.11 is what constraints.txt was tested with.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# The newest, for the newest JAX needs one.
NEWEST_PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 $(PYTHON); do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
scale ?= quick
minutes ?= 5
args ?=
DOCS := $(VENV)/.docs-installed
cases ?= 3000

# What touches every dependency, in a few minutes.
VERSION_TESTS := tests/kernels/test_golden.py tests/sampling/test_checkpoint.py tests/api/test_fit.py tests/api/test_api_networks.py tests/tracking \
	tests/tables/test_tables.py tests/tables/test_table_figure.py tests/tables/test_compare.py tests/data/test_csv_table.py \
	tests/data/test_sources.py tests/tools tests/report tests/sweep/test_submit.py tests/api/test_equinox.py tests/test_quoting.py tests/test_search.py

# $(call with_versions,name,python,what uv is to choose): an environment of its own, and these tests in it.
define with_versions
	@test -n "$(2)" || { echo "smile needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..." >&2; exit 2; }
	$(2) -m venv $(VENV)-$(1)
	$(VENV)-$(1)/bin/python -m pip install --quiet uv
	$(VENV)-$(1)/bin/uv pip install --quiet --python $(VENV)-$(1)/bin/python $(3) --editable '.[dev]'
	$(VENV)-$(1)/bin/uv pip list --python $(VENV)-$(1)/bin/python | grep -E '^(jax|flax|optax|orbax-checkpoint|numpy|scipy|pandas) '
	$(VENV)-$(1)/bin/python -m pytest $(VERSION_TESTS)
endef

.DEFAULT_GOAL := help
.PHONY: help install demo table1 table1_thermostats table1_published table1_first_commit table1_rotations table1_contrast_friction sghmc_friction uci small_tables uci_batch_size bench accelerator choices chaos corruption long_life audit campaign docs test test-lowest test-newest lint format clean \
	fmnist figure1 figure2 resnet18 vit ablation_adaptation ablation_reset ablation_batch_size posteriors control_variates leaderboard recommended worst_ratio references

help:  ## list the targets
	@grep -hE '^[a-z_0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-20s %s\n", $$1, $$2}'

install: $(STAMP)  ## create .venv and install smile into it with pinned dependencies

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "smile needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(STAMP)  ## quick block of Table 1: the ill-conditioned Gaussian under four noises, four samplers; shows table and figure
	$(BIN)/smile +experiment=table1 scale=quick target=icg
	$(BIN)/smile-table table1 --scale quick

table1: $(STAMP)  ## Table 1 and its full-batch baselines, 54 runs; scale=smoke|quick|paper|full
	$(BIN)/smile +experiment=table1 scale=$(scale)
	$(BIN)/smile +experiment=table1_baseline scale=$(scale)
	$(BIN)/smile +experiment=table1_baseline_grid scale=$(scale)
	$(BIN)/smile-table table1 --scale $(scale)

table1_thermostats: $(STAMP)  ## two thermostats beside Table 1, 24 runs; scale=smoke|quick|paper|full
	$(BIN)/smile +experiment=table1_thermostats scale=$(scale)
	$(BIN)/smile-table table1 --scale $(scale)

table1_published: $(STAMP)  ## Table 1 as the public code computes it, 48 runs; scale=smoke|quick|paper|full
	$(BIN)/smile +experiment=table1_published scale=$(scale)
	$(BIN)/smile-table table1_published --scale $(scale)

table1_first_commit: $(STAMP)  ## the same with the step sizes of its first commit, 48 runs; scale=smoke|quick|paper|full
	$(BIN)/smile +experiment=table1_first_commit scale=$(scale)
	$(BIN)/smile-table table1_first_commit --scale $(scale)

sghmc_friction: $(STAMP)  ## the sweep that fixes SGHMC's friction, 48 runs; scale=smoke|quick|paper|full
	$(BIN)/smile +experiment=sghmc_friction scale=$(scale)
	$(BIN)/smile-table sghmc_friction --scale $(scale)

table1_rotations: $(STAMP)  ## how Table 1's Gaussian depends on the axes of target and noise, 24 runs; scale=smoke|quick|paper|full
	$(BIN)/smile +experiment=table1_rotations scale=$(scale)
	$(BIN)/smile-table table1_rotations --scale $(scale)

table1_contrast_friction: $(STAMP)  ## contrast friction without a grid beside the paper's samplers, 60 runs; scale=smoke|quick|paper
	$(BIN)/smile +experiment=table1_contrast_friction scale=$(scale)
	$(BIN)/smile +experiment=table1_contrast_friction_baselines scale=$(scale)
	$(BIN)/smile-table table1_contrast_friction --scale $(scale)

uci: $(STAMP)  ## Bayesian neural networks on three UCI tables; scale=smoke|quick|paper args=data.dir=folder
	$(BIN)/smile +experiment=uci scale=$(scale) $(args)
	$(BIN)/smile +experiment=uci_full_batch scale=$(scale) $(args)
	$(BIN)/smile +experiment=uci_equal_gradients scale=$(scale) $(args)
	$(BIN)/smile-table uci --scale $(scale)

small_tables: $(STAMP)  ## the default against grids on three small tables, 36 runs; scale=smoke|quick|paper
	$(BIN)/smile +experiment=small_tables scale=$(scale)
	$(BIN)/smile-table small_tables --scale $(scale)

uci_batch_size: $(STAMP)  ## the batch size of pSMILE and adaSGHMC on bikesharing; scale=smoke|quick|paper args=data.dir=folder
	$(BIN)/smile +experiment=uci_batch_size scale=$(scale) $(args)
	$(BIN)/smile-table uci_batch_size --scale $(scale)

fmnist: $(STAMP)  ## LeNet on Fashion-MNIST, four methods; scale=smoke|quick|desk|paper args=data.dir=folder
figure1: $(STAMP)  ## ResNet-7 on CIFAR-10: gain over the deep ensemble against the step size; scale=, args=data.dir=folder
figure2: $(STAMP)  ## nanoGPT on modern Shakespeare: perplexity against the step size; scale=, args=data.dir=folder
resnet18: $(STAMP)  ## ResNet-18 on CIFAR-10 (paper: for GPUs); scale=, args='data.dir=folder hydra/launcher=slurm_gpu'
vit: $(STAMP)  ## ViT on Imagenette (paper: for GPUs); scale=, args='data.dir=folder hydra/launcher=slurm_gpu'
ablation_adaptation: $(STAMP)  ## how often SMILE adapts its step size, on ResNet-18; scale=, args=
ablation_reset: $(STAMP)  ## when SMILE undoes a step, on ResNet-18; scale=, args=
ablation_batch_size: $(STAMP)  ## the batch size, LeNet on Fashion-MNIST; scale=, args=

fmnist figure1 figure2 resnet18 vit ablation_adaptation ablation_reset ablation_batch_size:
	$(BIN)/smile +experiment=$@ scale=$(scale) $(args)
	$(BIN)/smile-table $@ --scale $(scale)

posteriors: $(STAMP)  ## real posteriors with real mini-batches beside long NUTS chains; scale=smoke|quick|paper
	$(BIN)/smile +experiment=posteriors scale=$(scale)
	$(BIN)/smile +experiment=posteriors_contrast_friction scale=$(scale)
	$(BIN)/smile +experiment=posteriors_independent scale=$(scale)
	$(BIN)/smile +experiment=posteriors_full_batch scale=$(scale)
	$(BIN)/smile +experiment=posteriors_baseline scale=$(scale)
	$(BIN)/smile-table posteriors --scale $(scale)

control_variates: $(STAMP)  ## Langevin dynamics with control variates beside those without; scale=smoke|quick|paper
	$(BIN)/smile +experiment=control_variates scale=$(scale)
	$(BIN)/smile-table control_variates --scale $(scale)

leaderboard: $(STAMP)  ## samplers against each other on posteriors, from the Parquet; sampler=name runs one of a package of yours first
	$(if $(sampler),$(BIN)/smile +experiment=posteriors scale=$(scale) sampler=$(sampler) $(args))
	$(BIN)/smile-report posteriors --leaderboard --scale $(scale)

recommended: $(STAMP)  ## the candidates of +method=recommended on fresh replications of the posteriors; scale=smoke|quick|paper
	$(BIN)/smile +experiment=recommended scale=$(scale)
	$(BIN)/smile +experiment=recommended_independent scale=$(scale)
	$(BIN)/smile-table recommended --scale $(scale)

worst_ratio: $(STAMP)  ## how far +method=recommended is from the best of all grids, from the Parquet of scale=quick
	$(BIN)/python scripts/worst_ratio.py

references: $(STAMP)  ## the NUTS references of posteriors, where they are missing or of another posterior
	$(BIN)/python scripts/references.py

bench: $(STAMP)  ## chain-steps per second and the ratio to the physical limit
	$(BIN)/python scripts/bench

accelerator: $(STAMP)  ## what the device does with every network, in nine minutes: speed, memory, precision, compilation; args=
	$(BIN)/python scripts/accelerator.py $(args)

choices: $(STAMP)  ## the page of what can be chosen, from conf/
	$(BIN)/python scripts/choices.py

chaos: $(STAMP)  ## kills runs in every stage by five signals, and workers at random; goes on where it stopped; minutes=5
	$(BIN)/python scripts/kills.py --minutes $(minutes)
	$(BIN)/python scripts/chaos.py

corruption: $(STAMP)  ## damages every kind of file that is read back, and shows what becomes of it
	$(BIN)/python scripts/corruption.py

long_life: $(STAMP)  ## 200 runs in one process: memory, open files and threads
	$(BIN)/python scripts/long_life.py

# --strict: a package that cannot be looked up is no package without vulnerabilities.
audit: $(STAMP)  ## known vulnerabilities of the pinned packages, by pip-audit in an environment of its own; needs the network
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/python -m pip install --quiet pip-audit
	$(VENV)-audit/bin/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip

campaign: $(STAMP)  ## thousands of generated tables and options: each is right or refused in one line; cases=3000
	SMILE_CAMPAIGN_CASES=$(cases) $(BIN)/python -m pytest -n0 -s tests/data/test_campaign.py tests/test_options_campaign.py

$(DOCS): $(STAMP)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --editable '.[docs]'
	@touch $@

docs: $(DOCS)  ## the documentation in site/: tutorials run, a dead link or a warning is an error; needs no network
	$(BIN)/mkdocs build --strict

test: $(STAMP)  ## all tests; the one on a real Slurm needs slurm-wlm and munge
	$(BIN)/python -m pytest

test-lowest:  ## some tests with the oldest versions that pyproject.toml allows, in an environment of its own; needs the network
	$(call with_versions,lowest,$(PYTHON),--resolution lowest-direct)

test-newest:  ## the same with the newest versions that there are; NEWEST_PYTHON=/path/to/python3.13
	$(call with_versions,newest,$(NEWEST_PYTHON),--upgrade)

lint: $(STAMP)  ## style, format, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)  ## apply the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environment and scratch output, keep results
	rm -rf $(VENV) $(VENV)-audit $(VENV)-lowest $(VENV)-newest site outputs wandb .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
