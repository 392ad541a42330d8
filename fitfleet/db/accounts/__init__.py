"""Users, tokens, quotas and webhooks; who may change what, and who did."""
