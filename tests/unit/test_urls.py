from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavendish.domain.urls import check_url, is_public, is_web_port

HOSTILE = [
    # Names of one's own machine and network.
    "http://localhost/",
    "http://LOCALHOST:8080/",
    "http://localhost./",
    "http://foo.localhost/",
    "http://printer.local/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://metadata.google.internal./",
    "http://localhost.localdomain/",
    "http://router.home.arpa/",
    "http://\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54/",
    "http://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3/",
    "http://locaho\u017ft.localho\u017ft/",
    "http://%6c%6f%63%61%6c%68%6f%73%74/",
    "http://local\u00adhost/",
    "http://local\u200bhost/",
    # Literal IPv4 addresses in every notation.
    "http://127.0.0.1/",
    "http://127.0.0.1./",
    "http://127.1/",
    "http://127.0.1:8080/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0x0.0x0.0x1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://0/",
    "http://0.0.0.0/",
    "http://%31%32%37.0.0.1/",
    "http://127%2e0%2e0%2e1/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://127\u30020\u30020\u30021/",
    "http://\u2460\u2461\u2466.0.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://0xa9fea9fe/",
    "http://169.254.43518/",
    "http://100.100.100.200/",
    "http://168.63.129.16/machine/",
    "http://192.0.0.192/opc/v1/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://198.18.0.1/",
    "http://203.0.113.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    # Addresses that readers disagree about, or that wrap around.
    "http://0127.0.0.1/",
    "http://134744072/",
    "http://127.0.0.257/",
    "http://4294967297/",
    "http://1.2.3.4.5/",
    "http://08.08.08.08/",
    "http://[127.0.0.1]/",
    # Literal IPv6 addresses.
    "http://[::]/",
    "http://[::1]/",
    "http://[0000::0001]:8080/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[64:ff9b::127.0.0.1]/",
    "http://[64:ff9b:1::1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1]/",
    "http://[ff02::1]/",
    "http://[2606:4700::5efe:7f00:1]/",
    # Ports of other services.
    "http://example.com:22/",
    "http://example.com:25/",
    "http://example.com:5432/",
    "http://example.com:6379/",
    "http://example.com:11211/",
    "http://example.com:27017/",
]

MALFORMED = [
    "",
    "example.com",
    "//example.com/",
    "/hook",
    "http:/example.com/",
    "http:example.com",
    "http://",
    "http:///path",
    "http://?q",
    "http://:80/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "data:image/png;base64,AAAA",
    "javascript:alert(1)",
    "httpx://example.com/",
    "http://user@example.com/",
    "http://user:password@example.com/",
    "http://example.com@127.0.0.1/",
    "http://127.0.0.1#@example.com@/\\",
    "http://@example.com/",
    "http://example.com\\@127.0.0.1/",
    "http://example.com/a b",
    " http://example.com/",
    "http://example.com/\n",
    "http://example.com/\r\nHost: x",
    "http://exam\tple.com/",
    "http://example.com/\x00",
    "http://example.com/\x7f",
    "http://example.com/\u2028",
    "http://example.com/\u3000",
    "http://example.com/\ud800",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:99999999999999999999/",
    "http://example.com:/",
    "http://example.com:http/",
    "http://example.com:-1/",
    "http://example.com:80:80/",
    "http://example.com:\uff18\uff10/",
    "http://ex%61mple.com/",
    "http://exa$mple.com/",
    "http://-example.com/",
    "http://a..b/",
    "http://.example.com/",
    "http://example.com../",
    "http://" + "a" * 64 + ".com/",
    "http://" + "a." * 130 + "com/",
    "http://[example.com]/",
    "http://[::1/",
    "http://::1/",
    "http://[::g]/",
    "http://[2606:4700::1%25eth0]/",
    "http://\u2100.com/",
    "http://example.com/" + "a" * 2030,
]

