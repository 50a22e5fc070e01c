"""The search for faster kernels: policy, model client, store and command line."""
