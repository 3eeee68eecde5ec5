"""What Zuora bills and what Limio's schedule shows of it: periods, charges, line items and amounts. Pure."""
