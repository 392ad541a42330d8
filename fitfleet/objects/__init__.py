"""A storage behind a URL, as s3://bucket/prefix: objects, and this machine's copies of them."""
