"""fitfleet: submit a fleet of Keras fits, scale workers sideways, compare the results in SQL."""
