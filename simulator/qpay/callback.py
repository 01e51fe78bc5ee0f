"""QPay's callback: a GET or POST of the merchant's own address with the payment's id behind it; nothing is signed."""

from simulator.callbacks import Announcement, Outgoing

TAKEN = "SUCCESS"


def say(announcement: Announcement, *, by_post: bool) -> Outgoing:
    """Announce a payment as QPay does."""
    url = callback_target(announcement.url, payment_id=announcement.payment.payment_id)
    return Outgoing(method="POST" if by_post else "GET", url=url, body=None, wants=TAKEN)


def callback_target(callback_url: str, *, payment_id: str) -> str:
    """Append the payment's id to the merchant's URL, with `?` or `&` as it needs."""
    url = callback_url.partition("#")[0]
    return f"{url}{'&' if '?' in url else '?'}qpay_payment_id={payment_id}"
