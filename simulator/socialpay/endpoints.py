"""The calls of SocialPay's wire by name, and the faults that can meet each."""

from simulator.faults import Fault

CREATE_QR = "POST /pos/invoice/qr"
CREATE_DEEPLINK = "POST /pos/invoice/qr/deeplink"
CREATE_PHONE = "POST /pos/invoice/phone"
CHECK = "POST /pos/invoice/check"
CANCEL = "POST /pos/invoice/cancel"

_NOT_HERE = frozenset({Fault.DUPLICATED_ROWS, Fault.MOVING_ROWS, Fault.LOGGED_OUT})
_OF_CHECKS = frozenset({Fault.STALE, Fault.UNKNOWN_STATUS})
_OF_ALL = frozenset(Fault) - _NOT_HERE - _OF_CHECKS

POSSIBLE = {
    CREATE_QR: _OF_ALL,
    CREATE_DEEPLINK: _OF_ALL,
    CREATE_PHONE: _OF_ALL,
    CHECK: _OF_ALL | _OF_CHECKS,
    CANCEL: _OF_ALL,
}
"""There are no sessions that could end, and no rows that could move."""
