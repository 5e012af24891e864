"""A machine-learning backend for Label Studio: it answers tasks, and learns from annotations."""
