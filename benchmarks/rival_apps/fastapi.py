"""FastAPI behind Mangum."""

import time
from typing import Any

from fastapi import Depends, FastAPI, Header
from mangum import Mangum
from rival_work import Request, log, look, owner_of, submit
from starlette.requests import Request as HTTPRequest

api = FastAPI()


@api.middleware("http")
async def line(request: HTTPRequest, call_next: Any) -> Any:
    started = time.perf_counter()
    response = await call_next(request)
    log(request.method, request.url.path, response.status_code, started)
    return response


def owner(authorization: str = Header()) -> str:
    return owner_of(authorization)


@api.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}


@api.post("/v1/jobs", status_code=202)
def create(request: Request, caller: str = Depends(owner)) -> dict[str, Any]:
    return submit(caller, request)


@api.get("/v1/jobs/{job_id}")
def read(job_id: str, caller: str = Depends(owner)) -> dict[str, Any]:
    return look(caller, job_id)


app = Mangum(api, lifespan="off")
