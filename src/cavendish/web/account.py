"""The quiet endpoints: balance and catalogue."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cavendish.domain.catalog import Catalog, Model
from cavendish.domain.inputs import input_schema
from cavendish.ports import Accounts
from cavendish.web.answers import AnswerResponse, success
from cavendish.web.auth import KeyRing


class AccountEndpoints:
    """GET /api/v1/user/balance and GET /api/v1/models"""

    def __init__(self, keys: KeyRing, accounts: Accounts, catalog: Catalog) -> None:
        self._keys = keys
        self._accounts = accounts
        self._models = [_shown(model) for model in catalog.models]

    async def balance(self, request: Request) -> Response:
        """What the caller can spend, and what is set aside for running tasks."""
        caller = await self._keys.caller(request.scope)
        balance = await self._accounts.balance(caller.account_id)
        return AnswerResponse(success({"balance": balance.available, "held": balance.held}))

    async def models(self, _request: Request) -> Response:
        """Every model: id, descriptions, prices in credits, and the JSON Schema of `input`. Needs no key."""
        return AnswerResponse(success({"models": self._models}))


def _shown(model: Model) -> Mapping[str, Any]:
    prices = model.row.prices
    return {
        "id": model.id,
        "description": {"en": model.row.description.en, "zh": model.row.description.zh},
        "price": min(prices.values()),
        "prices": prices,
        "input": input_schema(model),
    }