LEGITIMATE = [
    "http://example.com",
    "https://example.com/",
    "HTTPS://EXAMPLE.COM/Path",
    "https://example.com:443/hook?taskId=1&signature=%2Fabc%3D#fragment",
    "http://example.com:8080/hook",
    "https://example.com:8443/@user/a",
    "https://example.com?to=http://127.0.0.1/",
    "https://example.com./",
    "https://a_b.example.com/",
    "https://xn--mnchen-3ya.de/",
    "https://m\u00fcnchen.de/",
    "https://\u4f8b\u5b50.\u4e2d\u56fd/\u56fe.png",
    "https://\u0939\u093f\u0928\u094d\u0926\u0940.example/",
    "https://my-local.example.com/",
    "https://localhost.example.com/",
    "https://internal.example.com/",
    "https://127.0.0.1.nip.io/",
    "https://8.8.8.8/",
    "https://1.1.1.1:8443/",
    "https://[2606:4700:4700::1111]/",
    "https://[2606:4700:4700::1111]:8443/a",
    "https://[::ffff:8.8.8.8]/",
    "https://bucket.s3.amazonaws.com/a.png?X-Amz-Signature=ab%2Bc",
    "https://example.com/" + "a" * 2028,
]

PRIVATE_BUT_WELL_FORMED = [
    "http://localhost:3000/hook",
    "http://127.0.0.1:5432/",
    "http://10.0.0.7/a.png",
    "http://[::1]:8080/",
    "http://minio.internal/a.png",
    "http://example.com:22/",
]


@pytest.mark.parametrize("url", HOSTILE)
def test_a_url_that_leads_inside_is_refused(url: str) -> None:
    assert check_url(url, allow_private=False) is not None


@pytest.mark.parametrize("url", MALFORMED)
@pytest.mark.parametrize("allow_private", [False, True])
def test_a_malformed_url_is_refused_wherever_it_leads(url: str, allow_private: bool) -> None:
    assert check_url(url, allow_private=allow_private) is not None


@pytest.mark.parametrize("url", LEGITIMATE)
@pytest.mark.parametrize("allow_private", [False, True])
def test_a_legitimate_url_passes(url: str, allow_private: bool) -> None:
    assert check_url(url, allow_private=allow_private) is None


@pytest.mark.parametrize("url", PRIVATE_BUT_WELL_FORMED)
def test_private_hosts_and_ports_pass_only_where_they_are_allowed(url: str) -> None:
    assert check_url(url, allow_private=True) is None
    assert check_url(url, allow_private=False) is not None


def test_the_message_names_the_rule_in_both_languages_and_shortens_the_value() -> None:
    broken = check_url("http://10.0.0.1/" + "a" * 500, allow_private=False)

    assert broken is not None
    assert broken.en.startswith("must lead to a host on the public internet; got ")
    assert broken.zh.startswith("必须指向公网上的主机；实际为 ")
    assert len(broken.en) < 150


def test_a_password_in_a_url_is_not_repeated() -> None:
    broken = check_url("http://user:secret@example.com/", allow_private=False)

    assert broken is not None
    assert "secret" not in broken.en + broken.zh


def test_the_longest_allowed_length_is_the_callers_choice() -> None:
    url = "https://example.com/" + "a" * 5000

    assert check_url(url, allow_private=False) is not None
    assert check_url(url, allow_private=False, max_chars=6000) is None


@pytest.mark.parametrize("port", [80, 443, 3000, 5000, 8000, 8080, 8443, 9000, 50000])
def test_ports_where_people_run_web_servers_are_web_ports(port: int) -> None:
    assert is_web_port(port)


@given(st.text(max_size=60), st.booleans())
def test_no_text_breaks_the_check(text: str, allow_private: bool) -> None:
    check_url(text, allow_private=allow_private)
    check_url(f"http://{text}/", allow_private=allow_private)


@given(st.ip_addresses(v=4).filter(lambda address: not is_public(address)))
def test_a_private_address_passes_in_no_notation(address: IPv4Address) -> None:
    number = int(address)

    for host in (str(address), str(number), hex(number), f"0{number:o}", f"[::ffff:{address}]", f"{address}."):
        assert check_url(f"http://{host}/", allow_private=False) is not None
