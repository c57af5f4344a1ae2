"""`make demo`: the whole of tripmeter in under a minute, on servers of its own."""
