"""The update-subscription basket: what a customer or partner wants to change, priced and dated by the server. Pure."""
