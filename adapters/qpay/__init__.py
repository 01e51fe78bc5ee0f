"""QPay v2 behind the gateway port: one folder that knows its wire, its token and its errors."""
