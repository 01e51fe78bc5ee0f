"""QPay v2's merchant API as the simulator speaks it."""
