"""Why a person's command was not done: one line that says what is known and what to do, or the same in JSON."""

from collections.abc import Iterator
from contextlib import contextmanager

from adapters.postgres.gateway_invoices import UnknownInvoiceError
from domain.assign import AlreadyThereError, AmbiguousHolderError, OtherCurrencyError
from domain.command import KeyUsedError
from domain.gateway_refund import NoQrError, NotWholeError, RefundUnderwayError
from domain.refund import MoreThanHeldError, UnknownPaymentError, WrongCurrencyError


class RefusedError(Exception):
    """A command was not done. The message is one line; `code` is for programs, `exit_code` 1 or, for wrong usage, 2."""

    def __init__(self, code: str, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.code = code
        self.exit_code = exit_code


@contextmanager
def told() -> Iterator[None]:
    """Say in one line why a command was refused.

    Raises:
        RefusedError: it was; `main` prints it.

    """
    try:
        yield
    except tuple(_SENTENCES) as error:
        code, sentence = next(_SENTENCES[kind] for kind in _SENTENCES if isinstance(error, kind))
        raise RefusedError(code, sentence.format(error=error, key=getattr(error, "key", ""))) from None


_SENTENCES: dict[type[Exception], tuple[str, str]] = {
    UnknownPaymentError: ("PAYMENT_NOT_FOUND", "no such payment there: {error}"),
    UnknownInvoiceError: ("INVOICE_NOT_FOUND", "there is no invoice of that id"),
    MoreThanHeldError: ("MORE_THAN_RECEIVED", "{error}"),
    AlreadyThereError: ("ALREADY_THERE", "it is on that invoice already"),
    AmbiguousHolderError: ("AMBIGUOUS_HOLDER", "{error}: say --from or --from-suspense"),
    OtherCurrencyError: ("OTHER_CURRENCY", "the payment is of another currency than the invoice"),
    WrongCurrencyError: ("OTHER_CURRENCY", "{error}: say --currency"),
    KeyUsedError: ("IDEMPOTENCY_CONFLICT", "that --key was used for something else: take a new one"),
    NotWholeError: (
        "NOT_WHOLE",
        (
            "the gateway was not asked: it gives back whole payments only, and {error}. "
            "Give the rest back by another way, then record it without --at-gateway"
        ),
    ),
    NoQrError: (
        "NO_QR",
        "the gateway was not asked: the payment is on no QR of ours, so nobody could look up what came of it",
    ),
    RefundUnderwayError: (
        "REFUND_UNDERWAY",
        (
            "not done: {error}, and nobody knows yet whether it did. "
            "Give nothing back by another way; the same refund again, with --key {key}, finds out"
        ),
    ),
}
