"""Everyone who comes in over HTTP. Nothing here reaches Zuora: a wish is left in the database, and workers serve it."""
