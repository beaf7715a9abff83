"""Access tokens for Vertex from the machine's application default credentials, fetched and renewed in a thread."""

import asyncio
from typing import Protocol

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
FETCH_SECONDS = 20.0


class NoCredentials(Exception):
    """There are no application default credentials, or nobody gave a token for them."""


class Credentials(Protocol):
    """What is used of google-auth's credentials."""

    token: str | None

    @property
    def valid(self) -> bool:
        """Whether the token is there and lives on for some minutes."""

    def refresh(self, request: object) -> None:
        """Fetch a new token."""


class VertexTokens:
    """Hands out a token that is valid, fetching one when it has to; at most one fetch is under way.

    Args:
        proxy: the operator's; the environment's proxies are not used.
        credentials: for tests; by default the machine's.
    """

    def __init__(self, proxy: str | None = None, credentials: Credentials | None = None) -> None:
        self._proxy = proxy
        self._credentials = credentials
        self._lock = asyncio.Lock()

    async def headers(self) -> dict[str, str]:
        """What a call to Vertex needs: a valid token, and whose quota counts if the credentials say so.

        Raises:
            NoCredentials: there is no token to be had.
        """
        async with self._lock:
            if self._credentials is None or not self._credentials.valid:
                try:
                    async with asyncio.timeout(FETCH_SECONDS):
                        self._credentials = await asyncio.to_thread(self._fetch)
                except TimeoutError:
                    raise NoCredentials("nobody gave a token in time") from None
            token = self._credentials.token
            if not token:
                raise NoCredentials("the credentials gave no token")
            quota_project = getattr(self._credentials, "quota_project_id", None)
            return {"Authorization": f"Bearer {token}"} | (
                {"x-goog-user-project": quota_project} if quota_project else {}
            )

    def _fetch(self) -> Credentials:
        # Imported here only: half a second, for those who use Vertex.
        import google.auth
        import requests
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request

        session = requests.Session()
        session.trust_env = False
        if self._proxy is not None:
            session.proxies = {"http": self._proxy, "https": self._proxy}
        request = Request(session=session)
        try:
            credentials: Credentials = self._credentials or google.auth.default(scopes=SCOPES, request=request)[0]
            credentials.refresh(request)
        except (GoogleAuthError, requests.RequestException) as error:
            # Its text may quote the answer of a token endpoint, and so what was sent there.
            raise NoCredentials(type(error).__name__) from None
        return credentials
