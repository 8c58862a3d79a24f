"""One module per framework. Nothing is imported here, so that none of them is needed for another."""
