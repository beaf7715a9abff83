"""Accounts, their balances and ledgers, and API keys."""

import hashlib
import hmac
import secrets
import string
from datetime import datetime

import msgspec

from cavendish.domain.credits import Balance, Entry, replay
from cavendish.domain.errors import InsufficientCredits, Misconfigured, NotFound
from cavendish.domain.limits import KeyLimits
from cavendish.domain.orders import Caller
from cavendish.domain.tasks import AccountId
from cavendish.domain.text import Text, shortened, storable
from cavendish.store.database import Database
from cavendish.store.queries import load_queries

KEY_ALPHABET = string.ascii_letters + string.digits
KEY_CHARS = 40  # 238 random bits
PREFIX_CHARS = 11  # "sk-" and eight characters that name the key in lists and logs; 190 bits stay secret
MIN_PREFIX_CHARS = 7
MAX_GRANT = 10**12
MAX_NOTE_CHARS = 500


class KeyRow(msgspec.Struct, frozen=True):
    """A key as lists show it: never the key."""

    prefix: str
    account: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    creates_per_minute: int
    in_flight_limit: int
    in_flight: int
    operator: bool


def key_digest(key: str) -> bytes:
    """What is stored of a key. A plain hash is enough: a key is random, not a word that could be guessed."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


class PgAccounts:
    """Implements `ports.Accounts` and `ports.KeyLookup`, and what the command line does to accounts."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_queries("accounts")

    async def ensure(self, name: str) -> AccountId:
        """The account of that name, made when it does not exist.

        Raises:
            Misconfigured: the name is empty, too long or not printable.
        """
        _check_name(name)
        row = await self._database.fetchrow(self._sql["ensure_account"], name)
        # Two processes may make the same account at once; the loser's snapshot does not show the winner's row yet.
        row = row or await self._database.fetchrow(self._sql["ensure_account"], name)
        assert row is not None
        return AccountId(row["id"])

    async def grant(self, name: str, amount: int, note: str | None = None) -> Balance:
        """Add credits.

        Raises:
            NotFound: no such account.
            Misconfigured: the amount is not between 1 and 10^12.
        """
        _check_name(name)
        if not 1 <= amount <= MAX_GRANT:
            raise Misconfigured(
                Text(
                    en=f"credits: a whole number from 1 to {MAX_GRANT}; got {amount}",
                    zh=f"积分：1 到 {MAX_GRANT} 的整数；收到 {amount}",
                )
            )
        if note is not None and (len(note) > MAX_NOTE_CHARS or storable(note, MAX_NOTE_CHARS) != note):
            raise Misconfigured(
                Text(
                    en=f"note: at most {MAX_NOTE_CHARS} characters of text",
                    zh=f"备注：最多 {MAX_NOTE_CHARS} 个字符的文本",
                )
            )
        row = await self._database.fetchrow(self._sql["grant"], name, amount, note)
        if row is None:
            raise _no_account(name)
        return Balance(*row)

    async def balance(self, account_id: AccountId) -> Balance:
        """The account's totals."""
        row = await self._database.fetchrow(self._sql["balance"], account_id)
        assert row is not None, "accounts are never deleted"
        return Balance(*row)

    async def audit(self, name: str) -> tuple[Balance, bool]:
        """The account's totals, and whether its entries, replayed one by one, lead to exactly these.

        Raises:
            NotFound: no such account.
            Misconfigured: the name cannot be one.
        """
        _check_name(name)
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            row = await connection.fetchrow(self._sql["balance_by_name"], name)
            if row is None:
                raise _no_account(name)
            entries = await connection.fetch(self._sql["entries"], row["id"])
        balance = Balance(row["available"], row["held"], row["charged"], row["granted"])
        try:
            proved = replay(Entry(e["kind"], e["amount"]) for e in entries) == balance
        except (InsufficientCredits, AssertionError):
            proved = False  # an entry that could not have followed those before it
        return balance, proved

    async def create_key(
        self,
        account_id: AccountId,
        limits: KeyLimits,
        expires_in_days: int | None = None,
        *,
        operator: bool = False,
    ) -> str:
        """A new key for the account: its only appearance. `operator`: it may also read /api/v1/admin."""
        key = "sk-" + "".join(secrets.choice(KEY_ALPHABET) for _ in range(KEY_CHARS))
        await self._database.fetch(
            self._sql["create_key"],
            account_id,
            key_digest(key),
            key[:PREFIX_CHARS],
            limits.creates_per_minute,
            limits.in_flight,
            expires_in_days,
            operator,
        )
        return key

    async def list_keys(self) -> list[KeyRow]:
        """Every key, oldest first."""
        return [KeyRow(**dict(row)) for row in await self._database.fetch(self._sql["list_keys"])]

    async def revoke_keys(self, prefix: str) -> str:
        """End the one key that `prefix` names (a whole key is taken by its prefix); its prefix.

        Raises:
            NotFound: no key, or more than one, starts so; nothing was revoked.
        """
        matching: list[str] = []
        if len(prefix) >= MIN_PREFIX_CHARS and prefix.isascii():
            rows = await self._database.fetch(self._sql["prefixes"], prefix[:PREFIX_CHARS])
            matching = [row["prefix"] for row in rows]
        if len(matching) != 1:
            raise NotFound(
                Text(
                    en=f"{shortened(prefix[:PREFIX_CHARS])} does not name one key ({len(matching)} match); "
                    f"give at least {MIN_PREFIX_CHARS} characters of what `cavendish keys list` shows",
                    zh=f"{shortened(prefix[:PREFIX_CHARS])} 不能确定唯一的密钥（匹配 {len(matching)} 个）；请给出 "
                    f"`cavendish keys list` 所示前缀的至少 {MIN_PREFIX_CHARS} 个字符",
                )
            )
        await self._database.fetch(self._sql["revoke_keys"], matching[0])
        return str(matching[0])

    async def any_key(self, *, besides: str = "") -> bool:
        """Whether a key was ever made for an account other than `besides`."""
        row = await self._database.fetchrow(self._sql["any_key"], besides)
        return bool(row and row["found"])

    async def find_key(self, digest: bytes) -> tuple[Caller, float | None] | None:
        """Whom the key speaks for, and seconds until it expires (None: never); None for a key that opens nothing."""
        row = await self._database.fetchrow(self._sql["find_key"], digest)
        if row is None or not hmac.compare_digest(row["hash"], digest):
            return None
        return Caller(row["id"], row["account_id"], row["account"], row["operator"]), row["expires_in_seconds"]


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= 100 or not name.isprintable() or name != name.strip():
        raise Misconfigured(
            Text(
                en=f"account name: 1 to 100 printable characters, no space at either end; got {shortened(name)}",
                zh=f"账户名：1 到 100 个可打印字符，首尾不能有空格；收到 {shortened(name)}",
            )
        )


def _no_account(name: str) -> NotFound:
    return NotFound(Text(en=f"there is no account named {shortened(name)}", zh=f"没有名为 {shortened(name)} 的账户"))
