"""`make demo`: one task through the whole API, as any client would send it, on a server of its own."""

import io
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from PIL import Image

GUIDE_PROMPT = "爱因斯坦刚刚完成相对论后发布的一条超写实风格的推文。"
ACCOUNT = "demo"
CREDITS = 100
START_SECONDS = 60
TASK_SECONDS = 120


class DemoFailed(Exception):
    """Something did not go as a user must be able to rely on."""


def main() -> int:
    """Run the demo; the exit code."""
    prompt = os.environ.get("PROMPT") or GUIDE_PROMPT
    model = os.environ.get("MODEL") or "google/nano-banana"
    with tempfile.TemporaryDirectory(prefix="cavendish-demo-") as folder:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CAVENDISH_DATA")}
        environment |= {"CAVENDISH_DATA_DIR": f"{folder}/data", "CAVENDISH_LOG_FORMAT": "json"}
        log = Path(folder) / "server.log"
        key = subprocess.run(
            [sys.executable, "-m", "cavendish", "keys", "create", "--account", ACCOUNT, "--credits", str(CREDITS)],
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ).stdout.strip()
        with log.open("wb") as stream:
            server = subprocess.Popen(
                [sys.executable, "-m", "cavendish", "serve", "--port", "0"],
                env=environment,
                stdout=stream,
                stderr=stream,
            )
        try:
            url = wait_for_server(server, log)
            say("server", f"{url} (throw-away data, stopped at the end)")
            run_task(url, key, model, prompt)
        except DemoFailed as error:
            print(
                f"\nThe demo failed: {error}\n\nThe server's log:\n{log.read_text(encoding='utf-8')[-4000:]}",
                file=sys.stderr,
            )
            return 1
        finally:
            server.terminate()
            server.wait(30)
    return 0


def run_task(url: str, key: str, model: str, prompt: str) -> None:
    """Create, watch, download, and show what it cost."""
    before = call(url, key, "GET", "/api/v1/user/balance")["balance"]
    fields: dict[str, Any] = {"prompt": prompt, "output_format": "png"}
    if model.endswith("pro"):
        fields |= {"image_input": [], "aspect_ratio": "1:1"}
    else:
        fields["image_size"] = "1:1"
    say("request", f"POST /api/v1/tasks/create  {model}  “{prompt}”")
    began = time.monotonic()
    task_id = call(url, key, "POST", "/api/v1/tasks/create", {"model": model, "input": fields})["taskId"]
    say("task", task_id)
    task = watch(url, key, task_id, began)
    if task["state"] != "success":
        raise DemoFailed(f"{task['failCode']}: {task['failMsg']}")
    seconds = time.monotonic() - began
    with urllib.request.urlopen(task["resultUrls"][0]) as answer:
        data = answer.read()
    path = Path("demo") / f"{task_id}.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        say("picture", f"{path}  ({image.format}, {image.width} x {image.height} pixels, {len(data):,} bytes)")
    say("took", f"{seconds:.2f} s from request to success")
    after = call(url, key, "GET", "/api/v1/user/balance")["balance"]
    say("balance", f"{before} credits before, {after} after: {before - after} charged")


def watch(url: str, key: str, task_id: str, began: float) -> dict[str, Any]:
    """Poll until the task ends, showing each new state; its data."""
    seen = None
    while time.monotonic() - began < TASK_SECONDS:
        task = call(url, key, "GET", f"/api/v1/tasks/query/{task_id}")
        if task["state"] != seen:
            seen = task["state"]
            say("state", f"{seen:<11} after {time.monotonic() - began:.2f} s")
        if seen in ("success", "fail"):
            return task
        time.sleep(0.01)
    raise DemoFailed(f"still {seen} after {TASK_SECONDS} s")


def call(url: str, key: str, method: str, path: str, body: object = None) -> dict[str, Any]:
    """One API call; its `data`."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url + path, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            result: dict[str, Any] = json.load(answer)["data"]
            return result
    except urllib.error.HTTPError as error:
        raise DemoFailed(f"{method} {path} answered {error.code}: {error.read().decode()}") from error


def wait_for_server(server: "subprocess.Popen[bytes]", log: Path) -> str:
    """The server's URL, once it says that it serves."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        for line in log.read_text(encoding="utf-8").splitlines():
            if line.startswith("{") and json.loads(line).get("event") == "serving":
                return str(json.loads(line)["url"])
        time.sleep(0.02)
    raise DemoFailed("the server did not start")


def say(label: str, text: str) -> None:
    """One aligned line."""
    print(f"{label:>8}  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
