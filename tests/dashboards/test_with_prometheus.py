"""Dashboards, alerts and KEDA's trigger, evaluated by a real Prometheus that scrapes workers under load.

The load: jobs that are completed, that fail, that become dead letters, that run, wait, and are delayed. Then nothing
changes any more, and every expression has to agree with ``lambda-router-worker stats --json``.
"""

import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chalicelib import wiring
from tests import debian, servers
from tests.conftest import CLIENT_ID, POOL, MakeToken, Router
from tests.dashboards import expressions
from tests.dashboards.expressions import FOLDER, Expression
from tests.dashboards.prometheus_server import Prometheus, prometheus, promtool
from tests.integration.processes import clean_environment
from tests.integration.worker.worker_program import worker_process
from tests.model_servers import Call, model_server
from tests.patience import eventually

pytestmark = [pytest.mark.dashboards, pytest.mark.timeout(240)]

#: The jobs sent, by what becomes of them.
COMPLETED, FAILED, DEAD, RUNNING, DELAYED = 30, 5, 2, 2, 3
WAITING = {"high": 1, "normal": 4, "low": 2}
#: Figures of the queue are up to 5 s old, and a scrape a second more.
AGE_SECONDS = 8.0
#: A range that holds the whole test.
RANGE = "5m"


def script(call: Call) -> None:
    """Answer by the prompt's first word: at once, never, with a rejection, or that it is busy."""
    if not call.path.endswith("/chat/completions"):
        return call.answer(200, {"data": [{"id": "m"}]})
    match call.prompt.split()[0]:
        case "slow":
            call.wait_for_hangup(200)
        case "bad":
            call.answer(413, {"error": {"message": "too long"}})
        case "busy":
            call.answer(429, {"error": {"message": "busy"}})
        case _:
            call.stream()
    return None


class Scene(NamedTuple):
    """What the tests look at: Prometheus, what ``stats --json`` says, and a worker's port."""

    prometheus: Prometheus
    stats: dict[str, Any]
    port: int

    @property
    def waiting(self) -> int:
        return sum(one["waiting"] for one in self.stats["priorities"].values())

    @property
    def running(self) -> int:
        return sum(one["running"] for one in self.stats["priorities"].values())

    @property
    def oldest(self) -> float:
        return max(one["oldest_seconds"] or 0 for one in self.stats["priorities"].values())


