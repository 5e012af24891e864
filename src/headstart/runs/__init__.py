"""Runs: the folders that trainings write, either completely or not at all."""
