# Entry points of the study. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CORES ?= all
TESTERS ?= 2
CONFIG ?= config/config.yaml
TARGET ?= all
STUDY = $(shell sed -n 's/^study: *//p' "$(CONFIG)" 2> /dev/null)
PYTHON ?= python3.11
RUN := .venv/bin/python -m
SNAKEMAKE = $(RUN) snakemake --cores $(CORES) --configfile "$(CONFIG)" --rerun-incomplete $(ARGS)
RECORD ?= results/reference/$(STUDY)
CHECKPOINTS ?= $(RECORD)
CHECKPOINT_CONFIG = $(firstword $(wildcard $(CHECKPOINTS)/record/config.yaml) $(CONFIG))
REPORT_LOOK := --report-after-run --report-stylesheet workflow/report/style.css
QUIET ?= --quiet rules host
PROFILE ?= workflow/profiles/slurm
CLUSTER = $(RUN) snakemake --configfile "$(CONFIG)" --profile $(PROFILE) $(ARGS)
LOCKS := envs/requirements.lock envs/requirements-dev.lock

.PHONY: help env env-hpc config reproduce run cluster plan recover table figures from-checkpoints report smoke sri24 cases ablation draws weights bench costs steps record test test-variants test-long lint format clean

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20
	@echo "Variables: CORES=$(CORES)  CONFIG=$(CONFIG)  ARGS: more options of Snakemake's"
	@echo "For example: make reproduce CONFIG=config/sri24.yaml; make run TARGET=quality ARGS='--config seed=2'"

env: .venv/.ready ## Create .venv from the locked requirements

.venv/.ready: envs/requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --disable-pip-version-check --progress-bar on -r envs/requirements.lock
	.venv/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --no-index --no-build-isolation --editable .
	@touch $@

.venv/.ready-dev: .venv/.ready envs/requirements-dev.lock
	.venv/bin/python -m pip install --disable-pip-version-check -r envs/requirements-dev.lock
	@touch $@

env-hpc: .venv/.ready-hpc ## Add what a Slurm cluster needs to .venv

.venv/.ready-hpc: .venv/.ready envs/requirements-hpc.lock
	.venv/bin/python -m pip install --disable-pip-version-check -r envs/requirements-hpc.lock
	@touch $@

config:
	@[ -f "$(CONFIG)" ] || { echo "CONFIG=$(CONFIG): no such file; configs are in config/" >&2; exit 1; }

cluster: config env-hpc ## Run CONFIG's study on a Slurm cluster (docs/cluster.md)
	@$(CLUSTER) --slurm-jobname-prefix "$(STUDY)"
	@$(RUN) lmidiff show "results/$(STUDY)"

plan: config env-hpc ## Count the jobs of CONFIG's study, here and on a cluster; runs nothing
	@set -o pipefail; $(CLUSTER) --dry-run 2>&1 | awk -f workflow/profiles/count.awk

recover: env-hpc ## After a killed `make cluster`: cancel its jobs, remove its lock
	@workflow/profiles/slurm/cancel.sh "$(STUDY)"
	@$(RUN) snakemake --configfile "$(CONFIG)" --cores 1 --unlock

reproduce: config env ## Run the whole study and print its table
	@$(SNAKEMAKE) $(QUIET)
	@$(RUN) lmidiff show "results/$(STUDY)"

run: config env ## Make one thing of CONFIG's study, a rule or a file: make run TARGET=quality
	@$(SNAKEMAKE) $(TARGET) $(QUIET)

table: config env ## Make the table only
	@$(SNAKEMAKE) table $(QUIET)

figures: env ## Table, figures and report of a recorded run again, without training (about a minute)
	@$(RUN) snakemake --cores $(CORES) --config recorded=$(RECORD) --rerun-incomplete \
		--report results/recorded/$(notdir $(RECORD))/report.html $(REPORT_LOOK) $(QUIET)
	@echo "Open results/recorded/$(notdir $(RECORD))/report.html"

