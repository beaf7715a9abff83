"""The rules that a URL given by a caller must keep before it is stored. Pure and quick; nothing is looked up.

What a *name* resolves to is judged when the connection is made (`outbound`); here only what the URL itself says.
"""

import re
from typing import Final

from cavendish.domain.addresses import Address, ends_in_number, is_public, literal_address, plain_host
from cavendish.domain.text import Text, shortened

__all__ = ["Address", "check_url", "is_public", "is_web_port", "literal_address"]

_UNSAFE = re.compile(r"[\s\x00-\x20\x7f-\x9f\\\ud800-\udfff]")
_SHAPE = re.compile(r"(?i:https?://)([^/?#]*)")
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]*))?", re.ASCII)
_ASCII_HOST = re.compile(
    r"(?!.{254})[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_LOCAL_NAMES: Final = (".localhost", ".local", ".internal", ".localdomain", ".home.arpa")

_NOT_WEB_PORTS: Final = frozenset(
    # Above 79: what browsers refuse (two groups), then databases, queues, remote control.
    {87, 95, 101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 138, 139, 143, 161, 179, 389, 427}
    | {445, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 873, 989, 990, 993}
    | {995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697}
    | {1433, 1521, 1883, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 4369, 5432, 5433, 5671, 5672, 5900, 5901, 5985}
    | {5986, 6379, 6380, 6432, 8883, 9042, 9092, 9300, 10080, 10250, 11211, 27017, 27018, 27019, 61613}
)


def is_web_port(port: int) -> bool:
    """Whether a web server may be expected on `port`: not below 80, and not the port of another well-known service."""
    return 80 <= port <= 65535 and port not in _NOT_WEB_PORTS


def check_url(url: str, *, allow_private: bool, max_chars: int = 2048) -> Text | None:
    """The rule that `url` breaks, as a sentence for its sender, or None when it may be used.

    `allow_private` permits hosts and ports inside one's own network; every other rule holds all the same.
    `max_chars` is the longest URL, in characters.
    """
    if len(url) > max_chars:
        return _broken(f"must be at most {max_chars} characters", f"最多 {max_chars} 个字符", url)
    if _UNSAFE.search(url):
        return _broken(
            "must not contain spaces, control characters or backslashes", "不能包含空格、控制字符或反斜杠", url
        )
    shape = _SHAPE.match(url)
    if shape is None:
        return _broken("must be an absolute http or https URL", "必须是完整的 http 或 https 地址", url)
    authority = shape[1]
    if "@" in authority:
        # Not shown: what stands before the @ is likely a password.
        return Text(en="must not contain a user name or password before the host", zh="主机名之前不能包含用户名或密码")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        return _broken("must have a valid host and port", "主机名或端口无效", url)
    host, port = parts[1], parts[2]
    if not host:
        return _broken("must have a host", "缺少主机名", url)
    number: int | None = None
    if port is not None:
        number = int(port) if 0 < len(port) <= 5 else 0
        if not 1 <= number <= 65535:
            return _broken("must have a port from 1 to 65535", "端口必须在 1 到 65535 之间", url)
    return _check_host(host, url, allow_private) or _check_port(number, url, allow_private)


def _check_host(host: str, url: str, allow_private: bool) -> Text | None:
    address = literal_address(host)
    if address is not None:
        if not allow_private and not is_public(address):
            return _private(url)
        if not _is_canonical(host, address):
            # Readers disagree about the other notations (is 0127 octal?), and the HTTP client takes none of them.
            return _broken(f"must write its address as {address}", f"地址必须写成 {address}", url)
        return None
    plain = plain_host(host)
    if not allow_private and f".{plain}".endswith(_LOCAL_NAMES):
        return _private(url)
    if "%" in host or host.startswith("[") or ends_in_number(plain) or not _is_name(plain):
        return _broken("must have a valid host name", "主机名无效", url)
    return None


def _check_port(port: int | None, url: str, allow_private: bool) -> Text | None:
    if port is None or allow_private or is_web_port(port):
        return None
    return _broken(
        f"must not use port {port}, which belongs to a service other than the web",
        f"不能使用端口 {port}，它属于非 Web 服务",
        url,
    )


def _is_canonical(host: str, address: Address) -> bool:
    if address.version == 4:
        return host == str(address)
    return host.startswith("[") and host.isascii() and "%" not in host


def _is_name(plain: str) -> bool:
    if plain.isascii():
        return _ASCII_HOST.fullmatch(plain) is not None
    # The exact rules of international names are the resolver's business; here only: labels of letters, digits, marks.
    labels = plain.split(".")
    return len(plain) <= 253 and all(label and all(c in "-_" or _is_word(c) for c in label) for label in labels)


def _is_word(char: str) -> bool:
    return char.isalnum() or (not char.isascii() and f"a{char}".isidentifier())


def _private(url: str) -> Text:
    return _broken("must lead to a host on the public internet", "必须指向公网上的主机", url)


def _broken(en: str, zh: str, url: str) -> Text:
    return Text(en=f"{en}; got {shortened(url)}", zh=f"{zh}；实际为 {shortened(url)}")
