"""What SocialPay takes: bodies of strings, signed; parsed once at the edge."""

from typing import Annotated, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from simulator.facts import Terminal
from simulator.socialpay.checksum import is_signed
from simulator.socialpay.errors import Problem, SocialPayError
from simulator.world import world_of

Text = Annotated[str, StringConstraints(strict=True, max_length=255)]


class AboutInvoice(BaseModel):
    """What every call about an invoice says. Unknown fields are ignored."""

    model_config = ConfigDict(strict=True)

    terminal: Annotated[Text, StringConstraints(pattern=r"^[A-Za-z0-9]{8}$")]
    invoice: Annotated[Text, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,32}$")]
    amount: Annotated[Text, StringConstraints(pattern=r"^[0-9]{1,15}(\.[0-9]{1,2})?$")]
    checksum: Text

    @property
    def signed(self) -> tuple[str, ...]:
        """What the checksum is over, in this order."""
        return (self.terminal, self.invoice, self.amount)


class ToPhone(AboutInvoice):
    """An invoice that is sent to a phone."""

    phone: Annotated[Text, StringConstraints(pattern=r"^[0-9]{8}$")]

    @property
    def signed(self) -> tuple[str, ...]:
        """What the checksum is over: the phone as well."""
        return (*super().signed, self.phone)


Form = TypeVar("Form", bound=AboutInvoice)


async def signed_body(request: Request, form: type[Form]) -> tuple[Form, Terminal]:
    """Read a body whose checksum is right, and find its terminal. Raises SocialPayError."""
    try:
        body = form.model_validate_json(await request.body())
    except ValidationError:
        raise SocialPayError(Problem.INVALID_REQUEST) from None
    terminal = world_of(request).terminals.get(body.terminal)
    if terminal is None:
        raise SocialPayError(Problem.TERMINAL_NOT_FOUND)
    if not is_signed(body.checksum, terminal.secret, *body.signed):
        raise SocialPayError(Problem.INVALID_CHECKSUM)
    return body, terminal
