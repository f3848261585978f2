"""One module a schema revision, oldest `r0001`."""
