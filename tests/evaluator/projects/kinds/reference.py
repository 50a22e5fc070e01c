"""What a user trusts: plain torch."""


def total(x):
    return x.sum().reshape(1) + 1.0
