"""Who gets the goods and the bill: addresses, names, emails, countries. Pure."""
