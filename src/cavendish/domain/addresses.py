"""Which network addresses outbound requests may go to. Pure: nothing is looked up here.

One rule, `is_public`, and one reader of literals, `literal_address`. The rule is a table of our own rather than
`ipaddress.is_global`: what that says differs between patch releases of Python, calls multicast and the NAT64 prefixes
global, and knows nothing of cloud metadata services that live on routable addresses.

IPv6 addresses that carry an IPv4 address inside come in two kinds:

- *Judged by the embedded address*: IPv4-mapped (::ffff:0:0/96), because the operating system connects to that very
  IPv4 address; and the well-known NAT64 prefix (64:ff9b::/96), because on an IPv6-only network every IPv4 host
  of the internet is only reachable that way and refusing it would refuse them all.
- *Refused wholesale*: IPv4-compatible (::/96), 6to4, Teredo, ISATAP, and local NAT64 (64:ff9b:1::/48). They are
  deprecated or local by definition, and where the packet ends is up to a relay that we do not know.
"""

import re
import unicodedata
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_network
from urllib.parse import unquote

Address = IPv4Address | IPv6Address


def _table(*networks: str) -> tuple[tuple[int, int], ...]:
    parsed = [ip_network(network) for network in networks]
    return tuple((int(n.netmask), int(n.network_address)) for n in parsed)


_REFUSED_V4 = _table(
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",  # private
    "100.64.0.0/10",  # carrier-grade NAT; 100.100.100.200 is Alibaba Cloud's metadata service
    "127.0.0.0/8",  # loopback
    "168.63.129.16/32",  # Azure's wire server, routable by its looks
    "169.254.0.0/16",  # link-local; 169.254.169.254 is nearly everyone's metadata service
    "172.16.0.0/12",  # private
    "192.0.0.0/24",  # protocol assignments; 192.0.0.192 is Oracle Cloud's metadata service
    "192.0.2.0/24",  # documentation
    "192.88.99.0/24",  # 6to4 relays
    "192.168.0.0/16",  # private
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and broadcast
)
_ALLOWED_V6 = _table("2000::/3")  # the only block that is handed out for the internet; all else is special
_REFUSED_V6 = _table(
    "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4
    "3fff::/20",  # documentation
)
_MAPPED_V6 = _table("::ffff:0:0/96")
_NAT64_V6 = _table("64:ff9b::/96")


def _within(number: int, table: tuple[tuple[int, int], ...]) -> bool:
    return any(number & mask == network for mask, network in table)


def is_public(address: Address) -> bool:
    """Whether `address` is an ordinary host of the public internet: the one rule for every outbound connection."""
    number = int(address)
    if isinstance(address, IPv4Address):
        return not _within(number, _REFUSED_V4)
    if address.scope_id is not None:
        return False
    if _within(number, _MAPPED_V6) or _within(number, _NAT64_V6):
        return not _within(number & 0xFFFF_FFFF, _REFUSED_V4)
    isatap = (number >> 32) & 0xFDFF_FFFF == 0x0000_5EFE
    return _within(number, _ALLOWED_V6) and not _within(number, _REFUSED_V6) and not isatap


_DOTS = str.maketrans(dict.fromkeys("\u3002\uff0e\uff61", "."))
_PART = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+", re.ASCII)


def plain_host(host: str) -> str:
    """`host` as a lenient reader would take it.

    Percent-decoded, compatibility forms (full-width, circled, ...) folded, invisible characters dropped, lower case,
    brackets and one trailing dot removed. For judging, not for connecting.
    """
    if host.isascii() and "%" not in host:
        text = host
    else:
        text = unicodedata.normalize("NFKC", unquote(host).translate(_DOTS)).translate(_DOTS)
        text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    return text.lower().removeprefix("[").removesuffix("]").removesuffix(".")


def ends_in_number(host: str) -> bool:
    """Whether a plain host's last label is a number: then it is an IPv4 address or nothing."""
    return _PART.fullmatch(host.rpartition(".")[2]) is not None


def literal_address(host: str) -> Address | None:
    """The address that `host` spells, in any notation that inet_aton or a browser reads; None when it is a name.

    Dotted, decimal, octal and hexadecimal, one to four parts (`127.1`), IPv6 with or without brackets, zone or
    embedded IPv4, trailing dot, percent-encoded, full-width digits.
    """
    plain = plain_host(host)
    if ":" in plain:
        try:
            return IPv6Address(plain)
        except AddressValueError:
            return None
    if not ends_in_number(plain):  # most hosts leave here
        return None
    parts = plain.split(".")
    if len(parts) > 4 or not all(len(part) <= 64 and _PART.fullmatch(part) for part in parts):
        return None
    try:
        numbers = [_number(part) for part in parts]
    except ValueError:
        return None
    *leading, last = numbers
    if any(n > 0xFF for n in leading) or last >= 1 << (8 * (5 - len(numbers))):
        return None
    value = last
    for position, n in enumerate(leading):
        value |= n << (8 * (3 - position))
    return IPv4Address(value)


def _number(part: str) -> int:
    if part[:2] in {"0x", "0X"}:
        return int(part[2:] or "0", 16)
    return int(part, 8 if part.startswith("0") and len(part) > 1 else 10)
