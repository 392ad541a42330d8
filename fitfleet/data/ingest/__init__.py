"""What a script gives as data, written once to a file of the storage."""
