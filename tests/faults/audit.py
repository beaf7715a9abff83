"""What must be true after every fault: each accepted task ended once, was paid for once or not at all, and is there."""

import asyncio
import io
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from PIL import Image

from cavendish.domain.catalog import Catalog
from cavendish.domain.credits import Balance, Entry, replay
from cavendish.domain.results import RESULTS_PATH
from cavendish.wiring import load_catalog
from tests.faults.cluster import PUBLIC_URL, Cluster, until
from tests.faults.load import Load

_SHOWN_PROBLEMS = 15


class Tally(msgspec.Struct, frozen=True):
    """What a scenario came to. `duplicates` and `lost` are zero, or the audit failed."""

    accepted: int
    success: int
    fail: int
    duplicates: int
    lost: int

    def __add__(self, other: "Tally") -> "Tally":
        mine, theirs = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return Tally(*(a + b for a, b in zip(mine, theirs, strict=True)))


async def audit(cluster: Cluster, load: Load) -> Tally:
    """Wait until nothing is under way, then check everything; at least one API process must be up.

    Raises AssertionError that lists what broke.
    """
    await until(lambda: _at_rest(cluster), "tasks are still under way")
    tasks = {row["id"]: row for row in await cluster.rows("SELECT * FROM tasks")}
    answered = [task_id for ids in load.answered.values() for task_id in ids]
    lost = sorted(set(answered) - tasks.keys())
    problems = [f"{task_id}: was accepted, and is gone" for task_id in lost]
    problems += await _keys_and_tasks(cluster, load, tasks)
    problems += await _ledger(cluster, tasks)
    problems += await _accounts(cluster)
    problems += [
        f"key {row['prefix']}: {row['in_flight']} in flight at rest"
        for row in await cluster.rows("SELECT prefix, in_flight FROM api_keys WHERE in_flight <> 0")
    ]
    room = asyncio.Semaphore(16)
    catalog = load_catalog(None)
    checks = [_as_its_owner_sees_it(load, tasks[t], catalog, room) for t in answered if t in tasks]
    problems += [problem for found in await asyncio.gather(*checks) for problem in found]
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems[:_SHOWN_PROBLEMS])
    states = Counter(row["state"] for row in tasks.values())
    duplicates = len(tasks) - len(load.answered)
    return Tally(load.accepted, states["success"], states["fail"], duplicates, len(lost))


async def _at_rest(cluster: Cluster) -> bool:
    return not await cluster.rows("SELECT FROM tasks WHERE state NOT IN ('success', 'fail') LIMIT 1")


async def _keys_and_tasks(cluster: Cluster, load: Load, tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One idempotency key, one task, and no task beside."""
    problems = [
        f"{name}: answered with {len(ids)} tasks: {sorted(ids)}"
        for (_, name), ids in load.answered.items()
        if len(ids) != 1
    ]
    known = await cluster.rows("SELECT account_id, key, task_id FROM idempotency_keys")
    uses = Counter(row["task_id"] for row in known)
    problems += [f"{task_id}: belongs to {uses[task_id]} idempotency keys" for task_id in tasks if uses[task_id] != 1]
    # Customers repeat a create until it is answered, so what is there is what was answered.
    unanswered = tasks.keys() - {task_id for ids in load.answered.values() for task_id in ids}
    problems += [f"{task_id}: a duplicate, no customer knows it" for task_id in sorted(unanswered)]
    return problems


async def _ledger(cluster: Cluster, tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Exactly one hold, and one settle (success) or release (fail), each of the price; charged only for success."""
    entries: dict[str, list[tuple[str, int, int]]] = {task_id: [] for task_id in tasks}
    problems = []
    for row in await cluster.rows("SELECT * FROM credit_entries WHERE kind <> 'grant' ORDER BY id"):
        if row["task_id"] in entries:
            entries[row["task_id"]].append((row["kind"], row["amount"], row["account_id"]))
        else:
            problems.append(f"{row['task_id']}: {row['kind']} of {row['amount']} credits for a task that is not there")
    for task_id, task in tasks.items():
        end = "settle" if task["state"] == "success" else "release"
        wanted = [(kind, task["price"], task["account_id"]) for kind in ("hold", end)]
        if entries[task_id] != wanted:
            problems.append(f"{task_id} ({task['state']}): entries {entries[task_id]}, expected {wanted}")
        due = task["price"] if task["state"] == "success" else 0
        if task["credits_charged"] != due:
            problems.append(f"{task_id} ({task['state']}): charged {task['credits_charged']}, expected {due}")
    return problems


async def _accounts(cluster: Cluster) -> list[str]:
    """Totals add up, nothing is held at rest, and the entries lead to exactly these totals."""
    problems = []
    for row in await cluster.rows("SELECT * FROM accounts"):
        name, held = row["name"], row["held"]
        if row["available"] + held + row["charged"] != row["granted"] or held != 0:
            problems.append(f"{name}: totals at rest {row}")
        entries = await cluster.rows(
            "SELECT kind, amount FROM credit_entries WHERE account_id = $1 ORDER BY id", row["id"]
        )
        totals = Balance(row["available"], held, row["charged"], row["granted"])
        replayed = replay(Entry(entry["kind"], entry["amount"]) for entry in entries)
        if replayed != totals:
            problems.append(f"{name}: its entries lead to {replayed}, not to {totals}")
    return problems


async def _as_its_owner_sees_it(
    load: Load, task: Mapping[str, Any], catalog: Catalog, room: asyncio.Semaphore
) -> list[str]:
    """The query tells the same as before and as the database; a success downloads and decodes, at its size."""
    task_id = task["id"]
    async with room:
        data = await load.ended(task_id)
        problems = []
        seen = load.last_seen.get(task_id, data)
        if seen != data:
            problems.append(f"{task_id}: its customer saw {seen}, and now it is {data}")
        if (data["state"], data["creditsConsumed"]) != (task["state"], task["credits_charged"]):
            problems.append(f"{task_id}: the query says {data}, the database {task['state']}")
        if data["state"] == "success":
            problems += await _picture(load, task, data["resultUrls"], catalog)
        elif data["resultUrls"] or data["failCode"] not in ("internal", "content_rejected"):
            problems.append(f"{task_id}: failed in an unexpected way: {data}")
    return problems


async def _picture(load: Load, task: Mapping[str, Any], urls: list[str], catalog: Catalog) -> list[str]:
    task_id = task["id"]
    if len(urls) != 1 or not urls[0].startswith(PUBLIC_URL + RESULTS_PATH):
        return [f"{task_id}: success with the URLs {urls}"]
    async with load.client.get(load.urls()[0] + urlsplit(urls[0]).path) as answer:
        picture = await answer.read()
    if answer.status != 200:
        return [f"{task_id}: success, but {urls[0]} is answered with {answer.status}: {picture[:200]!r}"]
    param = json.loads(task["param"])
    asked = param["input"]
    model = catalog.find(param["model"])
    size = model.size(asked.get("resolution", "1k"), asked.get("aspect_ratio", asked.get("image_size", "1:1")))
    kind = "JPEG" if asked.get("output_format") in ("jpg", "jpeg") else "PNG"
    try:
        with Image.open(io.BytesIO(picture)) as image:
            image.load()
            found = (image.size, image.format)
    except (OSError, SyntaxError) as error:
        return [f"{task_id}: success, but its {len(picture)} bytes do not decode: {error}"]
    return [] if found == (size, kind) else [f"{task_id}: the picture is {found}, expected {(size, kind)}"]
