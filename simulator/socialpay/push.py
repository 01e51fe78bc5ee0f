"""SocialPay's push: a signed POST of what a check answers, to the address that the bank was told. All assumed."""

from collections.abc import Mapping
from dataclasses import replace

from simulator.callbacks import Announcement, Outgoing
from simulator.facts import Terminal
from simulator.socialpay.answers import enveloped, payment
from simulator.switches import Switches
from simulator.telling import TRUTH, tell


def push(announcement: Announcement, *, terminals: Mapping[str, Terminal], switches: Switches) -> Outgoing:
    """Announce a payment as SocialPay does. What became of the payment since is not in it."""
    terminal = terminals[announcement.invoice.merchant]
    told = replace(tell(announcement.payment, telling=TRUTH), garbled=False)
    body = payment(told, number=announcement.invoice.number, terminal=terminal, switches=switches)
    return Outgoing(
        method="POST",
        url=announcement.url,
        body=enveloped(body, switches=switches) if switches.socialpay_push_in_envelope else body,
        wants=None,
    )
