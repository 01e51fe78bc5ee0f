"""A QR as an image, for gateways that send none."""

import base64
from io import BytesIO

import segno


def png_of(qr_text: str) -> str:
    """Return the base64 of a PNG that shows the QR, without a `data:` prefix."""
    image = BytesIO()
    segno.make_qr(qr_text).save(image, kind="png", scale=6, border=4)
    return base64.b64encode(image.getvalue()).decode()
