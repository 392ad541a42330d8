"""Which job goes next, and which come back to the queue: what dispatcher and recovery write."""
