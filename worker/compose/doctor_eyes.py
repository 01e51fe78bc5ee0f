"""The doctor's eyes: what is read of databases, gateways and addresses, each opened when it is first looked at."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Generic, TypeVar
from uuid import uuid4

import httpx

from adapters.merchant.application import MerchantApplication
from adapters.postgres import connection as postgres
from adapters.postgres.api_keys import ApiKey, ApiKeys
from adapters.postgres.schedule import ScheduleRuns
from adapters.postgres.seals import Seals
from adapters.postgres.set_up import SetUps
from adapters.postgres.state import State, StateStore
from adapters.redis.trial import TrialRing
from adapters.socialpay.checksum import checksum
from domain.gateway import GatewayInvoiceRef
from domain.money import MNT, money
from domain.schedule import Job, next_begin
from worker.clock import utc_now
from worker.compose.gateways import open_qpay, open_socialpay
from worker.compose.services import open_broker
from worker.doctor.ask import NoAnswerError, asking, open_client
from worker.doctor.clock import Reading
from worker.doctor.loaded import Loaded
from worker.doctor.seals import Sealed
from worker.doctor.work import Planned
from worker.metrics.instruments import Metrics
from worker.seal import late_after, seal_keys
from worker.settings import DatabaseSettings, QPaySettings, RedisSettings, SocialPaySettings
from worker.words import gateway_name

T = TypeVar("T")

REDIS_TIMEOUT_S = 2.0

TAKEN_WITHIN_S = 6.0
"""A worker that has nothing to do looks once a second, and a check that it may be at takes up to 8 s."""

CONNECT_WITHIN_S = 5.0

Resolve = Callable[[str], Sequence[str] | None]
"""Returns the IP addresses of a name; None where it has none, or nobody knows."""


def resolve(host: str) -> Sequence[str] | None:
    """Ask the system."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class _Once(Generic[T]):
    """Finds something out when it is first asked for, and remembers it, also for those who ask at the same time."""

    def __init__(self, find_out: Callable[[], T]) -> None:
        self._find_out = find_out
        self._lock = threading.Lock()
        self._found: list[T] = []

    def __call__(self) -> T:
        with self._lock:
            if not self._found:
                self._found.append(self._find_out())
            return self._found[0]


class Eyes:
    """Looks at one installation. Nothing is written but messages about nothing, and what a login leaves in Redis."""

    def __init__(
        self,
        loaded: Loaded,
        *,
        database: DatabaseSettings,
        redis: RedisSettings,
        jobs: Sequence[Job],
        opened: ExitStack,
        transport: httpx.BaseTransport | None,
        patience_s: float,
    ) -> None:
        """What is opened is closed with `opened`. Workers are waited for `patience_s`; `transport` is for tests."""
        self.patience_s = patience_s
        self._loaded = loaded
        self._jobs = jobs
        self._database = database
        self._redis = redis
        self._opened = opened
        self.ask = asking(opened.enter_context(open_client(transport)))
        self.pool = _Once(lambda: opened.enter_context(postgres.open_pool(database.database_url, size=4)))
        self.state: Callable[[], State] = _Once(lambda: StateStore(self.pool(), qpay_env=database.qpay_env).read())
        self.planned: Callable[[], list[Planned]] = _Once(self._plan)
        self.trial = _Once(lambda: TrialRing(open_broker(redis, timeout_s=REDIS_TIMEOUT_S)))

    def _plan(self) -> list[Planned]:
        runs = ScheduleRuns(self.pool())
        now = runs.now()
        return [
            Planned(
                job=job, last=runs.last(job.name), next_at=next_begin(job.cadence, runs.history(job, now=now), now=now)
            )
            for job in self._jobs
        ]

    def runs(self) -> ScheduleRuns:
        """Return the schedule's runs."""
        return ScheduleRuns(self.pool())

    def set_ups(self) -> SetUps:
        """Return how the database is set up."""
        return SetUps(self.pool())

    def keys(self) -> list[ApiKey]:
        """Return the API's keys."""
        return ApiKeys(self.pool()).list()

    def sealed(self) -> Sealed:
        """Read the newest seal, and what should have one."""
        store, settings = Seals(self.pool()), self._loaded.seals
        if settings is None or not seal_keys(settings):
            return Sealed(head=None, newest_key_id=None, late=None)
        head = store.head()
        late = store.unsealed_since(head, before=utc_now() - late_after(settings))
        return Sealed(head=head, newest_key_id=store.newest_key_id(), late=late)

    def taken(self) -> Mapping[str, bool]:
        """Ring about nothing, and see whether workers come."""
        accounts = self._loaded.accounts
        names = [name for name, one in (("qpay", accounts.qpay), ("socialpay", accounts.socialpay)) if one is not None]
        return self.trial().taken(
            {name: gateway_name(name) for name in names},
            notifies=self._loaded.target is not None,
            within_s=self.patience_s,
        )

    def ask_qpay(self, settings: QPaySettings) -> bool:
        """Ask QPay for the payments of the last minute, and return whether that took a login."""
        metrics, now = Metrics(), utc_now()
        with open_qpay(settings, redis=self._redis, pool=self.pool(), metrics=metrics) as qpay:
            next(iter(qpay.discover(since=now - timedelta(minutes=1), until=now)), None)
        login = {"gateway": "qpay", "endpoint": "POST auth/token", "status": "200"}
        return bool(metrics.registry.get_sample_value("tootsoo_gateway_calls_total", login))

    def ask_socialpay(self, settings: SocialPaySettings) -> None:
        """Ask SocialPay about an invoice that there is not."""
        number = uuid4().hex
        nothing = GatewayInvoiceRef(number=number, external_id=number, amount=money(1, currency=MNT))
        with open_socialpay(settings, redis=self._redis, metrics=Metrics()) as socialpay:
            socialpay.check(nothing)

    def unreached(self) -> str | None:
        """Connect to the merchant's application and say why that does not work; None where it does."""
        target = self._loaded.target
        if target is None:
            return None
        with MerchantApplication(target.url, allow_private=target.allow_private) as application:
            return application.reach(until_s=time.monotonic() + CONNECT_WITHIN_S)

    def clocks(self) -> Iterator[tuple[str, Reading | None]]:
        """Read the clocks of PostgreSQL and of each gateway, one after the other."""
        self.runs().now()  # so that a connection is open, and takes no time
        before = utc_now()
        theirs = self.runs().now()
        yield "PostgreSQL", Reading(before=before, theirs=theirs, after=utc_now())
        accounts = self._loaded.accounts
        if accounts.qpay is not None:
            yield "QPay", self._clock_of(accounts.qpay.qpay_base_url)
        if accounts.socialpay is not None:
            yield "SocialPay", self._clock_of(accounts.socialpay.socialpay_base_url)

    def _clock_of(self, url: str) -> Reading | None:
        before = utc_now()
        try:
            answer = self.ask("HEAD", url)
        except NoAnswerError:
            return None
        if answer.date is None:
            return None
        return Reading(before=before, theirs=answer.date, after=utc_now(), coarse=timedelta(seconds=1))


def push_about_nothing(settings: SocialPaySettings) -> bytes:
    """Return a push that SocialPay could have sent for our terminal, about a number that is no QR's."""
    number, amount = uuid4().hex, "1"
    signature = checksum(settings.socialpay_secret.get_secret_value(), settings.socialpay_terminal, number, amount)
    body = {
        "terminal": settings.socialpay_terminal,
        "invoice": number,
        "amount": amount,
        "checksum": signature,
        "resp_code": "99",
        "resp_desc": "tootsoo doctor",
    }
    return json.dumps(body).encode()
