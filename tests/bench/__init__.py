"""The host measured beside what it cannot be cheaper than, and beside what people do without it: `make bench`."""
