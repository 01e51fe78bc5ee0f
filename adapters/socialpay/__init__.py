"""SocialPay's in-store API behind the gateway port: one folder that knows its wire, its checksum and its words."""
