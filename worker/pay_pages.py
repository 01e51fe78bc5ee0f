"""The addresses of pay pages, and what is the same on all of them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from worker.pay_token import PayToken, PayTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class PayPages:
    """Makes and reads addresses of pay pages."""

    public_url: str
    tokens: PayTokens
    lifetime: timedelta
    """How long an address holds after the QR that it was made for has expired."""
    merchant_name: str | None
    """Whom the customer pays; None where nobody said."""
    zone: ZoneInfo
    """Of the times on the page."""

    def address(self, invoice_id: str, *, qr_expires_at: datetime) -> str:
        """Return the address of an invoice's page; the same for the same QR."""
        return f"{self.public_url}/pay/{self.tokens.make(invoice_id, holds_until=qr_expires_at + self.lifetime)}"

    def read(self, token: str) -> PayToken | None:
        """Return what the token in an address says, or None for one that we did not make."""
        return self.tokens.read(token)
