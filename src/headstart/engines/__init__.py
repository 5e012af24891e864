"""Run a network on arrays, as fast as the machine can."""
