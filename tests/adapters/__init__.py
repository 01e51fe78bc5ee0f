"""The adapters against what they adapt to: real servers, and the simulator over real HTTP."""
