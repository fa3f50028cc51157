"""Tests of API clients that are built on requests; nox installs them and names this folder's files to pytest."""
