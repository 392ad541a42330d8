"""Engines advance prepared jobs by epochs; nothing else of a fit is known here."""