@pytest.fixture(scope="module")
def scene(jwks: Any, make_token: MakeToken, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    debian.program_or_skip("prometheus")
    folder = tmp_path_factory.mktemp("of prometheus")
    variables = {"COGNITO_USER_POOL_ID": POOL, "COGNITO_AUD": CLIENT_ID, "COGNITO_REGION": "eu-central-1"}
    limits = {"ROUTER_RATE_PER_MINUTE": "60000", "ROUTER_RATE_BURST": "1000", "ROUTER_OPEN_JOBS_CAP": "1000"}
    with ExitStack() as ends:
        valkey = ends.enter_context(servers.valkey())
        url = f"redis://{valkey.host}:{valkey.port}/0"
        model = ends.enter_context(model_server(script))
        services = wiring.build({**variables, **limits, "COGNITO_JWKS": json.dumps(jwks), "REDIS_URL": url})
        ends.enter_context(wiring.use(services))
        router = Router(make_token())
        ports = [servers.free_port() for _ in range(3)]
        for place, backend in enumerate([model.base_url, "http://127.0.0.1:1/v1"]):
            (folder / str(place)).mkdir()
            options = ["--backend", backend, "--model", "m", "--concurrency", str(RUNNING)]
            ends.enter_context(worker_process(folder / str(place), url, *options, "--health-port", str(ports[place])))
        (folder / "exporter").mkdir()
        exporter = ["exporter", "--health-port", str(ports[2])]
        ends.enter_context(worker_process(folder / "exporter", url, *exporter))
        server = ends.enter_context(prometheus(folder, ports))
        assert eventually(lambda: all(each["health"] == "up" for each in server.scrapes().values()), 30)
        load(router, url)
        stats = stats_of(url)
        time.sleep(AGE_SECONDS)
        yield Scene(server, stats, ports[0])


def send(router: Router, prompt: str, count: int = 1, **members: Any) -> None:
    for number in range(count):
        body = {"type": "generate", "input": {"prompt": f"{prompt} {number}"}, "ttl_seconds": 3_600} | members
        assert router.post("/v1/jobs", body).status == 202


def load(router: Router, url: str) -> None:
    send(router, "good", COMPLETED)
    send(router, "bad", FAILED)
    send(router, "busy", DEAD)
    ended = (COMPLETED, FAILED + DEAD)
    assert eventually(lambda: (stats_of(url)["completed"], stats_of(url)["failed"]) == ended, 90), stats_of(url)
    send(router, "slow", RUNNING)
    assert eventually(lambda: stats_of(url)["priorities"]["normal"]["running"] == RUNNING, 20)
    send(router, "later", DELAYED, delay_seconds=3_600)
    for priority, count in WAITING.items():
        send(router, "good", count, priority=priority)


def stats_of(url: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "lambda_router_worker", "stats", "--json"]
    done = subprocess.run(command, env=clean_environment(REDIS_URL=url), capture_output=True, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def by_label(values: dict[Any, float]) -> dict[str, float]:
    """The values by those labels, joined, that the expression keeps."""
    return {" ".join(value for _, value in labels): figure for labels, figure in values.items()}


EXPRESSIONS = [*expressions.of_panels(), *expressions.of_keda()]


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=[expression.name for expression in EXPRESSIONS])
def test_every_expression_of_a_panel_and_of_keda_has_a_value(scene: Scene, expression: Expression) -> None:
    assert scene.prometheus.values(expression.within(RANGE)) != {}


@pytest.mark.parametrize("variable", expressions.of_variables(), ids=lambda each: each.name)
def test_grafanas_variables_find_our_stack_and_queue(scene: Scene, variable: Expression) -> None:
    (series,) = {
        (labels["stack"], labels["queue"]) for labels in map(dict, scene.prometheus.values(variable.within(RANGE)))
    }
    assert series == (expressions.STACK, expressions.QUEUE)


def test_the_queues_panels_agree_with_stats(scene: Scene) -> None:
    """Three programs export each figure, and none is counted thrice."""
    shown = {each.name: scene.prometheus.values(each.within(RANGE)) for each in expressions.of_panels()}
    priorities = scene.stats["priorities"]
    single = {
        "Jobs waiting A": scene.waiting,
        "Running jobs A": scene.running,
        "Delayed jobs and retries A": scene.stats["scheduled"],
        "Dead letters A": scene.stats["dead"],
        "Workers that claim jobs A": scene.stats["workers"] - len(scene.stats["closed"]),
        "Workers and places B": scene.stats["slots"],
        "Jobs of each worker B": 2 * RUNNING,
    }

    assert (scene.waiting, scene.running) == (sum(WAITING.values()), RUNNING)
    assert (scene.stats["scheduled"], scene.stats["dead"], len(scene.stats["closed"])) == (DELAYED, DEAD, 1)
    assert {name: list(shown[name].values()) for name in single} == {name: [value] for name, value in single.items()}
    assert by_label(shown["Jobs by priority A"]) == {
        f"{name} {state}": one[state] for name, one in priorities.items() for state in ("waiting", "running")
    }
    assert by_label(shown["Workers and places A"]) == {"claiming": 1, "closed": 1}
    (oldest,) = shown["Oldest waiting job A"].values()
    assert scene.oldest <= oldest <= scene.oldest + 120


def test_the_counted_jobs_are_those_of_stats(scene: Scene) -> None:
    total = "sum by (outcome, code) (lambda_router_jobs_total) > 0"
    counted = by_label(scene.prometheus.values(total))

    assert counted == {"completed": COMPLETED, "backend_rejected failed": FAILED, "backend_busy dead": DEAD}
    assert counted["completed"] == scene.stats["completed"]
    assert sum(counted.values()) - counted["completed"] == scene.stats["failed"]
    by_code = "sum by (code) (lambda_router_jobs_total{outcome=~'failed|dead'}) > 0"
    assert by_label(scene.prometheus.values(by_code)) == scene.stats["failed_by_code"]


def test_the_jobs_panels_show_what_happened(scene: Scene) -> None:
    """``increase`` guesses a little at the ends of its range."""
    shown = {each.name: scene.prometheus.values(each.within(RANGE)) for each in expressions.of_panels()}
    failed = +Counter({code: round(value) for code, value in by_label(shown["Failed jobs by code A"]).items()})
    retries = +Counter({code: round(value) for code, value in by_label(shown["Retries by code A"]).items()})
    tokens = by_label(shown["Tokens each second A"])

    assert failed == {"backend_rejected": FAILED, "backend_busy": DEAD}
    assert retries == {"backend_busy": 2 * DEAD}
    assert tokens["input"] == pytest.approx(1.5 * tokens["output"])
    assert by_label(shown["Jobs that ended, each minute A"])["completed"] > 0
    assert all(0 < value < 60 for name in shown if "Duration" in name for value in shown[name].values())
    assert sorted(by_label(shown["Model servers A"]).values()) == [0, 1]
    assert by_label(shown["Redis, as each worker sees it A"]).keys() == scene.prometheus.scrapes().keys()


def test_keda_wants_a_place_for_each_job_and_one_worker_for_delayed_ones(scene: Scene) -> None:
    (expression,) = expressions.of_keda()

    assert scene.prometheus.value(expression.within(RANGE)) == scene.waiting + scene.running + 1


def test_keda_and_alerts_see_no_value_where_nobody_exports_the_queue(scene: Scene) -> None:
    (expression,) = expressions.of_keda()

    assert scene.prometheus.value(expression.text.replace(expressions.QUEUE, "nobodys")) is None


def test_prometheus_takes_the_page_as_it_is(scene: Scene) -> None:
    targets = scene.prometheus.scrapes()

    assert {each["health"] for each in targets.values()} == {"up"}
    assert {each["lastError"] for each in targets.values()} == {""}
    assert max(each["lastScrapeDuration"] for each in targets.values()) < 5


def test_every_alert_is_evaluated_and_those_with_a_cause_go_off(scene: Scene) -> None:
    (group,) = scene.prometheus.get("rules")["groups"]
    states = {rule["name"]: rule["state"] for rule in group["rules"]}

    assert {rule["health"] for rule in group["rules"]} == {"ok"}
    assert set(states) == {each.name for each in expressions.of_alerts()}
    assert {name for name, state in states.items() if state != "inactive"} == {
        "LambdaRouterDeadLetters",
        "LambdaRouterModelServerDown",
        "LambdaRouterJobsFail",
    }


def test_promtool_finds_nothing_to_lint_on_the_page(scene: Scene) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{scene.port}/metrics", timeout=5) as answer:
        checked = promtool("check", "metrics", text=answer.read().decode())

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_promtool_accepts_the_alerts() -> None:
    checked = promtool("check", "rules", str(FOLDER / "alerts.yaml"))

    assert checked.returncode == 0, checked.stderr


def test_alerts_go_off_when_they_should_and_not_before(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").symlink_to(FOLDER / "alerts.yaml")
    (tmp_path / "test.yaml").write_text((Path(__file__).parent / "alerts_test.yaml").read_text())
    checked = promtool("test", "rules", str(tmp_path / "test.yaml"))

    assert checked.returncode == 0, checked.stdout + checked.stderr
