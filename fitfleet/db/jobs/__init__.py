"""Jobs and experiments as users and the scheduler write them."""
