"""One gateway on a rig: beside it the customer, the network and the moods of its counterpart, for the common suite."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from adapters.calls.limits import CallLimits
from adapters.qpay.config import Limits, QPayConfig
from adapters.qpay.gateway import QPayGateway
from adapters.socialpay.config import SocialPayConfig
from adapters.socialpay.gateway import SocialPayGateway
from domain.gateway import PaymentGateway
from simulator.facts import Merchant, Terminal
from simulator.faults import EVERY, Fault, Rule
from simulator.qpay import endpoints as qpay
from simulator.server import Running, serving
from simulator.socialpay import endpoints as socialpay
from tests.proxy import Proxy, proxied

SECRET = "a-password-that-nobody-may-see"
CALL_S = 2.0
"""Counts what a call of a gateway on a rig may take."""


class Mood(StrEnum):
    """How the counterpart may behave for a while."""

    BUSY = "busy"
    NONSENSE = "nonsense"
    ENDLESS = "endless"
    TOO_LARGE = "too large"
    TURNED_AWAY = "turned away"
    SILENT = "silent"
    ACTS_IN_SILENCE = "acts in silence"
    BREAKS_OFF = "breaks off"
    ACTS_AND_BREAKS_OFF = "acts and breaks off"


class Rig(Protocol):
    """What the suite needs of a gateway's surroundings."""

    gateway: PaymentGateway
    network: Proxy

    def pay(self, external_id: str, *, amount: int, by_card: bool = False, at: datetime | None = None) -> str:
        """Let a customer pay a QR, silently, and return the payment's id."""
        ...

    def moody(self, mood: Mood, *, calls: str = EVERY) -> None:
        """Let the counterpart behave so from now on; `calls` is `issue` or `check`, or all but logins."""
        ...

    def calm(self) -> None:
        """Let it behave again."""
        ...

    def asked(self) -> int:
        """Count the calls that have come, logins included."""
        ...

    def issued(self) -> int:
        """Count the gateway invoices that there are."""
        ...

    def refuse_credentials(self) -> None:
        """Forget the account, and every session of it."""
        ...


MOODS = {
    Mood.BUSY: Fault.BUSY,
    Mood.NONSENSE: Fault.TRUNCATED,
    Mood.ENDLESS: Fault.DRIP,
    Mood.TOO_LARGE: Fault.OVERSIZED,
    Mood.TURNED_AWAY: Fault.TOO_MANY,
    Mood.SILENT: Fault.HANG,
    Mood.ACTS_IN_SILENCE: Fault.HANG_AFTER,
    Mood.BREAKS_OFF: Fault.RESET,
    Mood.ACTS_AND_BREAKS_OFF: Fault.RESET_AFTER,
}
CALLS = {
    "issue": [qpay.CREATE_INVOICE],
    "check": [qpay.CHECK],
    "discover": [qpay.LIST],
    "cancel": [qpay.CANCEL_INVOICE],
    "refund": [qpay.REFUND_PAYMENT],
}


@dataclass(slots=True, kw_only=True)
class QPayRig:
    """QPay, played by the simulator."""

    gateway: PaymentGateway
    network: Proxy
    simulator: Running
    customer: httpx.Client

    def pay(self, external_id: str, *, amount: int, by_card: bool = False, at: datetime | None = None) -> str:
        order: dict[str, Any] = {
            "invoiceId": external_id,
            "amount": amount,
            "type": "CARD" if by_card else "P2P",
            "callback": "drop",
            "force": True,
        }
        if at is not None:
            order["paidAt"] = at.isoformat()
        answer = self.customer.post("/simulator/pay", json=order)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["paymentId"])

    def moody(self, mood: Mood, *, calls: str = EVERY) -> None:
        affected = CALLS.get(calls) or [each for some in CALLS.values() for each in some]
        self.simulator.world.faults.set(
            Rule(endpoint=endpoint, kind=MOODS[mood], probability=1, seconds=_SECONDS.get(mood))
            for endpoint in affected
        )

    def calm(self) -> None:
        self.simulator.world.faults.set(())

    def asked(self) -> int:
        return sum(self.simulator.world.calls.by_endpoint().values())

    def issued(self) -> int:
        return len(self.simulator.world.book.invoices())

    def refuse_credentials(self) -> None:
        self.simulator.world.merchants.clear()
        self.simulator.world.sessions.clear()


_SECONDS = {Mood.ENDLESS: 2.5, Mood.TURNED_AWAY: 7.0}


