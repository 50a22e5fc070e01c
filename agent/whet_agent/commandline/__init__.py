"""`whet ...`: arguments in, one call of the façade, words out."""
