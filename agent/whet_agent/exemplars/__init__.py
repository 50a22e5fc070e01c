"""Small kernels written well, read as text for one-shot prompts; never imported by Whet itself."""
