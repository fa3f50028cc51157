"""Tests that need an environment of their own; nox makes it and names the file to pytest."""
