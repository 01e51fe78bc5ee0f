"""QPay on a laptop: speaks its wire, can be paid, and shares nothing with the client that it tests."""
