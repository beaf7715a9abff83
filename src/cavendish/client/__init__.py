"""A client for this API: pictures from prompts, in one call.

    from cavendish.client import Client

    with Client("http://127.0.0.1:8787", "sk-…") as client:
        client.generate("an orange cat on a windowsill").save("cat.png")

Nothing here imports the server; `httpx` is the one dependency. See docs/client.md.
"""

from cavendish.client.aio import AsyncClient
from cavendish.client.callbacks import verify_callback
from cavendish.client.errors import (
    ApiError,
    BadArgument,
    CallbackRejected,
    ClientError,
    ConnectionFailed,
    InsufficientCredits,
    InvalidRequest,
    NotFound,
    RateLimited,
    ServerError,
    TaskFailed,
    TimedOut,
    Unauthorized,
    UnexpectedAnswer,
)
from cavendish.client.image import Image
from cavendish.client.sync import Client
from cavendish.client.values import Balance, Model, Task, Upload
from cavendish.client.version import __version__

__all__ = [
    "ApiError",
    "AsyncClient",
    "BadArgument",
    "Balance",
    "CallbackRejected",
    "Client",
    "ClientError",
    "ConnectionFailed",
    "Image",
    "InsufficientCredits",
    "InvalidRequest",
    "Model",
    "NotFound",
    "RateLimited",
    "ServerError",
    "Task",
    "TaskFailed",
    "TimedOut",
    "Unauthorized",
    "UnexpectedAnswer",
    "Upload",
    "__version__",
    "verify_callback",
]
