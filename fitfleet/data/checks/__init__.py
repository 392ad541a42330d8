"""Whether a dataset fits the model and the options of the fit, before the job is queued."""
