"""Authorised calls: QPay's shared token on each, replaced once when it is refused, and news of who else logs in."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog

from adapters.calls.answers import UNAUTHORISED, Answer, is_success
from adapters.calls.http import CallObserver, Request, unobserved
from adapters.calls.line import Calls as PlainCalls
from adapters.calls.line import Connections, Line
from adapters.qpay.config import Limits, QPayConfig
from adapters.qpay.errors import error_from
from adapters.qpay.list_zone import ListZone
from adapters.qpay.login import Login
from adapters.qpay.token import SharedToken, Token

T = TypeVar("T")

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class _News:
    """What calls came upon that somebody should be told of."""

    displaced: bool = False
    """A token was refused before its end, and the next one was taken: somebody else has logged in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """The authorised calls of one public call, which share one deadline and one allowance of bytes."""

    plain: PlainCalls
    token: SharedToken
    news: _News

    async def call(self, request: Request) -> Answer:
        """Send the request with the shared token and return the 2xx answer.

        A 401 means that QPay did not act: the token is replaced once and the request repeated once.

        Raises:
            GatewayError: what `error_from`, `Http.exchange` and `SharedToken.current` raise.

        """
        token = await self.token.current()
        answer = await self._exchange(request, token)
        if answer.status == UNAUTHORISED:
            token = await self.token.replace(token.value)
            answer = await self._exchange(request, token)
        if token.after_refusal and answer.status != UNAUTHORISED and await self.token.taken():
            self.news.displaced = True
        if not is_success(answer.status):
            raise error_from(answer)
        return answer

    async def _exchange(self, request: Request, token: Token) -> Answer:
        return await self.plain.exchange(authorised(request, scheme="Bearer", credentials=token.value))


def authorised(request: Request, *, scheme: str, credentials: str) -> Request:
    """Return the request with its Authorization header, which is a secret."""
    value = f"{scheme} {credentials}"
    return replace(request, headers={"Authorization": value}, secrets=(value, credentials, *request.secrets))


class Session:
    """The line to QPay, with the token that all processes of a merchant share.

    `on_displaced` is called, in the thread of a call and after it, when it is plain that somebody else logs in with
    our credentials.
    """

    def __init__(
        self,
        config: QPayConfig,
        *,
        redis_url: str,
        limits: Limits,
        now: Callable[[], float],
        on_displaced: Callable[[], object] | None,
        observe: CallObserver = unobserved,
    ) -> None:
        self._config = config
        self._limits = limits
        self._now = now
        self._on_displaced = on_displaced
        self._line = Line(config.counterpart, redis_url=redis_url, limits=limits, now=now, observe=observe)

    def run(self, work: Callable[[Calls], Awaitable[T]], *, timeout_s: float) -> T:
        """Run `work` and block until it is done; bounds and errors as in `Line.run`."""
        news = _News()

        async def authorised_work(plain: PlainCalls) -> T:
            return await work(Calls(plain=plain, token=self._token(plain.connections), news=news))

        try:
            return self._line.run(authorised_work, timeout_s=timeout_s)
        finally:
            if news.displaced:
                self._tell_displaced()

    def consult(self, ask: Callable[[ListZone], Awaitable[T]]) -> T:
        """Run what asks Redis alone, and block until it is done."""
        return self._line.consult(lambda connections: ask(ListZone(connections.shared)))

    def close(self) -> None:
        """Close the connections and end the thread. Idempotent."""
        self._line.close()

    def _token(self, connections: Connections) -> SharedToken:
        login = Login(connections.http, config=self._config, limits=self._limits)
        return SharedToken(connections.shared, login=login, limits=self._limits, now=self._now)

    def _tell_displaced(self) -> None:
        log.warning("qpay.credentials_used_elsewhere")
        if self._on_displaced is None:
            return
        try:
            self._on_displaced()
        except Exception:
            log.exception("qpay.not_told", consequence="the next time that it is noticed it is told again")
