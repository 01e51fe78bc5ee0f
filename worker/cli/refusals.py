"""Why a person's command was not done: one line that says what is known and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from adapters.postgres.gateway_invoices import UnknownInvoiceError
from domain.assign import AmbiguousHolderError, OtherCurrencyError
from domain.command import KeyUsedError
from domain.gateway_refund import NoQrError, NotWholeError, RefundUnderwayError
from domain.refund import MoreThanHeldError, UnknownPaymentError


@contextmanager
def told() -> Iterator[None]:
    """Say in one line why a command was refused, and end with 1."""
    try:
        yield
    except UnknownPaymentError:
        refuse("no such payment is recorded there")
    except UnknownInvoiceError:
        refuse("there is no invoice of that id")
    except MoreThanHeldError as error:
        refuse(str(error))
    except AmbiguousHolderError:
        refuse("several invoices hold a part of it: say --from")
    except OtherCurrencyError:
        refuse("the payment is of another currency than the invoice")
    except KeyUsedError:
        refuse("that --key was used for something else: take a new one")
    except NotWholeError as error:
        refuse(
            f"the gateway was not asked: it gives back whole payments only, and {error}. "
            "Give the rest back by another way, then record it without --at-gateway"
        )
    except NoQrError:
        refuse("the gateway was not asked: the payment is on no QR of ours, so nobody could look up what came of it")
    except RefundUnderwayError as error:
        refuse(
            f"not done: {error}, and nobody knows yet whether it did. "
            f"Give nothing back by another way; the same refund again, with --key {error.key}, finds out"
        )


def refuse(message: str) -> NoReturn:
    """Say why in one line, and end with 1."""
    typer.echo(f"tootsoo: {message}", err=True)
    raise typer.Exit(1)
