"""Powertools' event handler, with its logger and metrics."""

from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from rival_work import Request, look, owner_of, submit

logger = Logger(service="rival")
metrics = Metrics(namespace="Rival", service="rival")
api = APIGatewayRestResolver()


@api.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}


@api.post("/v1/jobs")
def create() -> Response[str]:
    owner = owner_of(api.current_event.headers["Authorization"])
    job = submit(owner, Request.model_validate_json(api.current_event.body or ""))
    metrics.add_metric(name="JobsAccepted", unit="Count", value=1)
    return Response(202, "application/json", api._serializer(job))


@api.get("/v1/jobs/<job_id>")
def read(job_id: str) -> dict[str, Any]:
    return look(owner_of(api.current_event.headers["Authorization"]), job_id)


@metrics.log_metrics(raise_on_empty_metrics=False)
def resolve(event: dict[str, Any], context: Any) -> dict[str, Any]:
    answer = api.resolve(event, context)
    metrics.add_metric(name="Requests", unit="Count", value=1)
    logger.info("request", extra={"route": event["resource"], "status": answer["statusCode"]})
    return answer


app = resolve
