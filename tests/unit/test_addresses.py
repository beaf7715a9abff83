from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavendish.domain.addresses import is_public, literal_address

LOOPBACK = IPv4Address("127.0.0.1")


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "93.184.215.14",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.1",
        "168.63.129.17",
        "198.17.255.255",
        "198.20.0.0",
        "192.0.1.1",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2a00:1450:4001:80b::200e",
        "2001:4860:4860::8888",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
    ],
)
def test_ordinary_hosts_of_the_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "this network"),
        ("10.255.255.255", "private"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("100.100.100.200", "Alibaba metadata"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("168.63.129.16", "Azure wire server"),
        ("169.254.0.1", "link-local"),
        ("169.254.169.254", "metadata"),
        ("169.254.170.2", "ECS credentials"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.0.0.1", "protocol assignments"),
        ("192.0.0.192", "Oracle metadata"),
        ("192.0.2.1", "documentation"),
        ("192.88.99.1", "6to4 relay"),
        ("192.168.0.1", "private"),
        ("198.18.0.1", "benchmark"),
        ("198.19.255.255", "benchmark"),
        ("198.51.100.7", "documentation"),
        ("203.0.113.7", "documentation"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "broadcast"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::127.0.0.1", "IPv4-compatible"),
        ("::8.8.8.8", "IPv4-compatible, refused wholesale"),
        ("::ffff:127.0.0.1", "mapped loopback"),
        ("::ffff:10.0.0.1", "mapped private"),
        ("::ffff:169.254.169.254", "mapped metadata"),
        ("::ffff:0:127.0.0.1", "IPv4-translated"),
        ("64:ff9b::127.0.0.1", "NAT64 of loopback"),
        ("64:ff9b::169.254.169.254", "NAT64 of metadata"),
        ("64:ff9b:1::8.8.8.8", "local NAT64"),
        ("100::1", "discard"),
        ("2001::1", "Teredo"),
        ("2001:0:7f00:1::", "Teredo"),
        ("2001:2::1", "benchmark"),
        ("2001:10::1", "ORCHID"),
        ("2001:20::1", "ORCHIDv2"),
        ("2001:db8::1", "documentation"),
        ("2002:7f00:1::", "6to4 of loopback"),
        ("2002:808:808::", "6to4, refused wholesale"),
        ("3fff::1", "documentation"),
        ("4000::1", "not handed out"),
        ("5f00::1", "segment routing"),
        ("fc00::1", "unique local"),
        ("fd00:ec2::254", "AWS metadata"),
        ("fd20:ce::254", "Google metadata"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local with a zone"),
        ("2606:4700::1%eth0", "a zone has no place on the internet"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
        ("2606:4700::5efe:7f00:1", "ISATAP of loopback"),
        ("2606:4700::200:5efe:a00:1", "ISATAP of private"),
    ],
)
def test_special_addresses_are_not_public(address: str, why: str) -> None:
    assert not is_public(ip_address(address)), why


@pytest.mark.parametrize(
    "spelling",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0X7F000001",
        "0x7f.0.0.1",
        "0x7f.1",
        "0177.0.0.1",
        "0177.1",
        "017700000001",
        "0000000000000177.0.0.01",
        "%31%32%37.0.0.1",
        "127%2e0%2e0%2e1",
        "\uff11\uff12\uff17.0.0.1",
        "127\u30020\u30020\u30021",
        "127\uff0e0\uff0e0\uff0e1",
        "\u2460\u2461\u2466.0.0.1",
        "127.0.\u200b0.1",
        "[127.0.0.1]",
    ],
)
def test_every_spelling_of_an_ipv4_address_is_read(spelling: str) -> None:
    assert literal_address(spelling) == LOOPBACK


@pytest.mark.parametrize(
    ("spelling", "address"),
    [
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("[0:0:0:0:0:0:0:1]", "::1"),
        ("[::ffff:127.0.0.1]", "::ffff:7f00:1"),
        ("[fe80::1%25eth0]", "fe80::1%eth0"),
        ("[%3a%3a1]", "::1"),
    ],
)
def test_every_spelling_of_an_ipv6_address_is_read(spelling: str, address: str) -> None:
    assert literal_address(spelling) == IPv6Address(address)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "example.com",
        "127.0.0.1.nip.io",
        "1.2.3.4.5",
        "256.0.0.1",
        "0x100.0.0.1",
        "4294967296",
        "08.1.1.1",
        "1..2",
        "abc.1x",
        "a" * 300,
        "9" * 300,
        "::g",
        "dead.beef",
        "127.0.0.1..",
    ],
)
def test_what_is_not_an_address_is_a_name(name: str) -> None:
    assert literal_address(name) is None


@given(st.integers(0, 2**32 - 1))
def test_decimal_hexadecimal_and_octal_spellings_agree(number: int) -> None:
    expected = IPv4Address(number)

    assert {literal_address(s) for s in (str(expected), str(number), hex(number), f"0{number:o}")} == {expected}


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader(text: str) -> None:
    literal_address(text)


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_judged_like_the_one_inside(address: IPv4Address) -> None:
    assert is_public(IPv6Address(f"::ffff:{address}")) == is_public(address)
