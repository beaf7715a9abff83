"""Access tokens for Vertex from the machine's application default credentials, fetched and renewed in a thread."""

import asyncio
from typing import Protocol

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
FETCH_SECONDS = 20.0


class NoCredentials(Exception):
    """There are no application default credentials, or they were refused."""


class TokenUnreachable(Exception):
    """Who gives tokens did not answer, or not in time; nothing is known about the credentials."""


class Credentials(Protocol):
    """What is used of google-auth's credentials."""

    token: str | None

    @property
    def valid(self) -> bool:
        """Whether the token is there and lives on for some minutes."""

    def refresh(self, request: object) -> None:
        """Fetch a new token."""


class VertexTokens:
    """Hands out a token that is valid, fetching one when it has to; all who wait share one fetch.

    Args:
        proxy: the operator's; the environment's proxies are not used.
        credentials: for tests; by default the machine's.
    """

    def __init__(self, proxy: str | None = None, credentials: Credentials | None = None) -> None:
        self._proxy = proxy
        self._credentials = credentials
        self._fetching: asyncio.Task[Credentials] | None = None
        self._dropped: str | None = None

    async def headers(self) -> dict[str, str]:
        """What a call to Vertex needs: a valid token, and whose quota counts if the credentials say so.

        Raises:
            NoCredentials: there is no token to be had.
            TokenUnreachable: nobody answered who could give one.
        """
        credentials = self._credentials
        if credentials is None or not credentials.valid or credentials.token == self._dropped:
            if self._fetching is None:
                self._fetching = asyncio.create_task(asyncio.to_thread(self._fetch))
                self._fetching.add_done_callback(self._fetched)
            try:
                async with asyncio.timeout(FETCH_SECONDS):
                    # Shielded: whoever goes away takes the fetch from nobody else.
                    credentials = await asyncio.shield(self._fetching)
            except TimeoutError:
                raise TokenUnreachable("nobody gave a token in time") from None
        token = credentials.token
        if not token:
            raise NoCredentials("the credentials gave no token")
        quota_project = getattr(credentials, "quota_project_id", None)
        return {"Authorization": f"Bearer {token}"} | ({"x-goog-user-project": quota_project} if quota_project else {})

    def drop(self, headers: dict[str, str]) -> None:
        """The upstream refused what `headers` gave out: the next call fetches a new token, valid or not."""
        self._dropped = headers["Authorization"].removeprefix("Bearer ")

    def _fetched(self, fetching: "asyncio.Task[Credentials]") -> None:
        self._fetching = None
        if not fetching.cancelled() and fetching.exception() is None:
            self._credentials = fetching.result()

    def _fetch(self) -> Credentials:
        # Imported here only: half a second, for those who use Vertex.
        import google.auth
        import requests
        from google.auth.exceptions import GoogleAuthError, TransportError
        from google.auth.exceptions import TimeoutError as AuthTimeoutError
        from google.auth.transport.requests import Request

        session = requests.Session()
        session.trust_env = False
        if self._proxy is not None:
            session.proxies = {"http": self._proxy, "https": self._proxy}
        request = Request(session=session)
        try:
            credentials: Credentials = self._credentials or google.auth.default(scopes=SCOPES, request=request)[0]
            credentials.refresh(request)
        except (TransportError, AuthTimeoutError, requests.RequestException) as error:
            raise TokenUnreachable(type(error).__name__) from None
        except GoogleAuthError as error:
            if error.retryable:  # such as a 503 of the token endpoint
                raise TokenUnreachable(type(error).__name__) from None
            # Its text may quote the answer of a token endpoint, and so what was sent there.
            raise NoCredentials(type(error).__name__) from None
        return credentials
