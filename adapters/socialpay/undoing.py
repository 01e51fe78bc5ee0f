"""An invoice cancelled on SocialPay's wire, by its number; payments are never given back through it."""

from adapters.calls.line import Calls
from adapters.socialpay.asking import About, ask, signed_request
from adapters.socialpay.checking import read_rows
from adapters.socialpay.config import SocialPayConfig
from adapters.socialpay.errors import Meaning
from adapters.socialpay.issuing import require_done
from domain.gateway import CancelOutcome, GatewayRefusedError


async def cancel(calls: Calls, invoice: About, *, config: SocialPayConfig) -> CancelOutcome:
    """Make an invoice unpayable. One that SocialPay does not find under its number and amount is so already.

    What a paid or cancelled one answers is not published. Where the words do not tell, a check does.

    Raises:
        GatewayRefusedError: it is refused, and nothing shows why.
        GatewayError: as `ask`.

    """
    reply = await ask(calls, signed_request("invoice/cancel", config.paths.cancel, invoice, config=config))
    if reply.error is None:
        require_done(reply.response, endpoint="POST invoice/cancel")
        return CancelOutcome.CANCELLED
    if not isinstance(reply.error, GatewayRefusedError):
        raise reply.error
    match reply.meaning:
        case Meaning.CANCELLED | Meaning.NOT_FOUND:
            return CancelOutcome.CANCELLED
        case Meaning.PAID:
            return CancelOutcome.PAID
        case _:
            if await read_rows(calls, invoice, config=config):
                return CancelOutcome.PAID
            raise reply.error
