"""Sweeps, their trials, and which trial continues which."""
