"""What pages show and no other machine is asked for: the logos of banks and applications."""

from html import escape

from fastapi import APIRouter, Request
from fastapi.responses import Response

from simulator.pages.rendering import not_found
from simulator.qpay.qr import BANKS

COLOURS = ("#0b6e4f", "#1d4e89", "#7b2d8b", "#b3541e", "#35524a", "#8c1c13", "#2f3e9e", "#4a5a12", "#006d77")
SOCIALPAY = "socialpay-payment"
"""The scheme of SocialPay's own links."""

router = APIRouter()


@router.get("/logo/{scheme}.svg")
async def logo(request: Request, scheme: str) -> Response:
    """Draw the first letter of a bank, so that no page asks the internet for its logo."""
    known = {one: (name, colour) for (name, _, one), colour in zip(BANKS, COLOURS, strict=True)}
    known[SOCIALPAY] = ("SocialPay", "#1b6ec2")
    if scheme not in known:
        return not_found(request)
    name, colour = known[scheme]
    picture = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 48 48"><rect width="48" height="48" rx="10" '
        f'fill="{colour}"/><text x="24" y="33" font-family="sans-serif" font-size="26" fill="#fff" '
        f'text-anchor="middle">{escape(name[0].upper())}</text></svg>'
    )
    return Response(picture, media_type="image/svg+xml")
