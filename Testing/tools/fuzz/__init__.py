"""Coverage-guided fuzzing of the readers of what is ours: ``make fuzz``. What was found stays in ``corpus``, and is a test."""
