"""Allowed addresses: each part counts for itself, and no trick in one part passes for another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from showonce.environments.wrappers.addresses import allowed, parse

SHOP = ("https://shop.example/cart/*", "*.bank.example", "localhost:8000", "file:///home/me/site/*", "about:blank")


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/cart/1?x=2",
        "HTTPS://SHOP.example:443/cart/",
        "http://www.bank.example/",
        "https://a.b.bank.example/login?next=https://evil.example",
        "http://localhost:8000/a/b",
        "file:///home/me/site/index.html",
        "about:blank",
    ],
)
def test_what_is_allowed(url: str) -> None:
    assert allowed(url, SHOP)


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/cart/1",  # another scheme
        "https://shop.example/account",
        "https://shop.example/cart/../account",
        "https://shop.example/cart/%2e%2e/account",
        "https://shop.example/cart/%252e%252e/account",
        "https://shop.example:8443/cart/1",
        "https://shop.example@evil.example/cart/1",
        "https://evil.example\\@shop.example/cart/1",  # a browser reads a slash there
        "https://evil.example/https://shop.example/cart/1",
        "https://shop.example.evil.example/cart/1",
        "https://evil.example/?x=.bank.example",
        "https://evil.example#.bank.example",
        "https://bank.example.evil.example/",
        "https://bank.example/",  # the pattern wants a name before it
        "http://localhost:8001/",
        "http://localhost/",
        "file:///home/me/other/index.html",
        "file:///home/me/site/../../../etc/passwd",
        "file://server/home/me/site/index.html",
        "javascript:alert(1)",
        "data:text/html,about:blank",
        "about:config",
        "shop.example/cart/1",  # no address
        "https://",
        "https://[::1",
        "",
    ],
)
def test_what_is_not(url: str) -> None:
    assert not allowed(url, SHOP)


@pytest.mark.parametrize(
    ("url", "pattern"),
    [
        ("http://[::1]:8000/x", "[::1]:8000"),
        ("https://example.com/a", "*"),
        ("http://example.com:99/a", "example.com:*"),
        ("https://example.com/", "https://example.com/"),
        ("data:text/plain,hello", "data:*"),
        ("ht\ntps://example.com/a", "example.com"),  # browsers drop line ends
        ("https://example.com./a", "example.com"),
    ],
)
def test_patterns(url: str, pattern: str) -> None:
    assert allowed(url, [pattern])


def test_nothing_is_allowed_by_no_pattern() -> None:
    assert not allowed("https://example.com/", ())


@given(st.text(max_size=40))
def test_any_text_can_be_asked_about(text: str) -> None:
    parse(text)
    assert not allowed(f"https://evil.example/{text}", ["https://shop.example/*"])
    assert not allowed(f"https://shop.example@evil.example/{text}", ["https://shop.example/*"])


@given(st.text(alphabet="abc/.%2e\\", max_size=20))
def test_no_path_leaves_the_allowed_folder(tail: str) -> None:
    url = f"https://shop.example/cart/{tail}"
    address = parse(url)
    assert address is not None
    if allowed(url, ["https://shop.example/cart/*"]):
        assert ".." not in address.path.split("/") and address.path.startswith("/cart/")
