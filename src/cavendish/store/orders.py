"""New tasks: concurrent creates share one transaction that checks, holds and inserts under the account's lock."""

import random
from collections.abc import Sequence

import asyncpg
import msgspec

from cavendish.domain.credits import Balance, hold
from cavendish.domain.errors import CavendishError, InvalidRequest, Unauthorized
from cavendish.domain.files import unusable_file
from cavendish.domain.idempotency import check_same
from cavendish.domain.limits import KeyLimits, KeyUsage, admit
from cavendish.domain.orders import Accepted, NewTask
from cavendish.domain.tasks import TaskId
from cavendish.domain.text import Text
from cavendish.group_commit import GroupCommit
from cavendish.ports import Clock
from cavendish.store.database import Connection, Database
from cavendish.store.queries import load_queries

KEY_ENDED = Text(en="This API key was revoked or has expired", zh="此 API 密钥已被吊销或已过期")
_ID_TRIES = 3


class _AccountState(msgspec.Struct):
    """A locked account while a batch is decided."""

    balance: Balance
    next_turn: int


class _KeyState(msgspec.Struct):
    """A locked key while a batch is decided. `opens_window`: the batch began a new minute for it."""

    account_id: int
    limits: KeyLimits
    usage: KeyUsage
    ended: bool
    opens_window: bool = False


class _Asked(msgspec.Struct):
    """What a batch asks of one account."""

    credits: int = 0
    tasks: int = 0


