"""Why a cloud gave no answer, in one line: what was asked, where, what happened, what to try.

And whether the request may have been obeyed all the same. The libraries' own words are a whole story each.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..errors import ProviderError

_CHAIN_MAX = 20
_WORDS_MAX = 200
_OFFLINE = "is this machine online?"
_WALL = f"{_OFFLINE} A firewall, or a proxy that is needed (HTTPS_PROXY), may stand between"
_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL)


@dataclass(frozen=True, slots=True)
class Trouble:
    """sent: the request may have arrived, and been done. hint: what to try."""

    words: str
    hint: str | None
    sent: bool


def unreached(doing: str, cloud: str, url: str, error: BaseException) -> ProviderError:
    """`unreachable` where certainly nothing was done, else `no_answer`; both may pass. url: that was asked."""
    trouble, host = trouble_of(error), host_of(url)
    if trouble.sent:
        text = f"{doing}: no answer from {cloud} at {host}: {trouble.words}"
        return ProviderError(text, code="no_answer", hint=trouble.hint, retry_after_s=5)
    text = f"{doing}: cannot reach {cloud} at {host}: {trouble.words}"
    return ProviderError(text, code="unreachable", hint=trouble.hint, retry_after_s=5)


def host_of(url: str) -> str:
    """With its port where that is said; never a name and password, which a URL may hold too."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname or url)


def trouble_of(error: BaseException) -> Trouble:
    """What lies at the bottom of the exceptions of requests, urllib3 and botocore."""
    chain = list(_chain(error))
    names = {type(each).__name__ for each in chain}
    for each in chain:
        if isinstance(each, ssl.SSLCertVerificationError):
            hint = "the clock of this machine, or the certificate of a proxy (REQUESTS_CA_BUNDLE, AWS_CA_BUNDLE)"
            return Trouble(f"its certificate is not accepted: {each.verify_message}", hint, sent=False)
        if isinstance(each, socket.gaierror):
            return Trouble(
                f"its name cannot be looked up ({each.strerror})", f"{_OFFLINE} Is the name right?", sent=False
            )
        if isinstance(each, ssl.SSLError):
            return Trouble(f"no TLS: {each.reason or 'it speaks something else'}", "is it https there?", sent=False)
    if "ProxyError" in names or "ProxyConnectionError" in names:
        return Trouble("the proxy does not let it through", "look at HTTPS_PROXY, HTTP_PROXY and NO_PROXY", sent=False)
    if any(isinstance(each, ConnectionRefusedError) for each in chain):
        return Trouble("connection refused: nothing listens there", "is it running? Is the address right?", sent=False)
    if any(isinstance(each, OSError) and each.errno in _NO_ROUTE for each in chain):
        return Trouble("there is no way to it from here", _OFFLINE, sent=False)
    if names & {"ConnectTimeout", "ConnectTimeoutError"}:
        return Trouble("no connection in time", _WALL, sent=False)
    if names & {"ReadTimeout", "ReadTimeoutError"} or any(isinstance(each, TimeoutError) for each in chain):
        return Trouble("it did not answer in time", "it may be busy: try again", sent=True)
    if names & {
        "RemoteDisconnected",
        "ConnectionClosedError",
        "ProtocolError",
        "ConnectionResetError",
        "IncompleteRead",
    }:
        return Trouble("the connection was closed before the answer", "try again", sent=True)
    return Trouble(_line(error), None, sent=True)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Causes, and what these libraries keep in `reason` and in arguments; the outermost first."""
    left: list[BaseException] = [error]
    seen: set[int] = set()
    while left and len(seen) < _CHAIN_MAX:
        each = left.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        kept = (each.__cause__, each.__context__, getattr(each, "reason", None), *each.args)
        left += [below for below in kept if isinstance(below, BaseException)]


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _WORDS_MAX else f"{text[: _WORDS_MAX - 1]}…"
