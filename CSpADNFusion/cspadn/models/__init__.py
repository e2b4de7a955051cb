"""The networks, their weights and their cards."""
