"""The web process: the HTTP API, the gateways' callbacks, and health."""
