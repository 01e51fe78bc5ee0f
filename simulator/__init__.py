"""QPay and SocialPay on a laptop: speaks their wires, can be paid, and shares nothing with the client that it tests."""
