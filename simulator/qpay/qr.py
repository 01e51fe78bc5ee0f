"""The QR of an invoice: its text as EMVCo lays it out, its picture, and the banks that open it."""

from base64 import b64encode
from binascii import crc_hqx
from io import BytesIO
from secrets import token_hex

import segno

MERCHANT_NAME = "TEST SHOP"
ACQUIRER = "2794049627940496000000000000000"

BANKS = (
    ("Khan bank", "Хаан банк", "khanbank"),
    ("State bank", "Төрийн банк", "statebank"),
    ("Trade and Development bank", "Худалдаа хөгжлийн банк", "tdbbank"),
    ("Golomt bank", "Голомт банк", "golomtbank"),
    ("Xac bank", "Хас банк", "xacbank"),  # noqa: RUF001 - Mongolian
    ("Bogd bank", "Богд банк", "bogdbank"),
    ("Capitron bank", "Капитрон банк", "capitronbank"),
    ("M bank", "М банк", "mbank"),  # noqa: RUF001 - Mongolian
    ("qPay wallet", "qPay хэтэвч", "qpaywallet"),
)
"""Name, description in Mongolian, and the scheme of the application's deep links."""


def new_qr_text(amount: int) -> str:
    """Make the text of a new QR over `amount` whole tögrög, different from every other."""
    fields = [
        _field("00", "01"),
        _field("01", "12"),
        _field("15", ACQUIRER),
        _field("52", "6010"),
        _field("53", "496"),
        _field("54", str(amount)),
        _field("58", "MN"),
        _field("59", MERCHANT_NAME),
        _field("60", "ULAANBAATAR"),
        _field("62", _field("07", token_hex(10))),
        "6304",
    ]
    text = "".join(fields)
    return f"{text}{crc_hqx(text.encode('ascii'), 0xFFFF):04X}"


def png_base64(qr_text: str) -> str:
    """Draw a QR as a PNG, in bare base64 without a `data:` prefix."""
    picture = BytesIO()
    # One mask for all: looking for the prettiest of the eight takes five times as long, and all of them are read.
    segno.make_qr(qr_text, mask=3).save(picture, kind="png", scale=4)
    return b64encode(picture.getvalue()).decode("ascii")


def bank_links(qr_text: str, *, logos_url: str) -> list[dict[str, str]]:
    """List the deep links that open the QR in a bank's application; logos lie below `logos_url`."""
    return [
        {
            "name": name,
            "description": description,
            "logo": f"{logos_url}/{scheme}.svg",
            "link": f"{scheme}://q?qPay_QRcode={qr_text}",
        }
        for name, description, scheme in BANKS
    ]


def _field(tag: str, value: str) -> str:
    return f"{tag}{len(value):02d}{value}"
