"""One order, to its end in Zuora and in Limio's store."""
