"""Where webhooks may go: the internet by https, and of our own networks only what the settings allow."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from sync_service.webhooks.destination import DestinationRefused, NoAnswer, is_public, look_up, read_url

LOOPBACK = (ip_network("127.0.0.0/8"),)


# IANA's registries of special-purpose addresses; the metadata addresses of AWS, Azure, GCP, Alibaba and Oracle.
@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.8.9.10",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001:0:1:1::f5ff:fffe",  # Teredo of 10.0.0.1: its bits are turned round
        "2001:db8::1",
        "fc00::1",
        "fd00:ec2::254",
        "64:ff9b:1::a00:1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_an_address_that_is_not_of_the_internet_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "172.32.0.1", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_an_address_of_the_internet_is_allowed(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/hook",
        "https://127.1/hook",
        "https://2130706433/hook",
        "https://0x7f000001/hook",
        "https://0177.0.0.1/hook",
        "https://[::1]/hook",
        "https://[::ffff:7f00:1]/hook",
        "https://localhost:8443/hook",
        "https://169.254.169.254/latest/meta-data/",
        "https://0/hook",
    ],
)
def test_no_way_of_writing_our_own_machine_gets_past_the_check(url: str) -> None:
    with pytest.raises(DestinationRefused, match="not a public address"):
        look_up(url, ())


def test_an_allowed_network_may_be_reached_also_by_plain_http() -> None:
    found = look_up("http://127.0.0.1:8080/hook?a=b", LOOPBACK)

    assert [str(address) for address in found.addresses] == ["127.0.0.1"]
    assert (found.host, found.port, found.path) == ("127.0.0.1", 8080, "/hook?a=b")


def test_the_internet_is_reached_by_https_only() -> None:
    with pytest.raises(DestinationRefused, match="https"):
        look_up("http://8.8.8.8/hook", LOOPBACK)


def test_a_name_that_does_not_exist_is_no_answer_and_no_refusal() -> None:
    with pytest.raises(NoAnswer, match="cannot be looked up"):
        look_up("https://no-such-host.invalid/hook", ())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "ftp://example.com/hook",
        "file:///etc/passwd",
        "https:///hook",
        "https://user:secret@example.com/hook",
        "https://example.com@127.0.0.1/hook",
        "https://example.com/hook#part",
        "https://example.com:99999/hook",
        "https://example.com/ho ok",
        "https://example.com/hook\r\nX-Other: 1",
        "https://ex\u00e4mple.com/hook",
        "https://[::1/hook",
        "https://example.com/" + "a" * 2000,
    ],
)
def test_what_is_no_address_for_a_webhook_is_refused(url: str) -> None:
    with pytest.raises(DestinationRefused):
        read_url(url)
