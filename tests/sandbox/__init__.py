"""Against the real sandbox of QPay, for whoever has credentials: `make sandbox`."""
