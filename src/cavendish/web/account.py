"""The quiet endpoints: balance and catalogue."""

from starlette.requests import Request
from starlette.responses import Response

from cavendish.domain.catalog import Catalog, Model
from cavendish.domain.inputs import input_schema
from cavendish.ports import Accounts
from cavendish.web.answers import AnswerResponse, success
from cavendish.web.auth import KeyRing
from cavendish.web.shapes import BalanceShown, ModelShown, ModelsShown


class AccountEndpoints:
    """GET /api/v1/user/balance and GET /api/v1/models"""

    def __init__(self, keys: KeyRing, accounts: Accounts, catalog: Catalog) -> None:
        self._keys = keys
        self._accounts = accounts
        self._models = ModelsShown([_shown(model) for model in catalog.models])

    async def balance(self, request: Request) -> Response:
        """What the caller can spend, and what is set aside for running tasks."""
        caller = await self._keys.caller(request.scope)
        balance = await self._accounts.balance(caller.account_id)
        return AnswerResponse(success(BalanceShown(balance.available, balance.held)))

    async def models(self, _request: Request) -> Response:
        """Every model: id, descriptions, prices in credits, and the JSON Schema of `input`. Needs no key."""
        return AnswerResponse(success(self._models))


def _shown(model: Model) -> ModelShown:
    prices = model.row.prices
    return ModelShown(model.id, model.row.description, min(prices.values()), prices, input_schema(model))
