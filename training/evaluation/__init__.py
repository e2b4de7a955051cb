"""What ``python -m training.evaluate`` measures and draws: each table or figure of docs/results is made by one module here."""
