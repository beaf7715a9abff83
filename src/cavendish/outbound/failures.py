"""What can go wrong on the way to a server that a caller named, in stable words and in sentences."""

import errno
import ssl
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, assert_never

import aiohttp

from cavendish.domain.errors import CavendishError
from cavendish.domain.text import Text

Failure = Literal["refused", "timeout", "dns", "tls", "reset", "address_refused", "too_slow", "bad_answer"]
"""Why there is no answer.

refused          nobody takes the connection
timeout          no connection within the time
dns              the name has no address
tls              no certificate that can be trusted
reset            the connection broke
address_refused  we do not go there
too_slow         connected, but no answer within the time
bad_answer       what came is not HTTP, or not within our bounds
"""


class DeliveryFailed(CavendishError):
    """No answer to a POST: `word` says why, in a form to store and to count."""

    def __init__(self, word: Failure, text: Text) -> None:
        super().__init__(text)
        self.word: Failure = word


NETWORK_ERRORS = (aiohttp.ClientError, OSError, TimeoutError)
"""All that aiohttp raises for a request that fails."""


_SOCKET_WORDS: Mapping[int | None, Failure] = MappingProxyType(
    {errno.ETIMEDOUT: "timeout", errno.ECONNRESET: "reset", errno.EPIPE: "reset"}
)


def classify(error: BaseException, *, connected: bool) -> Failure:
    """The word for one of NETWORK_ERRORS; `connected` tells whether there was a connection when it happened."""
    match error:
        case TimeoutError():
            return "too_slow" if connected else "timeout"
        case aiohttp.ClientConnectorDNSError():
            return "dns"
        case aiohttp.ClientSSLError() | ssl.SSLError():  # before its base ClientConnectorError
            return "tls"
        case aiohttp.ClientConnectorError():
            return _SOCKET_WORDS.get(error.os_error.errno, "refused")
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError() | OSError():
            return "reset"
        case _:
            return "bad_answer"


def explain(word: Failure) -> Text:
    """What the sender of the URL can mend, as a clause that follows the name of the host."""
    match word:
        case "refused":
            return Text(en="refused the connection or cannot be reached", zh="拒绝连接或无法到达")
        case "timeout":
            return Text(en="did not take the connection in time", zh="未能在时限内建立连接")
        case "dns":
            return Text(en="has no address: check the host name", zh="没有可解析的地址，请检查主机名")
        case "tls":
            return Text(
                en="has no certificate that is valid for its name and issued by a known authority",
                zh="的证书无效：与主机名不符，或并非由受信任的机构签发",
            )
        case "reset":
            return Text(en="broke the connection before the answer was complete", zh="在响应完成之前断开了连接")
        case "address_refused":
            return Text(en="leads to an address that is not on the public internet", zh="指向的地址不在公网上")
        case "too_slow":
            return Text(en="did not answer in time", zh="未能在时限内响应")
        case "bad_answer":
            return Text(en="answered with something that is not valid HTTP", zh="返回了不符合 HTTP 规范的内容")
        case _:
            assert_never(word)
