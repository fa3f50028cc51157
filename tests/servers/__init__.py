"""Tests against servers that other projects publish; nox installs each one and names its file to pytest."""
