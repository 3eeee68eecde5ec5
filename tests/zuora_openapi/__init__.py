"""What Zuora's own description of its API says of the answers that we read; see README.md."""
