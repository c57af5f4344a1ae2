"""Tests; a package so that the helpers are tests.lib whatever else is installed."""
