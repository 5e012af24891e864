"""Engines that run a network on arrays, and the choice of device and numeric precision."""