class PgTaskOrders:
    """Implements `ports.TaskOrders`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._sql = load_queries("submit")
        # Not a secret, only unlikely to meet another process's number in the same millisecond; the primary key decides.
        self._random = random.Random()  # noqa: S311
        # One at a time: a second batch would only wait in the database for the first one's account.
        self._group: GroupCommit[NewTask, Accepted] = GroupCommit(self._create_batch)

    async def create(self, order: NewTask) -> Accepted:
        """Task, hold, idempotency key and enqueue, durable together.

        Raises:
            Unauthorized, InvalidRequest, RateLimited, InsufficientCredits: nothing was written.
            StoreUnavailable: the database does not answer.
        """
        return await self._group(order)

    async def _create_batch(self, orders: Sequence[NewTask]) -> list[Accepted | Exception]:
        for _ in range(_ID_TRIES - 1):
            try:
                return await self._accept_all(orders) or await self._decide_each(orders)
            except asyncpg.UniqueViolationError:
                continue  # two tasks drew the same eight digits in one millisecond: draw again
        return await self._decide_each(orders)

    async def _accept_all(self, orders: Sequence[NewTask]) -> list[Accepted | Exception] | None:
        """The whole batch in one round trip; None, and nothing written, unless every order can be accepted as new."""
        requests = [(o.account_id, o.idempotency_key) for o in orders if o.idempotency_key is not None]
        if len(set(requests)) < len(requests) or any(o.files for o in orders):
            return None
        accounts: dict[int, _Asked] = {}
        keys: dict[int, int] = {}
        ids: list[TaskId] = []
        places: list[int] = []
        for order in orders:
            asked = accounts.get(order.account_id)
            if asked is None:
                asked = accounts[order.account_id] = _Asked()
            asked.credits += order.price
            asked.tasks += 1
            keys[order.key_id] = keys.get(order.key_id, 0) + 1
            ids.append(self._new_id(order.upstream))
            places.append(asked.tasks)
        row = await self._database.fetchrow(
            self._sql["accept"],
            list(accounts),
            [asked.credits for asked in accounts.values()],
            [asked.tasks for asked in accounts.values()],
            list(keys),
            list(keys.values()),
            ids,
            *_columns(orders),
            places,
            [o.idempotency_key for o in orders],
        )
        assert row is not None
        return [Accepted(task_id) for task_id in ids] if row["accepted"] else None

    async def _decide_each(self, orders: Sequence[NewTask]) -> list[Accepted | Exception]:
        """The batch under the locks of its accounts and keys, each order by the rules of the domain."""
        async with self._database.transaction() as connection:
            accounts, keys = await self._locked(connection, orders)
            known = await self._known_requests(connection, orders)
            usable = await self._usable_files(connection, orders)
            results: list[Accepted | Exception] = []
            accepted: list[tuple[TaskId, NewTask, int]] = []
            for order in orders:
                request = (order.account_id, order.idempotency_key)
                try:
                    if request in known:
                        task_id, param = known[request]
                        check_same(param, order.param)
                        results.append(Accepted(task_id, replayed=True))
                        continue
                    if order.files:
                        _check_files(order, usable)
                    turn = _decide(order, accounts, keys)
                except CavendishError as refusal:
                    results.append(refusal)
                    continue
                task_id = self._new_id(order.upstream)
                results.append(Accepted(task_id))
                accepted.append((task_id, order, turn))
                if order.idempotency_key is not None:
                    known[request] = (task_id, order.param)
            if accepted:
                await self._insert(connection, accepted, accounts, keys)
        return results

    async def _known_requests(
        self, connection: Connection, orders: Sequence[NewTask]
    ) -> dict[tuple[int, str | None], tuple[TaskId, str]]:
        asked = [(o.account_id, o.idempotency_key) for o in orders if o.idempotency_key is not None]
        if not asked:
            return {}
        rows = await connection.fetch(
            self._sql["known_requests"], [account for account, _ in asked], [key for _, key in asked]
        )
        return {(row["account_id"], row["key"]): (row["task_id"], row["param"]) for row in rows}

    async def _usable_files(self, connection: Connection, orders: Sequence[NewTask]) -> set[tuple[int, str]]:
        asked = [(o.account_id, use.name) for o in orders for use in o.files]
        if not asked:
            return set()
        rows = await connection.fetch(
            self._sql["usable_files"], [account for account, _ in asked], [name for _, name in asked]
        )
        return {(row["account_id"], row["name"]) for row in rows}

    async def _locked(
        self, connection: Connection, orders: Sequence[NewTask]
    ) -> tuple[dict[int, _AccountState], dict[int, _KeyState]]:
        rows = await connection.fetch(
            self._sql["lock_keys"], list({o.account_id for o in orders}), list({o.key_id for o in orders})
        )
        accounts: dict[int, _AccountState] = {}
        keys: dict[int, _KeyState] = {}
        for row in rows:
            accounts[row["account_id"]] = _AccountState(
                Balance(row["available"], row["held"], row["charged"], row["granted"]),
                max(row["next_turn"], row["queue_turn"]),
            )
            keys[row["key_id"]] = _KeyState(
                row["account_id"],
                KeyLimits(row["creates_per_minute"], row["in_flight_limit"]),
                KeyUsage(row["window_age_seconds"], row["window_creates"], row["in_flight"]),
                row["ended"],
            )
        return accounts, keys

    async def _insert(
        self,
        connection: Connection,
        accepted: Sequence[tuple[TaskId, NewTask, int]],
        accounts: dict[int, _AccountState],
        keys: dict[int, _KeyState],
    ) -> None:
        orders = [order for _, order, _ in accepted]
        used_accounts = {order.account_id: accounts[order.account_id] for order in orders}
        used_keys = {order.key_id: keys[order.key_id] for order in orders}
        await connection.execute(
            self._sql["insert_batch"],
            list(used_accounts),
            [a.balance.available for a in used_accounts.values()],
            [a.balance.held for a in used_accounts.values()],
            [a.next_turn for a in used_accounts.values()],
            list(used_keys),
            [k.opens_window for k in used_keys.values()],
            [k.usage.window_creates for k in used_keys.values()],
            [k.usage.in_flight for k in used_keys.values()],
            [task_id for task_id, _, _ in accepted],
            *_columns(orders),
            [turn for _, _, turn in accepted],
        )
        requests = [
            (o.account_id, o.idempotency_key, i, o.param) for i, o, _ in accepted if o.idempotency_key is not None
        ]
        if requests:
            await connection.execute(self._sql["insert_requests"], *map(list, zip(*requests, strict=True)))
        uses = [(use.name, i) for i, o, _ in accepted for use in o.files]
        if uses:
            await connection.execute(self._sql["insert_uses"], *map(list, zip(*uses, strict=True)))

    def _new_id(self, upstream: str) -> TaskId:
        return TaskId(f"task_{upstream}_{self._clock.now_ms()}_{self._random.getrandbits(32):08x}")


def _columns(orders: Sequence[NewTask]) -> tuple[list[object], ...]:
    """What both ways of writing a batch say of each task, as arrays for unnest."""
    return (
        [o.account_id for o in orders],
        [o.key_id for o in orders],
        [o.model for o in orders],
        [o.param for o in orders],
        [o.callback_url for o in orders],
        [o.public_url for o in orders],
        [" ".join(o.input_blobs) for o in orders],
        [o.price for o in orders],
    )


def _check_files(order: NewTask, usable: set[tuple[int, str]]) -> None:
    problems = [unusable_file(use) for use in order.files if (order.account_id, use.name) not in usable]
    if problems:
        raise InvalidRequest(problems)


def _decide(order: NewTask, accounts: dict[int, _AccountState], keys: dict[int, _KeyState]) -> int:
    """Admit one create: its turn in the queue. Changes the states only when it is accepted."""
    key = keys.get(order.key_id)
    if key is None or key.ended:
        raise Unauthorized(KEY_ENDED)
    account = accounts[key.account_id]
    usage = admit(key.limits, key.usage)
    balance = hold(account.balance, order.price)
    if usage.window_creates == 1:
        key.opens_window = True
    key.usage = usage
    account.balance = balance
    account.next_turn += 1
    return account.next_turn
