"""Servers, connections and engines fail, cycle after cycle, under load."""
