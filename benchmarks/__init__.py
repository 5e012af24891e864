"""What Headstart claims, measured. Each script prints a table and states the machine."""
