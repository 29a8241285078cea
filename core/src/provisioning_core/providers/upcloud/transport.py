"""The request layer of UpCloud's SDK with what it lacks: status and Retry-After in errors, no redirects, no netrc.

Imports the SDK: import it only inside of the call that needs it.
"""

from __future__ import annotations

import threading
from typing import Any

import requests
from upcloud_api.api import API

from .refusal import refusal, unanswered, unreached


class Transport(API):  # type: ignore[misc]
    """token: the value of the header Authorization. Its methods raise ProviderError; `doing` is set by the caller."""

    def __init__(self, token: str, root: str, *, timeout_s: float, direct: bool) -> None:
        """direct: no proxy of the environment is used, as for a double on loopback."""
        super().__init__(token, timeout=timeout_s)
        self.api_root = root
        self._direct = direct
        self._threads = threading.local()

    @property
    def doing(self) -> str:
        return getattr(self._threads, "doing", "asking")

    @doing.setter
    def doing(self, words: str) -> None:
        self._threads.doing = words

    def api_request(
        self, method: str, endpoint: str, body: Any = None, params: Any = None, timeout: float | None = -1
    ) -> dict[str, Any]:
        # What creates gets a connection of its own: on a kept one that the other side has just closed, it would look
        # as if the request had been lost on its way back, and the settle window would be waited for nothing.
        session = self._session(fresh=method == "POST")
        read_s = self.timeout if timeout is None or timeout < 0 else timeout
        try:
            answer = session.request(
                method,
                self.api_root + endpoint,
                json=body,
                params=params,
                headers={"User-Agent": self.user_agent, "Accept": "application/json"},
                timeout=(min(10.0, read_s), read_s),
                allow_redirects=False,
            )
        except requests.exceptions.RequestException as error:
            raise unreached(self.doing, self.api_root, error) from error
        if answer.status_code >= 300:
            raise refusal(answer.status_code, answer.headers, answer.text, self.doing)
        return _decoded(answer, self.doing)

    def _session(self, *, fresh: bool) -> requests.Session:
        if not fresh and (kept := getattr(self._threads, "session", None)) is not None:
            return kept  # type: ignore[no-any-return]
        session = requests.Session()
        session.trust_env = not self._direct
        session.auth = self._authorize  # an explicit one, or requests would prefer what ~/.netrc has for the host
        if not fresh:
            self._threads.session = session
        return session

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self.token
        return request


def _decoded(answer: requests.Response, doing: str) -> dict[str, Any]:
    if not answer.content:
        return {}
    try:
        body = answer.json()
    except ValueError as error:
        raise unanswered(doing, f"HTTP {answer.status_code} with something that is no JSON") from error
    return body if isinstance(body, dict) else {}
