"""The calls of QPay's wire by name, and the faults that can meet each."""

from simulator.faults import Fault

LOG_IN = "POST /v2/auth/token"
REFRESH = "POST /v2/auth/refresh"
CREATE_INVOICE = "POST /v2/invoice"
GET_INVOICE = "GET /v2/invoice/{invoice_id}"
CANCEL_INVOICE = "DELETE /v2/invoice/{invoice_id}"
CHECK = "POST /v2/payment/check"
LIST = "POST /v2/payment/list"
GET_PAYMENT = "GET /v2/payment/{payment_id}"
REFUND_PAYMENT = "DELETE /v2/payment/refund/{payment_id}"
CANCEL_PAYMENT = "DELETE /v2/payment/cancel/{payment_id}"

_OF_ROWS = frozenset({Fault.DUPLICATED_ROWS, Fault.MOVING_ROWS, Fault.STALE})
_OF_TOKENS = frozenset({Fault.UNAUTHORIZED, Fault.LOGGED_OUT})
_OF_STATUS = frozenset({Fault.UNKNOWN_STATUS})
_OF_ALL = frozenset(Fault) - _OF_ROWS - _OF_TOKENS - _OF_STATUS

POSSIBLE = {
    LOG_IN: _OF_ALL,
    REFRESH: _OF_ALL | _OF_TOKENS,
    CREATE_INVOICE: _OF_ALL | _OF_TOKENS,
    GET_INVOICE: _OF_ALL | _OF_TOKENS | _OF_STATUS,
    CANCEL_INVOICE: _OF_ALL | _OF_TOKENS,
    CHECK: frozenset(Fault),
    LIST: frozenset(Fault),
    GET_PAYMENT: _OF_ALL | _OF_TOKENS | _OF_STATUS,
    REFUND_PAYMENT: _OF_ALL | _OF_TOKENS,
    CANCEL_PAYMENT: _OF_ALL | _OF_TOKENS,
}
"""A login has no token that could be dead; only answers with rows have rows that could move."""
