"""What is in force and where it came from; keys and trust. The only reader of the environment."""
