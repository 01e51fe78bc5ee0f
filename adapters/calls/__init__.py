"""Bounded calls to a gateway: what the clients of all gateways do in the same way. It knows the wire of none."""
