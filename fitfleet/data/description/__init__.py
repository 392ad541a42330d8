"""What a dataset contains: roles, shapes, dtypes, categories, fingerprint."""
