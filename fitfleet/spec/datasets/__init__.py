"""Declarations of datasets; no file is opened here."""
