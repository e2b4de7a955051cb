"""Many pairs: from a BIDS dataset or a list into a BIDS derivative, on one machine or on a cluster (docs/adr/0016)."""
