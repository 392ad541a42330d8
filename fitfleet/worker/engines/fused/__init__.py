"""The fused engine: K jobs of one architecture at once, in a stack."""
