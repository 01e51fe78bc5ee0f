"""What the simulator promises, over real HTTP."""
