"""Declaring a dataset."""
