"""Rows as a fit takes them: in memory or streamed, folds, windows."""