from-checkpoints: env ## Rows whose trained weights are in CHECKPOINTS (the recorded ones), from translation onwards
	@$(RUN) snakemake --cores $(CORES) --configfile $(CHECKPOINT_CONFIG) \
		--config checkpoints=$(CHECKPOINTS) --rerun-incomplete $(QUIET)

report: config env ## One HTML file with everything about CONFIG's study; finishes the study first
	@$(SNAKEMAKE) --report "results/$(STUDY)/report.html" $(REPORT_LOOK) $(QUIET)
	@echo "Open results/$(STUDY)/report.html"

smoke: env ## Run every rule on a tiny study (a few minutes)
	@$(MAKE) --no-print-directory reproduce CONFIG=config/smoke.yaml

sri24: env ## Translate the real SRI24 template (fetches it)
	@$(MAKE) --no-print-directory reproduce CONFIG=config/sri24.yaml

cases: env ## Translate two templates and a patient, each alone, with the networks of real
	@$(MAKE) --no-print-directory reproduce CONFIG=config/case_sri24.yaml
	@$(MAKE) --no-print-directory reproduce CONFIG=config/case_avg152.yaml
	@$(MAKE) --no-print-directory reproduce CONFIG=config/case_patient.yaml

ablation: env ## What each part of the LMI condition, and of the study's own method, is worth
	@$(MAKE) --no-print-directory reproduce CONFIG=config/ablation.yaml
	@$(MAKE) --no-print-directory reproduce CONFIG=config/self_consistent.yaml

draws: env ## What averaging draws buys, with the default study's model
	@$(MAKE) --no-print-directory reproduce CONFIG=config/draws.yaml

weights: env ## Make the weights that come with the package again
	@$(MAKE) --no-print-directory reproduce CONFIG=config/translator.yaml
	@$(RUN) lmidiff ship results/translator

bench: env ## Time the estimators, whole translations and training: results/benchmarks
	@$(SNAKEMAKE) bench $(QUIET)

costs: env ## Derive config/costs.csv from the recorded runs
	@$(RUN) lmidiff costs

steps: env ## Quality against sampler and steps, with the default study's models
	@$(RUN) snakemake --cores $(CORES) --configfile config/steps.yaml --rerun-incomplete pareto $(QUIET)

record: env ## Keep CONFIG's finished study under results/reference (KEEP: models), refill README and docs
	@$(RUN) lmidiff record "results/$(STUDY)" $(if $(KEEP),--weights $(KEEP))
	@$(RUN) lmidiff readme

test: .venv/.ready-dev ## Set up and run the tests, in TESTERS processes (2): those without studies, then studies
	$(RUN) pytest -m "not study and not variant" -n $(TESTERS) --durations 20
	$(RUN) pytest -m "study and not variant" -n $(TESTERS) --durations 20

test-variants: .venv/.ready-dev ## The tests of other kinds of study: folds, cross-fits, whole heads, raw archives, Slurm
	$(RUN) pytest -m variant -n $(TESTERS) --durations 20

test-long: .venv/.ready-dev env-hpc ## The tests of many minutes too: kills of the smoke study, all of it on Slurm, 10,000 odd inputs
	LMIDIFF_LONG_TESTS=1 $(RUN) pytest tests/workflow/test_kills.py tests/workflow/test_slurm.py tests/evaluation/test_meshnet.py tests/cli/test_properties.py

lint: .venv/.ready-dev ## Check style: ruff, snakefmt, snakemake --lint
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) snakefmt --check Snakefile workflow/rules extras
	$(RUN) snakemake --lint

format: .venv/.ready-dev ## Format Python and Snakemake files
	$(RUN) ruff format .
	$(RUN) snakefmt Snakefile workflow/rules extras

clean: ## Remove the results of CONFIG's study (not the training states)
	rm -rf "results/$(STUDY)"
