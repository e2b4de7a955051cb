"""What should not happen, brought about: bad inputs, faults, and a long run."""
