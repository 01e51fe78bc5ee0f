"""What a call carries to say whose it is, and how QPay refuses what it does not know."""

from fastapi import Request

from simulator.qpay.errors import QPayError
from simulator.world import World


def credentials(request: Request, scheme: str) -> str:
    """Take the credentials of this scheme from the call; an empty text if there are none."""
    named, _, given = request.headers.get("authorization", "").partition(" ")
    return given.strip() if named.lower() == scheme else ""


def no_credentials(world: World) -> QPayError:
    """Refuse a token, in one of the two ways in which QPay writes it."""
    return QPayError.refused(401, "NO_CREDENDIALS" if world.switches.no_credentials_misspelt else "NO_CREDENTIALS")
