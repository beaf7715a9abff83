"""The ASGI application. The hot paths are dispatched before the router; every error becomes the one envelope here."""

from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from cavendish.domain.errors import RequestError
from cavendish.domain.files import FILES_PATH
from cavendish.domain.results import RESULTS_PATH
from cavendish.web.account import AccountEndpoints
from cavendish.web.admin import ENGINES_PATH, AdminEndpoints
from cavendish.web.answers import AnswerResponse, failure, fault, language_of, not_found, send_answer
from cavendish.web.asgi import Disconnected, Receive, Scope, Send, note_sending
from cavendish.web.callbacks import CALLBACKS_PATH, SECRET_PATH, CallbackEndpoints
from cavendish.web.events import EVENTS_PATH, TaskEvents
from cavendish.web.files import UPLOAD_PATH, FileEndpoints
from cavendish.web.health import Health
from cavendish.web.prompts import IMPROVE_PATH, PromptHelp
from cavendish.web.reference import DOCS_PATH, OPENAPI_PATH, Reference
from cavendish.web.results import Results
from cavendish.web.task_lists import TaskLists
from cavendish.web.tasks import CREATE_PATH, QUERY_PATH, CreateTask, QueryTask


class App:
    """Everything that is served over HTTP."""

    def __init__(
        self,
        *,
        create: CreateTask,
        query: QueryTask,
        events: TaskEvents,
        lists: TaskLists,
        callbacks: CallbackEndpoints,
        results: Results,
        files: FileEndpoints,
        account: AccountEndpoints,
        admin: AdminEndpoints,
        prompts: PromptHelp,
        health: Health,
        reference: Reference,
    ) -> None:
        self._create = create
        self._query = query
        self._events = events
        self._results = results
        self._files = files
        self._router = Router(
            [
                Route(CREATE_PATH, _elsewhere, methods=["POST"]),
                Route(QUERY_PATH + "{task_id}", _elsewhere, methods=["GET"]),
                Route(EVENTS_PATH + "{task_id}", _elsewhere, methods=["GET"]),
                Route(UPLOAD_PATH, _elsewhere, methods=["POST"]),
                Route("/api/v1/tasks", lists.list, methods=["GET"]),
                Route("/api/v1/tasks/cancel/{task_id}", lists.cancel, methods=["POST"]),
                Route(CALLBACKS_PATH + "{task_id}", callbacks.show, methods=["GET"]),
                Route(CALLBACKS_PATH + "{task_id}/redeliver", callbacks.redeliver, methods=["POST"]),
                Route(SECRET_PATH, callbacks.secret, methods=["GET"]),
                Route(SECRET_PATH + "/rotate", callbacks.rotate, methods=["POST"]),
                Route("/api/v1/user/balance", account.balance, methods=["GET"]),
                Route("/api/v1/models", account.models, methods=["GET"]),
                Route(ENGINES_PATH, admin.engines, methods=["GET"]),
                Route(IMPROVE_PATH, prompts.improve, methods=["POST"]),
                Route("/healthz", health.healthz, methods=["GET"]),
                Route("/readyz", health.readyz, methods=["GET"]),
                Route(OPENAPI_PATH, reference.document, methods=["GET"]),
                Route(DOCS_PATH, reference.page, methods=["GET"]),
                Route(DOCS_PATH + "/{name}", reference.asset, methods=["GET"]),
            ],
            redirect_slashes=False,
        )
        self._rest = ExceptionMiddleware(
            self._router, handlers={HTTPException: _http_exception, RequestError: _request_error}
        )

    def routes(self) -> list[tuple[str, str]]:
        """(method, path) of all that is served; HEAD, and what the reference page loads, go without saying."""
        listed = [(m, r.path) for r in self._router.routes if isinstance(r, Route) for m in r.methods or ()]
        named = [*listed, ("GET", RESULTS_PATH + "{name}"), ("GET", FILES_PATH + "{name}")]
        return [(m, path) for m, path in named if m != "HEAD" and not path.startswith(DOCS_PATH + "/")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Never raises for a request that can still be answered."""
        if scope["type"] != "http":
            await _refuse_other_protocols(scope, receive, send)
            return
        path: str = scope["path"]
        method: str = scope["method"]
        if method == "POST" and path == CREATE_PATH:
            asked = self._create(scope, receive)
        elif method in ("GET", "HEAD") and path.startswith(QUERY_PATH):
            asked = self._query(scope, receive, path[len(QUERY_PATH) :])
        elif method == "POST" and path == UPLOAD_PATH:
            asked = self._files.upload(scope, receive)
        else:
            await self._others(scope, receive, send)
            return
        try:
            answer = await asked
        except Disconnected:
            return
        except RequestError as error:
            answer = failure(error, language_of(scope))
        except Exception as error:  # noqa: BLE001 - logged, and told to the caller as an id
            answer = fault(error, language_of(scope), path)
        await send_answer(send, answer)

    async def _others(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whatever sends its answer itself, perhaps in parts: results, files, events, and the router."""
        send, sending = note_sending(send)
        path: str = scope["path"]
        try:
            if path.startswith(RESULTS_PATH):
                await self._results(scope, send)
            elif path.startswith(FILES_PATH):
                await self._files.show(scope, send)
            elif scope["method"] in ("GET", "HEAD") and path.startswith(EVENTS_PATH):
                answer = await self._events(scope, receive, send, path[len(EVENTS_PATH) :])
                if answer is not None:
                    await send_answer(send, answer)
            else:
                scope["app"] = self  # Starlette's sign that its exceptions are handled by us
                await self._rest(scope, receive, send)
        except Disconnected:
            return
        except RequestError as error:
            await send_answer(send, failure(error, language_of(scope)))
        except Exception as error:
            if sending():
                raise  # half an answer is out: the server must cut the connection, so that the caller knows
            await send_answer(send, fault(error, language_of(scope), path))


async def _elsewhere(_request: Request) -> Response:
    raise AssertionError("dispatched before the router; listed so that other methods are told what is allowed")


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    allow = (
        sorted((error.headers or {}).get("Allow", "").replace(" ", "").split(",")) if error.status_code == 405 else ()
    )
    return AnswerResponse(not_found(request.url.path, language_of(request.scope), allow))


async def _request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return AnswerResponse(failure(error, language_of(request.scope)))


async def _refuse_other_protocols(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1000})
        return
    assert scope["type"] == "lifespan", scope["type"]
    handlers: dict[str, Callable[[], Awaitable[None]]] = {
        "lifespan.startup": lambda: send({"type": "lifespan.startup.complete"}),
        "lifespan.shutdown": lambda: send({"type": "lifespan.shutdown.complete"}),
    }
    while True:
        kind = (await receive())["type"]
        await handlers[kind]()
        if kind == "lifespan.shutdown":
            return
