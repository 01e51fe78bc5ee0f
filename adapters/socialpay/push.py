"""SocialPay's push: verified by its checksum, read for the number that it is about, and believed in nothing else."""

from collections.abc import Mapping

from pydantic import ValidationError

from adapters.calls.json_body import read_json
from adapters.socialpay.checksum import is_signed, ways_to_write
from adapters.socialpay.config import NUMBER_MAX_CHARS, SocialPayConfig
from adapters.socialpay.wire import PaymentBody
from domain.gateway import Push


def read_push(body: bytes, *, config: SocialPayConfig) -> Push | None:
    """Return which number a push is about; None for one that is not signed with our secret. Never raises.

    Assumed: the flat fields of a check's response, with a checksum over terminal, number and amount. The same in the
    envelope of an answer is taken too.
    """
    try:
        told = _flat(read_json(body))
        pushed = PaymentBody.model_validate(told)
    except (ValueError, ValidationError):
        return None
    secret = config.secret.get_secret_value()
    ways = ways_to_write(told.get("amount"), pushed.amount) if isinstance(told, Mapping) else []
    signed = is_signed(pushed.checksum or "", secret, terminal=pushed.terminal, number=pushed.invoice, amounts=ways)
    if not signed or pushed.terminal != config.terminal or len(pushed.invoice) > NUMBER_MAX_CHARS:
        return None
    return Push(number=pushed.invoice, payment_id=f"{config.terminal}:{pushed.invoice}")


def _flat(told: object) -> Mapping[str, object]:
    match told:
        case {"body": {"response": dict() as response}}:
            return response
        case dict():
            return told
        case _:
            raise ValueError("not an object")
