"""The model behind an endpoint, or a recording of one."""
