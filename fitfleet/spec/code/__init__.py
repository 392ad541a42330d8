"""Code of the user's own that travels with a job: found, hashed, packed, signed."""
