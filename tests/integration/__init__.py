"""What a customer would notice, on real servers."""
