"""Where candidates come from, and what may pass before anything runs."""
