"""SocialPay's in-store API as the simulator speaks it."""
