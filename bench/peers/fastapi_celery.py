"""The first peer: FastAPI in front, Celery behind, Redis between. Served by `uvicorn fastapi_celery:app`."""

import os
from typing import Annotated, Any

from body import Create, is_key
from celery import Celery
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

REDIS = os.environ["PEER_REDIS"]

# No result backend: with one, each create would also subscribe to its result. The peer is measured without that cost.
queue = Celery("peer", broker=REDIS)
queue.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, task_ignore_result=True)

app = FastAPI()


@queue.task
def draw(body: dict[str, Any]) -> None:
    """What a worker would run; none runs while creates are measured, as with ours."""


def checked_key(authorization: Annotated[str | None, Header()] = None) -> None:
    """Refuse a caller without the key."""
    if not is_key(authorization):
        raise HTTPException(401, "Send your API key in the header: Authorization: Bearer …")


@app.post("/threads/api/v1/tasks/create", dependencies=[Depends(checked_key)])
def create(body: Create) -> dict[str, Any]:
    """As FastAPI advises for a call that blocks: on a thread. Answers once Redis has the task."""
    return accepted(draw.delay(body.model_dump(mode="json")).id)


@app.post("/loop/api/v1/tasks/create", dependencies=[Depends(checked_key)])
async def create_on_the_loop(body: Create) -> dict[str, Any]:
    """As many write it: on the event loop, which blocks until Redis has the task. With a quick Redis the faster way."""
    return accepted(draw.delay(body.model_dump(mode="json")).id)


def accepted(task_id: str) -> dict[str, Any]:
    """Our envelope."""
    return {"code": 200, "message": "success", "data": {"taskId": task_id}}


@app.exception_handler(HTTPException)
async def refused(_: Request, error: HTTPException) -> JSONResponse:
    """The same envelope for errors."""
    return JSONResponse({"code": error.status_code, "message": error.detail, "data": None}, error.status_code)


@app.exception_handler(RequestValidationError)
async def wrong(_: Request, error: RequestValidationError) -> JSONResponse:
    """The same envelope for a wrong body."""
    problems = "; ".join(f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in error.errors())
    return JSONResponse({"code": 422, "message": problems, "data": None}, 422)
