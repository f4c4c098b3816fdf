"""Addresses, from the user and from servers: looked at before anything is sent to them."""

from __future__ import annotations

import re

import httpx

from portable_cortex.host.untrusted import printable

_HOST = re.compile(r"[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:.]+\]?")


def parse_address(text: str) -> httpx.URL:
    """An http or https address that can be asked.

    Raises
    ------
    ValueError
        With the reason, for everything else.

    Examples
    --------
    >>> parse_address("https://example.org/x").host
    'example.org'
    >>> parse_address("http://127.0.0.1:99999")
    Traceback (most recent call last):
        ...
    ValueError: its port is not from 1 to 65535
    """
    try:
        url = httpx.URL(text)
        host = url.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise ValueError(printable(error, 200)) from None
    if url.scheme not in ("http", "https"):
        raise ValueError("it does not begin with http:// or https://")
    if url.userinfo:
        raise ValueError("it must not hold a user or password")
    if not _HOST.fullmatch(host):
        raise ValueError("it has no host")
    if url.port is not None and not 0 < url.port < 65536:
        raise ValueError("its port is not from 1 to 65535")
    return url


def is_local(url: httpx.URL) -> bool:
    """Whether an address is on this computer.

    Examples
    --------
    >>> is_local(parse_address("http://localhost:8000")), is_local(parse_address("http://ebrains.eu"))
    (True, False)
    """
    return url.host in ("127.0.0.1", "localhost", "::1")
