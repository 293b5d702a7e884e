"""Who is calling: signatures, tokens, passwords."""
