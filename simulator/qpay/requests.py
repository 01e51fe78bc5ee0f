"""What QPay takes: the bodies of its calls, parsed once at the edge."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, TypeVar

from fastapi import Request
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    HttpUrl,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from simulator.qpay.errors import QPayError

WHOLE_TEXT = re.compile(r"[0-9]{1,15}(\.0{1,2})?")
_HTTP_URL = TypeAdapter(HttpUrl)


def _whole(value: object, info: ValidationInfo) -> object:
    """Take a JSON number without a fraction, or where the context allows it its digits as text; not a boolean."""
    if isinstance(value, str) and info.context and info.context["text_amounts"] and WHOLE_TEXT.fullmatch(value):
        return int(value.partition(".")[0])
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise PydanticCustomError("not_whole", "Must be a whole number")
    return value


def _utc(value: datetime) -> datetime:
    """Read a time without a zone as UTC: QPay does not say what it takes it for."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _reachable(value: str) -> str:
    _HTTP_URL.validate_python(value)
    return value


Tugrug = Annotated[int, BeforeValidator(_whole), Field(gt=0)]
Text45 = Annotated[str, StringConstraints(min_length=1, max_length=45)]
Text255 = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Time = Annotated[datetime, AfterValidator(_utc)]


class InvoiceLine(BaseModel):
    """One entry of `lines`."""

    line_description: Text255
    line_quantity: Decimal
    line_unit_price: Decimal
    tax_product_code: str | None = None
    note: str | None = None


class CreateInvoice(BaseModel):
    """The body of POST invoice; unknown fields are ignored."""

    invoice_code: Text45
    sender_invoice_no: Annotated[str, StringConstraints(min_length=1, max_length=45, pattern=r"^[A-Za-z0-9-]+$")]
    invoice_receiver_code: Text45
    invoice_description: Text255
    amount: Tugrug
    callback_url: Annotated[Text255, AfterValidator(_reachable)]
    sender_branch_code: Annotated[str, StringConstraints(max_length=45)] | None = None
    enable_expiry: bool = False
    expiry_date: Annotated[Time | None, Field(validate_default=True)] = None
    allow_partial: bool = False
    minimum_amount: Tugrug | None = None
    allow_exceed: bool = False
    maximum_amount: Tugrug | None = None
    invoice_due_date: Time | None = None
    note: str | None = None
    lines: list[InvoiceLine] = Field(default_factory=list)

    @field_validator("expiry_date", mode="after")
    @classmethod
    def _expiry_has_a_date(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        if value is None and info.data.get("enable_expiry"):
            raise PydanticCustomError("missing", "Required!")
        return value


class Offset(BaseModel):
    """Which page of rows is asked for; both count from 1."""

    page_number: Annotated[int, Field(ge=1, le=100)] = 1
    page_limit: Annotated[int, Field(ge=1, le=100)] = 100


class CheckPayment(BaseModel):
    """The body of POST payment/check."""

    object_type: Text45
    object_id: Text45
    offset: Offset = Field(default_factory=Offset)


class ListOffset(BaseModel):
    """Which page of payment/list is asked for. How long a page may be is the endpoint's own matter."""

    page_number: Annotated[int, Field(ge=1)] = 1
    page_limit: Annotated[int, Field(ge=1)] = 100


class ListPayments(BaseModel):
    """The body of POST payment/list. Times without a zone are left so: what they mean is a switch."""

    object_type: Text45
    object_id: Text255
    start_date: datetime
    end_date: datetime
    offset: ListOffset = Field(default_factory=ListOffset)


class GiveBack(BaseModel):
    """The body of DELETE payment/refund and DELETE payment/cancel.

    Whether a `callback_url` is called is a switch: nobody has seen what QPay calls it with.
    """

    note: Text255
    callback_url: Annotated[Text255, AfterValidator(_reachable)] | None = None


Body = TypeVar("Body", bound=BaseModel)


async def body_of(request: Request, form: type[Body], *, text_amounts: bool = False) -> Body:
    """Read a JSON body in the form that is asked for. Raises QPayError 400 with an object for each bad field.

    `text_amounts` takes whole amounts as strings too.
    """
    try:
        return form.model_validate_json(await request.body(), context={"text_amounts": text_amounts})
    except ValidationError as problems:
        raise QPayError.not_valid(problems) from problems