@contextmanager
def qpay_rig(redis_url: str) -> Iterator[Rig]:
    merchant = Merchant(username="SHOP", password=SECRET, invoice_code="SHOP_INVOICE")
    with ExitStack() as undo:
        simulator = undo.enter_context(serving(merchants=[merchant], clock=lambda: datetime.now(UTC)))
        network = undo.enter_context(proxied("127.0.0.1", urlsplit(simulator.url).port or 0))
        config = QPayConfig(
            base_url=f"http://127.0.0.1:{network.port}",
            username=merchant.username,
            password=SecretStr(merchant.password),
            invoice_code=merchant.invoice_code,
            allow_partial=True,
        )
        limits = Limits(
            check_timeout_s=CALL_S,
            issue_timeout_s=CALL_S,
            cancel_timeout_s=CALL_S,
            refund_timeout_s=CALL_S,
            look_timeout_s=CALL_S,
            login_spacing_s=CALL_S,
            login_timeout_s=CALL_S,
            breaker_failures=1_000,  # the breaker has tests of its own
        )
        gateway = undo.enter_context(
            QPayGateway(config, redis_url=redis_url, now=lambda: datetime.now(UTC).timestamp(), limits=limits)
        )
        customer = undo.enter_context(httpx.Client(base_url=simulator.url, trust_env=False))
        yield QPayRig(gateway=gateway, network=network, simulator=simulator, customer=customer)


SOCIALPAY_CALLS = {
    "issue": [socialpay.CREATE_QR],
    "check": [socialpay.CHECK],
    "cancel": [socialpay.CANCEL],
}


@dataclass(slots=True, kw_only=True)
class SocialPayRig:
    """SocialPay, played by the simulator."""

    gateway: PaymentGateway
    network: Proxy
    simulator: Running
    customer: httpx.Client
    terminal: str

    def pay(self, external_id: str, *, amount: int, by_card: bool = False, at: datetime | None = None) -> str:
        order: dict[str, Any] = {
            "number": external_id,
            "amount": amount,
            "type": "CARD" if by_card else "P2P",
            "callback": "drop",
            "force": True,
        }
        if at is not None:
            order["paidAt"] = at.isoformat()
        answer = self.customer.post("/simulator/pay", json=order)
        assert answer.status_code == 201, answer.text
        return f"{self.terminal}:{external_id}"  # as it is told: paid again, the invoice is the same payment

    def moody(self, mood: Mood, *, calls: str = EVERY) -> None:
        affected = SOCIALPAY_CALLS.get(calls) or [each for some in SOCIALPAY_CALLS.values() for each in some]
        self.simulator.world.faults.set(
            Rule(endpoint=endpoint, kind=MOODS[mood], probability=1, seconds=_SECONDS.get(mood))
            for endpoint in affected
        )

    def calm(self) -> None:
        self.simulator.world.faults.set(())

    def asked(self) -> int:
        return sum(self.simulator.world.calls.by_endpoint().values())

    def issued(self) -> int:
        return len(self.simulator.world.book.invoices())

    def refuse_credentials(self) -> None:
        self.simulator.world.terminals.clear()


@contextmanager
def socialpay_rig(redis_url: str) -> Iterator[Rig]:
    terminal = Terminal(terminal="95000059", secret=SECRET)
    with ExitStack() as undo:
        simulator = undo.enter_context(serving(merchants=[], terminals=[terminal], clock=lambda: datetime.now(UTC)))
        network = undo.enter_context(proxied("127.0.0.1", urlsplit(simulator.url).port or 0))
        config = SocialPayConfig(
            base_url=f"http://127.0.0.1:{network.port}",
            terminal=terminal.terminal,
            secret=SecretStr(terminal.secret),
        )
        limits = CallLimits(
            check_timeout_s=CALL_S,
            issue_timeout_s=CALL_S,
            cancel_timeout_s=CALL_S,
            breaker_failures=1_000,  # the breaker has tests of its own
        )
        gateway = undo.enter_context(
            SocialPayGateway(config, redis_url=redis_url, now=lambda: datetime.now(UTC).timestamp(), limits=limits)
        )
        customer = undo.enter_context(httpx.Client(base_url=simulator.url, trust_env=False))
        yield SocialPayRig(
            gateway=gateway, network=network, simulator=simulator, customer=customer, terminal=terminal.terminal
        )


RIGS: dict[str, Callable[[str], AbstractContextManager[Rig]]] = {"qpay": qpay_rig, "socialpay": socialpay_rig}
"""Every implementation of the port, by its name: one more is one more line here."""
