"""The difference between what the Limio store holds and what Zuora says: pure, total, deterministic."""
