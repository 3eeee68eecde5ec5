"""What may be bought and changed, and what Zuora has to be told for it: decisions as values, no reading or writing."""
