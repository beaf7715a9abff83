"""GET /openapi.json and GET /docs: the API reference, for programs and for people."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib.resources import files
from types import MappingProxyType

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from cavendish.domain.catalog import Catalog
from cavendish.domain.text import Language
from cavendish.web.answers import AnswerResponse, language_of, not_found
from cavendish.web.openapi import openapi
from cavendish.web.reference_page import render

OPENAPI_PATH = "/openapi.json"
DOCS_PATH = "/docs"
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SAFETY: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
)
_ASSETS: Mapping[str, str] = MappingProxyType(
    {
        "style.css": "text/css; charset=utf-8",
        "script.js": "text/javascript; charset=utf-8",
        "icon.svg": "image/svg+xml",
    }
)


class Reference:
    """The reference in both languages; made when first asked for, and kept."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._made: dict[tuple[str, Language], bytes] = {}

    async def document(self, request: Request) -> Response:
        """OpenAPI 3.1 as JSON. Any page may read it: it holds no secret."""
        language = _language(request)
        body = self._kept("json", language, lambda: msgspec.json.encode(openapi(self._catalog, language)))
        headers = {"Access-Control-Allow-Origin": "*", **_caching(language)}
        return Response(body, headers=headers, media_type="application/json")

    async def page(self, request: Request) -> Response:
        """The page."""
        language = _language(request)
        make = partial(self._page, language)
        return Response(
            self._kept("html", language, make), headers={**_SAFETY, **_caching(language)}, media_type="text/html"
        )

    async def asset(self, request: Request) -> Response:
        """What the page needs: a style sheet, a script and an icon, all our own."""
        name = request.path_params["name"]
        if name not in _ASSETS:
            return AnswerResponse(not_found(request.url.path, language_of(request.scope)))
        body = files("cavendish.web").joinpath("reference", name).read_bytes()
        return Response(body, headers={**_SAFETY, "Cache-Control": "public, max-age=3600"}, media_type=_ASSETS[name])

    def _page(self, language: Language) -> bytes:
        return render(openapi(self._catalog, language), language).encode()

    def _kept(self, kind: str, language: Language, make: Callable[[], bytes]) -> bytes:
        made = self._made.get((kind, language))
        if made is None:
            made = self._made[(kind, language)] = make()
        return made


def _language(request: Request) -> Language:
    asked = request.query_params.get("lang")
    return "zh" if asked == "zh" else "en" if asked == "en" else language_of(request.scope)


def _caching(language: Language) -> dict[str, str]:
    return {"Cache-Control": "no-cache", "Vary": "Accept-Language", "Content-Language": language}
