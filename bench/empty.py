"""The machine's limit: an endpoint that does nothing, on the same server with the same settings."""

import asyncio
import socket
import sys
from typing import Any

import uvicorn
import uvloop

BODY = b'{"code":200,"message":"success","data":null}'
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())],
}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Read the request, answer at once."""
    assert scope["type"] == "http"
    await receive()
    await send(START)
    await send({"type": "http.response.body", "body": BODY})


async def main(port: int) -> None:
    """Serve until killed."""
    listening = socket.create_server(("127.0.0.1", port), backlog=2048)
    config = uvicorn.Config(
        app, http="httptools", ws="none", lifespan="off", access_log=False, log_config=None,
        server_header=False, proxy_headers=False, timeout_keep_alive=75,
    )  # fmt: skip
    await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1])))
