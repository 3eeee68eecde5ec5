"""Is everything as it should be, with a remedy for what is not."""
