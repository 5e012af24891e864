"""Images and labels: found, checked, decoded, and split without leaks."""
